package config

import (
	"cmp"
	"maps"
	"slices"

	"github.com/hashicorp/hcl/v2"

	"vmplan.dev/vmplan/config/resource"
)

// Load evaluates the project. The Config is never nil; its Set is what could be made sense of when there were errors.
func (p *Project) Load(prior Prior) (*Config, Diagnostics) {
	e := newEvaluator(p, prior, nicDecisions{})
	e.run()
	d := e.decide()
	if e.nics.asked || e.nics.looked && len(d.MAC) > 0 {
		e = newEvaluator(p, prior, nicDecisions{Decisions: d})
		e.run()
		d = e.decide()
	}
	e.applyDecisions(d)
	e.outputs()
	e.conditions()
	e.depend()
	placed := e.place()
	vms := e.vms()
	placed.reserve(vms)
	set := resource.NewSet()
	for _, o := range e.objects {
		set.Add(o.res)
	}
	for _, o := range vms {
		set.Add(placed.expand(o, o.res.(*resource.VM)))
	}
	for img := range resource.Of[*resource.Image](set) {
		set.Add(withoutInputs(img))
	}
	placed.clones(set)
	placed.check()
	placed.checkHistory()

	c := &Config{Set: set, Sources: &Sources{files: p.Files(), ranges: map[resource.Addr]map[string]hcl.Range{}}, Hash: p.Hash(), eval: e}
	c.Moves, c.Removed, c.Imports = e.moves(), e.removed(), e.importsWanted()
	for _, o := range e.objects {
		c.Sources.ranges[o.addr] = o.block.ranges
	}
	for _, pool := range placed.undeclared {
		c.Set.Add(pool)
	}
	for _, r := range placed.extra {
		c.Set.Add(r)
	}
	return c, e.rep.sorted()
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
