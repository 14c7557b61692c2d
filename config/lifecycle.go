package config

import (
	"reflect"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"vmplan.dev/vmplan/config/resource"
)

// Attributes of lifecycle that are not evaluated, by path.
const (
	ignorePath  = "lifecycle.ignore_changes"
	triggerPath = "lifecycle.replace_triggered_by"
)

// cloudInit is the block that becomes a seed: in ignore_changes it stands for all that the guest is told.
const cloudInit = "cloud_init"

// seedContent lists the fields of a seed that say what the guest is told.
func seedContent() []string {
	var out []string
	for _, a := range resource.SchemaOf(reflect.TypeFor[resource.Seed]()).Attrs {
		if a.Type == secretType {
			out = append(out, a.Name)
		}
	}
	return out
}

// ignored is one element of ignore_changes.
type ignored struct {
	path string
	rng  hcl.Range
}

// ignoreChanges reads the list of field names, written bare: [title, disk.root.cache].
func (c *compiler) ignoreChanges(attr *hclsyntax.Attribute) []string {
	var out []string
	for _, item := range elements(attr, "the block's fields, such as [title, memory]", c.rep) {
		path, ok := fieldPath(item)
		if !ok {
			c.rep.add(mistake(item.Range(), "Not a field", "Name a field of the block, such as title or disk.root.cache."))
			continue
		}
		c.ignored = append(c.ignored, ignored{path, item.Range()})
		out = append(out, path)
	}
	return out
}

// checkIgnored compares ignore_changes with the fields and blocks that there are, once all of them are read.
func (c *compiler) checkIgnored() {
	for _, ig := range c.ignored {
		if d := c.ignorable(ig); d != nil {
			c.rep.add(d)
		}
	}
}

func (c *compiler) ignorable(ig ignored) *hcl.Diagnostic {
	if strings.HasPrefix(ig.path, cloudInit+".") {
		return mistake(ig.rng, "Part of cloud_init", "What cloud-init is told goes to the guest as one. Write cloud_init to ignore changes of all of it.")
	}
	t, title, prefix := c.block.typ, string(c.block.kind), ""
	for rest := ig.path; rest != ""; {
		var name string
		name, rest, _ = strings.Cut(rest, ".")
		schema := resource.SchemaOf(t)
		a := schema.Attr(name)
		if a == nil || a.Computed {
			return mistake(ig.rng, "Unknown attribute", "%s block has no attribute %q.%s", sentence(article(title)), name, didYouMean(name, c.names(schema, prefix)))
		}
		if a.Block == resource.NotBlock && rest != "" {
			return mistake(ig.rng, "Not a field", "%s is an attribute and has nothing in it. Write %s.", name, strings.TrimSuffix(ig.path, "."+rest))
		}
		if a.Block == resource.LabelledBlock {
			var label string
			label, rest, _ = strings.Cut(rest, ".")
			if labels := c.block.labels(name); label != "" && !slices.Contains(labels, label) {
				return mistake(ig.rng, "Unknown name", "%s.%s has no %s %q.%s", c.block.kind, c.block.name, name, label, didYouMean(label, labels))
			}
		}
		t, title, prefix = a.Type, name, name
	}
	return nil
}

func fieldPath(expr hcl.Expression) (string, bool) {
	if text, ok := literal(expr); ok {
		return text, true
	}
	traversal, diags := hcl.AbsTraversalForExpr(expr)
	if diags.HasErrors() {
		return "", false
	}
	return stepsPath(traversal)
}

// stepsPath writes names one after another with dots: disk.root.cache.
func stepsPath(traversal hcl.Traversal) (string, bool) {
	var path []string
	for _, step := range traversal {
		switch s := step.(type) {
		case hcl.TraverseRoot:
			path = append(path, s.Name)
		default:
			name, ok := stepName(step)
			if !ok {
				return "", false
			}
			path = append(path, name)
		}
	}
	return strings.Join(path, "."), true
}

