package config

import (
	"reflect"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"vmplan.dev/vmplan/config/internal/complete"
	"vmplan.dev/vmplan/config/resource"
)

// checkSteps compares what a reference goes on with behind the block's name with what the block has: an instance key where
// it is repeated, then attributes. Anything it cannot tell is left to the evaluation.
func (b *block) checkSteps(r reference) *hcl.Diagnostic {
	steps := r.steps
	if len(steps) == 0 {
		return nil
	}
	_, isIndex := steps[0].(hcl.TraverseIndex)
	if b.repeat.single() {
		if isIndex {
			return mistake(r.rng, "No instances", "%s is one object: it has neither count nor for_each. Write it without brackets.", r)
		}
		return b.checkMembers(r, steps)
	}
	if name, isAttr := stepName(steps[0]); !isIndex && isAttr && (b.member(b.typ, name) != nil || b.call != nil && (name == outputWord || name == vmWord)) {
		return mistake(r.rng, "Instance not named", "%s has count or for_each: say which one, such as %s.%s.", r, exampleInstance(b), name)
	}
	return b.checkMembers(r, steps[1:])
}

// checkMembers follows attributes, blocks and labels into the object.
func (b *block) checkMembers(r reference, steps hcl.Traversal) *hcl.Diagnostic {
	if b.call != nil && len(steps) > 0 {
		if d, handled := b.checkInstance(r, steps); handled {
			return d
		}
	}
	for t := b.typ; len(steps) > 0; {
		name, ok := stepName(steps[0])
		if !ok {
			return nil
		}
		m := b.member(t, name)
		if m == nil {
			return mistake(r.rng, "Unknown attribute", "%s has no attribute %q.%s", r, name, didYouMean(name, b.members(t)))
		}
		steps = steps[1:]
		if m.attr == nil || m.attr.Block == resource.NotBlock {
			return nil
		}
		if m.attr.Block == resource.LabelledBlock && len(steps) > 0 {
			if label, ok := stepName(steps[0]); ok && !slices.Contains(b.labels(name), label) {
				return mistake(r.rng, "Unknown name", "%s has no %s %q.%s", r, name, label, didYouMean(label, b.labels(name)))
			}
			steps = steps[1:]
		}
		t = m.attr.Type
	}
	return nil
}

// labels lists the labels of the block's nested blocks of a type: disk, nic. An image puts a disk in where none is written for it.
func (b *block) labels(name string) []string {
	var labels []string
	for _, n := range b.body.labelled {
		if n.attr.Name == name {
			labels = append(labels, n.label)
		}
	}
	if name == "disk" && (labels == nil || b.origins != nil) {
		labels = append(labels, complete.RootDisk)
	}
	return labels
}

// member is an attribute that expressions see; attr is nil for those that only expressions know.
type member struct{ attr *resource.Attr }

func (b *block) member(t reflect.Type, name string) *member {
	if t == b.typ && (name == idName || name == "address" && b.kind == resource.KindVM) {
		return &member{}
	}
	if a := resource.SchemaOf(t).Attr(name); a != nil && visible(a) {
		return &member{a}
	}
	return nil
}

func (b *block) members(t reflect.Type) []string {
	var names []string
	for _, a := range resource.SchemaOf(t).Attrs {
		if visible(&a) {
			names = append(names, a.Name)
		}
	}
	if t == b.typ && b.kind == resource.KindVM {
		names = append(names, "address")
	}
	return names
}

// stepName reads .name or ["name"].
func stepName(step hcl.Traverser) (string, bool) {
	switch s := step.(type) {
	case hcl.TraverseAttr:
		return s.Name, true
	case hcl.TraverseIndex:
		if s.Key.Type() == cty.String && s.Key.IsKnown() && !s.Key.IsNull() {
			return s.Key.AsString(), true
		}
	}
	return "", false
}
