package config

import (
	"slices"

	"github.com/hashicorp/hcl/v2"

	"vmplan.dev/vmplan/config/resource"
)

// await evaluates what depends_on names before what depends on it, so that a cycle shows.
func (sc *scope) await(needs []reference) {
	for _, r := range needs {
		if !sc.declared(r) {
			sc.eval.refuse(r, sc.missing(r))
			continue
		}
		if r.root != "module" {
			sc.decodeBlock(sc.mod.blocks.byName[r.String()], r.rng)
			continue
		}
		children, _ := sc.instancesOf(sc.mod.calls.byName[r.name], r.rng)
		for _, child := range children {
			child.awaitAll(r.rng)
		}
	}
}

// awaitAll evaluates all objects of a module.
func (sc *scope) awaitAll(from hcl.Range) {
	for _, name := range sc.mod.blocks.order {
		sc.decodeBlock(sc.mod.blocks.byName[name], from)
	}
	for _, name := range sc.mod.calls.order {
		children, _ := sc.instancesOf(sc.mod.calls.byName[name], from)
		for _, child := range children {
			child.awaitAll(from)
		}
	}
}

// depend fills DependsOn. The instances of a block share one list: with many on both sides, a list each would be too much.
func (e *evaluator) depend() {
	type site struct {
		scope *scope
		block *block
	}
	lists := map[site][]resource.Addr{}
	modules := map[*scope][]resource.Addr{}
	for _, o := range e.objects {
		at := site{o.scope, o.block}
		list, done := lists[at]
		if !done {
			list = slices.Concat(o.scope.targets(o.block.needs), o.scope.targets(o.block.vms()), o.scope.moduleNeeds(modules))
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
func (b *block) vms() []reference {
	return slices.DeleteFunc(slices.Clone(b.refs), func(r reference) bool { return r.root != string(resource.KindVM) || r.same || r.bits })
}

// withSame adds to what all instances of a block wait for the vms with the key of this one.
func (o *object) withSame(list []resource.Addr) []resource.Addr {
	for _, r := range o.block.refs {
		to := resource.Addr{Module: o.addr.Module, Kind: resource.KindVM, Name: r.name, Key: o.addr.Key}
		if r.same && !r.bits && r.root == string(resource.KindVM) && o.scope.eval.byID[to.String()] != nil && !slices.Contains(list, to) {
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
		key := r.instanceKey()
		if r.root != "module" {
			for _, o := range sc.objects[r.String()] {
				if key == "" || o.addr.Key == key {
					out = append(out, o.addr)
				}
			}
			continue
		}
		for _, child := range sc.children[r.name] {
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
	for _, name := range sc.mod.calls.order {
		for _, child := range sc.children[name] {
			out = append(out, child.all()...)
		}
	}
	return out
}
