package config

import (
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"vmplan.dev/vmplan/config/resource"
)

// Names by which expressions reach into an instance of an appliance: vm.shop.output.url, vm.shop.vm.app.
const (
	outputWord = "output"
	vmWord     = string(resource.KindVM)
)

// levelScope is a scope in which expressions of an object are evaluated, and what each and count are there. All that is said of a vm
// that is made from an appliance is one block in the end, and its expressions are of different levels: 0 is the scope that the
// block is declared in, 1 and up the scopes of the instances around it, -1 that of the appliance whose vm has no name.
type levelScope struct {
	scope  *scope
	repeat repetition
	vars   map[string]cty.Value
}

// scopeAt gives the scope of a level.
func (o *object) scopeAt(level int) levelScope {
	s := levelScope{o.scope, o.block.repeat, o.vars}
	if level < 0 {
		return levelScope{scope: o.inner}
	}
	for range level {
		s = levelScope{s.scope.parent, s.scope.call.repeat, s.scope.instance.vars}
	}
	return s
}

// inner is the scope of the instance of an appliance that b makes with the key, or nil.
func (sc *scope) inner(b *block, key string) *scope {
	if b.call != nil {
		for _, child := range sc.children[b.call.String()] {
			if child.instance.key == key {
				return child
			}
		}
	}
	return nil
}

// context is the names that refs need on this level.
func (s levelScope) context(refs []reference) *hcl.EvalContext {
	ctx := s.scope.context(refs, s.repeat).NewChild()
	ctx.Variables = s.vars
	return ctx
}

// atLevel gives the references of a level.
func atLevel(refs []reference, level int) []reference {
	if !slices.ContainsFunc(refs, func(r reference) bool { return r.level != level }) {
		return refs
	}
	return slices.DeleteFunc(slices.Clone(refs), func(r reference) bool { return r.level != level })
}

// addShared makes the scopes of what the instances of the module's appliances share.
func (sc *scope) addShared() {
	for _, name := range sc.mod.appliances.order {
		a := sc.mod.appliances.byName[name]
		child := &scope{mod: a.shared, path: sc.address(a.String()), names: joinName(sc.names, name), parent: sc, outer: sc}
		child.call = &call{kind: applianceBlock, name: name, header: a.header, target: a.shared, appliance: a}
		if a.closed {
			child.outer = nil
		}
		if sc.shared == nil {
			sc.shared = map[string]*scope{}
		}
		sc.shared[name] = sc.eval.newScope(child)
	}
}

// openInstance completes the scope of an appliance's instance that a block in this scope makes.
func (sc *scope) openInstance(child *scope) {
	a := child.call.appliance
	in := sc
	for in.mod.appliances.byName[a.name] != a {
		in = in.outer
	}
	child.outer = in.shared[a.name]
	b := sc.mod.blocks.byName[child.call.String()]
	for _, attr := range b.body.attrs {
		if attr.level != 0 || attr.path != "name" && attr.path != "host" {
			continue
		}
		d := &decoding{scope: sc, block: b, shared: map[*attrSpec]decoded{}}
		ctx := levelScope{sc, b.repeat, child.instance.vars}.context(referencesIn(attr.expr))
		got := d.attribute(attr, ctx)
		switch {
		case got.state != attrSet:
		case attr.path == "name":
			child.names = got.value.String()
		default:
			child.host = got.value.String()
		}
	}
}

// unnamed tells whether r, in an appliance whose vm has no name, is about that vm: vm.address.
func (sc *scope) unnamed(r reference) bool {
	if r.root != vmWord || sc.call == nil || sc.call.appliance == nil || sc.mod != sc.call.appliance.own || sc.call.appliance.vm == nil {
		return false
	}
	return sc.mod.blocks.byName[r.String()] == nil && sc.call.appliance.vm.member(sc.call.appliance.vm.typ, r.name) != nil
}

// ownVM is the block of the vm that this instance of an appliance is.
func (sc *scope) ownVM() *block { return sc.parent.mod.blocks.byName[sc.call.String()] }

// ownAddr is the address of that vm.
func (sc *scope) ownAddr() resource.Addr {
	return resource.Addr{Module: sc.parent.path, Kind: resource.KindVM, Name: sc.call.name, Key: sc.instance.key}
}

// ownObject is that vm, or nil when it could not be made.
func (sc *scope) ownObject(from hcl.Range) *object {
	objects, _ := sc.parent.decodeBlock(sc.ownVM(), from)
	for _, o := range objects {
		if o.addr.Key == sc.instance.key {
			return o
		}
	}
	return nil
}

func (sc *scope) ownAttribute(r reference) cty.Value {
	o := sc.ownObject(r.rng)
	if o == nil {
		return cty.DynamicVal
	}
	v := sc.eval.objectValue(o)
	if !v.Type().IsObjectType() {
		return v
	}
	return v.GetAttr(r.name)
}

