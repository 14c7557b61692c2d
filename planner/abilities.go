package planner

import (
	"fmt"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
)

func (p *planner) checkAbilities() {
	p.plan.Findings = append(p.plan.Findings, p.in.missingAbilities(p.steps)...)
}

// missingAbilities finds what the hosts of the steps cannot do, each thing once for an object.
func (in *Input) missingAbilities(steps []*step) []Finding {
	type lack struct {
		addr    resource.Addr
		ability drivers.Ability
	}
	var out []Finding
	seen := map[lack]bool{}
	for _, s := range steps {
		rules := in.Hosts[s.Host].Rules
		if rules == nil {
			continue // the plan was made without a look at the host
		}
		for _, need := range drivers.Needs(s.Op.Op) {
			err := rules.Can(need.Ability)
			if at := (lack{s.Addr, need.Ability}); err != nil && !seen[at] {
				seen[at] = true
				out = append(out, Finding{
					Severity: SeverityError, Addr: s.Addr, Path: need.Path, Summary: "the host cannot do this",
					Detail: fmt.Sprintf("Host %q %v. %s needs that.", s.Host, err, s.Addr),
				})
			}
		}
	}
	return out
}
