package planner

import (
	"slices"

	"vmplan.dev/vmplan/config/resource"
)

// Beyond gives the changes that go further than the limit allows. What is created touches nothing that exists.
func (l *Limit) Beyond(changes []Change) []Change {
	if l == nil {
		return nil
	}
	var out []Change
	for _, c := range changes {
		allowed := slices.ContainsFunc(l.Allow, func(a resource.Addr) bool { return a.Contains(c.Addr) })
		if c.Action != ActionCreate && c.Impact > l.Impact && !allowed {
			out = append(out, c)
		}
	}
	return out
}

// Beyond gives the changes that go further than the plan's own limit allows: such a plan must not be carried out.
func (p *Plan) Beyond() []Change { return p.Options.Limit.Beyond(p.Changes) }
