package config

import (
	"slices"

	"github.com/hashicorp/hcl/v2"

	"vmplan.dev/vmplan/config/resource"
)

// evaluateNeeds evaluates what depends_on names before what depends on it, so that a cycle shows.
func (sc *scope) evaluateNeeds(needs []reference) {
	for _, r := range needs {
		if !sc.declared(r) {
			sc.eval.refuse(r, sc.missing(r))
			continue
		}
		in := sc.declaring(r)
		if b := in.mod.blocks.byName[r.String()]; b != nil {
			in.decodeBlock(b, r.rng)
		}
		if c := in.mod.callOf(r); c != nil {
			in.awaitCall(c, r.rng)
		}
	}
}

// callOf gives the call of the module, or of the appliance's instance, that r names; nil when it names neither.
func (m *module) callOf(r reference) *call {
	if r.root == moduleWord {
		return m.calls.byName[r.name]
	}
	if b := m.blocks.byName[r.String()]; b != nil {
		return b.call
	}
	return nil
}

func (sc *scope) awaitCall(c *call, from hcl.Range) {
	children, _ := sc.instancesOf(c, from)
	for _, child := range children {
		child.awaitAll(from)
	}
}

// awaitAll evaluates all objects of a module.
func (sc *scope) awaitAll(from hcl.Range) {
	for _, name := range sc.mod.blocks.order {
		b := sc.mod.blocks.byName[name]
		if sc.decodeBlock(b, from); b.call != nil {
			sc.awaitCall(b.call, from)
		}
	}
	for _, name := range sc.mod.calls.order {
		sc.awaitCall(sc.mod.calls.byName[name], from)
	}
}

// depend fills DependsOn. The instances of a block share one list: with many on both sides, a list each would be too much.
func (e *evaluator) depend() {
	type site struct {
		scope, inner *scope
		block        *block
	}
	lists := map[site][]resource.Addr{}
	modules := map[*scope][]resource.Addr{}
	for _, o := range e.objects {
		at := site{o.scope, o.inner, o.block}
		list, done := lists[at]
		if !done {
			list = slices.Concat(o.targets(slices.Concat(o.block.needs, o.block.vms())), o.given(), o.scope.moduleNeeds(modules))
			slices.SortFunc(list, resource.Compare)
			list = slices.Compact(list)
			if len(list) == 0 {
				list = nil
			}
			lists[at] = list
		}
		if o.addr.Kind != resource.KindHost {
			o.res.Base().DependsOn = o.withSame(list)
		}
	}
}

// vms are the references to vms: who writes vm.db.address wants that vm in place, and no field of an object says so.
func (b *block) vms() []reference { return toVMs(b.refs) }

func toVMs(refs []reference) []reference {
	return slices.DeleteFunc(slices.Clone(refs), func(r reference) bool { return r.root != vmWord || r.same || r.bits })
}

// targets gives the addresses that expressions of the object name.
func (o *object) targets(refs []reference) []resource.Addr {
	var out []resource.Addr
	for _, r := range refs {
		out = append(out, o.scopeAt(r.level).scope.targets([]reference{r})...)
	}
	return out
}

// given are the vms that the parameters of a vm's appliance are taken from.
func (o *object) given() []resource.Addr {
	in := o.scope
	if o.inner != nil {
		in = o.inner
	}
	if o.addr.Kind != resource.KindVM || in.call == nil || in.call.appliance == nil {
		return nil
	}
	var refs []reference
	for _, attr := range in.call.inputs {
		refs = append(refs, referencesIn(attr.Expr)...)
	}
	if in.call.with != nil {
		refs = append(refs, referencesIn(in.call.with.Expr)...)
	}
	return in.parent.targets(toVMs(refs))
}

// withSame adds to what all instances of a block wait for the vms with the key of this one.
func (o *object) withSame(list []resource.Addr) []resource.Addr {
	for _, r := range o.block.refs {
		to := resource.Addr{Module: o.moduleOf(r), Kind: resource.KindVM, Name: r.name, Key: o.addr.Key}
		if r.same && !r.bits && r.root == vmWord && o.scope.eval.byID[to.String()] != nil && !slices.Contains(list, to) {
			list = append(slices.Clone(list), to)
			slices.SortFunc(list, resource.Compare)
		}
	}
	return list
}

// moduleNeeds is what everything in the module waits for, by the depends_on of its call and of those around it.
func (sc *scope) moduleNeeds(memo map[*scope][]resource.Addr) []resource.Addr {
	if sc.parent == nil {
		return nil
	}
	if list, done := memo[sc]; done {
		return list
	}
	memo[sc] = slices.Concat(sc.parent.targets(sc.call.needs), sc.parent.moduleNeeds(memo))
	return memo[sc]
}

// targets gives the addresses that depends_on names.
func (sc *scope) targets(needs []reference) []resource.Addr {
	var out []resource.Addr
	for _, r := range needs {
		in, key := sc.declaring(r), r.instanceKey()
		if in == nil {
			continue
		}
		if in.unnamed(r) {
			out = append(out, in.ownAddr())
			continue
		}
		for _, o := range in.objects[r.String()] {
			if key == "" || o.addr.Key == key {
				out = append(out, o.addr)
			}
		}
		for _, child := range in.children[r.String()] {
			if key == "" || child.instance.key == key {
				out = append(out, child.all()...)
			}
		}
	}
	return out
}

// all gives the addresses of the objects of a module, those of the modules it calls included.
func (sc *scope) all() []resource.Addr {
	var out []resource.Addr
	for _, name := range sc.mod.blocks.order {
		for _, o := range sc.objects[name] {
			if o.res != nil {
				out = append(out, o.addr)
			}
		}
	}
	for _, name := range sortedKeys(sc.children) {
		for _, child := range sc.children[name] {
			out = append(out, child.all()...)
		}
	}
	return out
}
