package planner

import (
	"slices"

	"vmplan.dev/vmplan/config/resource"
)

// Locate notes where in the files everything was written that the plan is about. find gives the place of a field of an
// object, or the nearest thing around it, and for the empty path of the object itself; ok is false when the files have
// nothing of the object.
func (p *Plan) Locate(find func(a resource.Addr, path string) (r resource.Range, ok bool)) {
	at := func(a resource.Addr, path string) *resource.Range {
		if r, ok := find(a, path); ok && !a.IsZero() {
			return &r
		}
		return nil
	}
	for _, list := range [][]Change{p.Changes, p.Unchanged, p.Drift, p.Pending} {
		for i := range list {
			c := &list[i]
			c.Range = at(c.Addr, "")
			for j := range c.Fields {
				c.Fields[j].Range = at(c.Addr, c.Fields[j].Path)
			}
		}
	}
	for i := range p.Findings {
		f := &p.Findings[i]
		f.Range = at(f.Addr, f.Path)
	}
}

// unlocated is the change without what Locate noted.
func (c Change) unlocated() Change {
	c.Range, c.Fields = nil, slices.Clone(c.Fields)
	for i := range c.Fields {
		c.Fields[i].Range = nil
	}
	return c
}