// replaceTriggers reads replace_triggered_by: objects, or fields of them, also of the instance with the same key.
func (c *compiler) replaceTriggers(attr *hclsyntax.Attribute) []reference {
	var out []reference
	for _, item := range elements(attr, "objects and fields of objects, such as [image.debian, volume.db.size]", c.rep) {
		r, ok := triggerReference(item.(hclsyntax.Expression))
		kind := resource.Kind(r.root)
		switch {
		case !ok || r.name == "" || blockTypes[kind] == nil || kind == kindInstancetype || kind == kindPreference || kind == resource.KindHost:
			c.rep.add(mistake(item.Range(), "Not an object", "replace_triggered_by names objects and fields of objects as they are, without quotes or calculation: [image.debian, volume.db.size]."))
		case kind == c.block.kind && r.name == c.block.name:
			c.rep.add(mistake(item.Range(), "Refers to itself", "What changes in %s says itself what it needs.", r))
		case r.same && c.block.repeat.single():
			c.rep.add(mistake(item.Range(), "No instances", "each.key and count.index have a meaning only in a block with for_each or count."))
		default:
			out = append(out, r)
		}
	}
	return out
}

// triggerReference reads volume.db.size, and volume.db[each.key].size as a reference to the same instance.
func triggerReference(expr hclsyntax.Expression) (reference, bool) {
	if t, diags := hcl.AbsTraversalForExpr(expr); !diags.HasErrors() {
		return newReference(t), true
	}
	refs, rest := referencesIn(expr), hcl.Traversal(nil)
	if relative, ok := expr.(*hclsyntax.RelativeTraversalExpr); ok {
		expr, rest = relative.Source, relative.Traversal
	}
	if _, ok := expr.(*hclsyntax.IndexExpr); !ok {
		return reference{}, false
	}
	for _, r := range refs {
		if r.same && len(r.steps) == 0 {
			r.steps = rest
			return r, true
		}
	}
	return reference{}, false
}

// checkTriggers checks that what a block's triggers name is declared.
func (sc *scope) checkTriggers(b *block) {
	for _, r := range atLevel(b.triggers, 0) {
		if !sc.declared(r) {
			sc.eval.refuse(r, sc.missing(r))
			continue
		}
		of := sc.declaring(r).mod.blocks.byName[r.String()]
		if r.same {
			r.steps = append(hcl.Traversal{hcl.TraverseIndex{Key: cty.StringVal("")}}, r.steps...)
		}
		if d := of.checkSteps(r); d != nil {
			sc.eval.refuse(r, d)
		}
	}
}

// moduleOf is the module instance that what an expression of the object refers to belongs to.
func (o *object) moduleOf(r reference) string {
	if sc := o.scopeAt(r.level).scope; sc.declaring(r) != nil {
		return sc.declaring(r).path
	}
	return o.addr.Module
}

// finds tells whether there are objects of the block that r names.
func (sc *scope) finds(r reference) bool {
	in := sc.declaring(r)
	return in != nil && in.objects[r.String()] != nil
}

// triggers writes the object's triggers as addresses, with a field behind.
func (o *object) triggers() []string {
	var out []string
	for _, r := range o.block.triggers {
		a := resource.Addr{Module: o.moduleOf(r), Kind: resource.Kind(r.root), Name: r.name, Key: r.instanceKey()}
		steps := r.steps
		switch {
		case r.same:
			a.Key = o.addr.Key
		case a.Key != "":
			steps = steps[1:]
		}
		text := a.String()
		if path, ok := stepsPath(steps); ok && path != "" {
			text += "." + path
		}
		out = append(out, text)
	}
	return out
}

// checkTriggered refuses triggers that name an instance that there is not.
func (p *placement) checkTriggered(objects []*object) {
	for _, o := range objects {
		for _, r := range o.block.triggers {
			to := resource.Addr{Module: o.moduleOf(r), Kind: resource.Kind(r.root), Name: r.name, Key: r.instanceKey()}
			if r.same {
				to.Key = o.addr.Key
			}
			if to.Key != "" && p.byID[to.String()] == nil && o.scopeAt(r.level).scope.finds(r) {
				p.rep.addFirst(mistake(o.at(triggerPath), "Missing object", "%s would be replaced with %s, and there is no such instance.", o.addr, to))
			}
		}
	}
}