// isInstance tells whether r names an instance of an appliance that has more to it than its vm.
func (sc *scope) isInstance(r reference) bool {
	b := sc.mod.blocks.byName[r.String()]
	return b != nil && b.call != nil && (b.group || len(b.call.target.outputs.order) > 0)
}

// wantMembers notes which vms and outputs of an instance r needs; all of them when it does not say.
func (sc *scope) wantMembers(r reference, all map[string]*wanted) {
	b := sc.mod.blocks.byName[r.String()]
	w := all[r.name]
	if w == nil {
		w = &wanted{sc, r.rng, map[string]bool{}}
		all[r.name] = w
	}
	steps := r.steps
	if !b.repeat.single() && len(steps) > 0 {
		steps = steps[1:]
	}
	if len(steps) > 0 {
		word, _ := stepName(steps[0])
		if word != outputWord && word != vmWord && !b.group {
			return
		}
		if len(steps) > 1 {
			if name, ok := stepName(steps[1]); ok {
				w.names[word+"."+name] = true
				return
			}
		}
	}
	for _, name := range append(b.vmLabels(), b.outputNames()...) {
		w.names[name] = true
	}
}

// vmLabels lists the vms of an instance that has several, as vm.NAME.
func (b *block) vmLabels() []string {
	var out []string
	if b.group {
		for _, name := range b.call.target.blocks.order {
			if b.call.target.isVM(name) {
				out = append(out, name)
			}
		}
	}
	return out
}

func (b *block) outputNames() []string {
	var out []string
	for _, name := range b.call.target.outputs.order {
		out = append(out, outputWord+"."+name)
	}
	return out
}

// instanceValue is what an instance of an appliance is in expressions: its vm, or a map of its vms, and its outputs, of which
// only those are evaluated that are wanted.
func (sc *scope) instanceValue(b *block, w *wanted) cty.Value {
	children, ok := sc.instancesOf(b.call, w.from)
	if !ok {
		return cty.DynamicVal
	}
	values, keys := make([]cty.Value, len(children)), make([]string, len(children))
	for i, child := range children {
		keys[i], values[i] = child.instance.key, child.memberValue(b, w)
	}
	return repeated(b.repeat, keys, values)
}

func (sc *scope) memberValue(b *block, w *wanted) cty.Value {
	attrs := map[string]cty.Value{}
	if !b.group {
		o := sc.ownObject(w.from)
		if o == nil || len(o.bad) > 0 {
			return cty.DynamicVal
		}
		attrs = sc.eval.objectValue(o).AsValueMap()
	} else {
		vms := map[string]cty.Value{}
		for _, name := range b.vmLabels() {
			if w.names[name] {
				vms[name[len(vmWord)+1:]] = sc.blockValue(sc.mod.blocks.byName[name], w.from)
			}
		}
		attrs[vmWord] = cty.ObjectVal(vms)
	}
	outputs := map[string]cty.Value{}
	for _, name := range sc.mod.outputs.order {
		if w.names[outputWord+"."+name] {
			outputs[name] = sc.output(name, w.from)
		}
	}
	attrs[outputWord] = cty.ObjectVal(outputs)
	return cty.ObjectVal(attrs)
}

// checkInstance compares what a reference to an instance of an appliance goes on with with what that has. handled is false for
// the attributes of its vm.
func (b *block) checkInstance(r reference, steps hcl.Traversal) (d *hcl.Diagnostic, handled bool) {
	word, ok := stepName(steps[0])
	if !ok {
		return nil, true
	}
	names := map[string][]string{outputWord: b.call.target.outputs.order}
	if b.group {
		names[vmWord] = nil
		for _, name := range b.vmLabels() {
			names[vmWord] = append(names[vmWord], name[len(vmWord)+1:])
		}
	}
	known, ok := names[word]
	switch {
	case !ok && b.group && len(names[vmWord]) == 0:
		return quiet, true // that the appliance has no vm has been said
	case !ok && b.group:
		return mistake(r.rng, "Unknown attribute", "%s has several vms: say which one, such as %s.%s, or name an output of it, %s.output.NAME.", r, r, b.vmLabels()[0], r), true
	case !ok:
		return nil, false
	case len(steps) == 1:
		return nil, true
	}
	name, ok := stepName(steps[1])
	switch {
	case !ok:
		return nil, true
	case !slices.Contains(known, name):
		return mistake(r.rng, "Unknown name", "%s has no %s %q.%s", r, word, name, didYouMean(name, known)), true
	case word == outputWord:
		return nil, true
	}
	inner := r
	inner.name, inner.steps = r.name+"."+vmWord+"."+name, steps[2:]
	return b.call.target.blocks.byName[vmWord+"."+name].checkSteps(inner), true
}
