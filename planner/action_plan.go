package planner

import (
	"fmt"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/state"
)

// actionPlan is a plan of what a user asks for directly: a power action, a snapshot, a flattened disk, the deletion of
// orphans and unused images. Its steps run one after the other for each block, and blocks do not wait for each other.
type actionPlan struct {
	graph
	in   Input
	plan *Plan
	last map[resource.Addr]*step // of each block
}

func newActionPlan(in Input) *actionPlan {
	return &actionPlan{in: in, plan: planOf(in), last: map[resource.Addr]*step{}}
}

// step adds a step behind the others of the same block.
func (a *actionPlan) step(about subject, op drivers.Op, impact drivers.Impact) *step {
	drivers.SetOwner(op, a.owner(about, op.Target()))
	s := a.add(about, op, impact)
	s.after(a.last[s.Group])
	a.last[s.Group] = s
	return s
}

// owner is who the target of a step must belong to. Of what was not observed the mark may have an old address still.
func (a *actionPlan) owner(about subject, target resource.Resource) drivers.Owner {
	seen := a.in.Hosts[about.host].Observed
	if seen == nil {
		return drivers.Owner{Lineage: a.in.State.Lineage}
	}
	return a.in.owner(about.addr, seen.Objects[resource.Key(target)])
}

// finish gives the plan.
func (a *actionPlan) finish() *Plan {
	a.plan.Findings = append(a.plan.Findings, a.in.missingAbilities(a.steps)...)
	a.plan.Steps, _ = a.order() // each step waits for an earlier one, so there is no cycle
	return a.plan
}

// change notes what becomes of an object.
func (a *actionPlan) change(before, after resource.Resource, c Change) {
	base := before.Base()
	c.Addr, c.Kind, c.Name, c.Host = base.Addr, before.Kind(), nameOf(before), base.Host
	c.Before.Resource, c.After.Resource = before, after
	a.plan.Changes = append(a.plan.Changes, c)
}

// about is the subject of steps for what is recorded.
func about(r resource.Resource, cause string) subject {
	return subject{addr: r.Base().Addr, host: r.Base().Host, cause: cause}
}

// existing is an object that is recorded and on its host.
type existing struct {
	rec  *state.Record
	live *drivers.Object
}

// existing looks an object up. The error says why nothing can be asked of it.
func (in *Input) existing(addr resource.Addr) (existing, error) {
	rec := in.State.Records[addr]
	if rec == nil {
		return existing{}, fmt.Errorf("%s is not in the state: see vmplan state list, or create it with vmplan apply", addr)
	}
	base := rec.Object.Base()
	h := in.Hosts[base.Host]
	switch {
	case rec.Status != state.StatusReady && rec.Restoring == "":
		return existing{}, fmt.Errorf("%s is not finished, or no longer managed: see vmplan plan", addr)
	case h.Observed == nil:
		return existing{}, fmt.Errorf("plan: %s lives on host %q, of which nothing is known", addr, base.Host)
	}
	normal, err := h.Rules.Normalize(rec.Object)
	if err != nil {
		normal = rec.Object
	}
	live := h.Observed.Objects[resource.Key(normal)]
	if live == nil {
		return existing{}, fmt.Errorf("%s is not on host %q: see vmplan plan", addr, base.Host)
	}
	return existing{rec: rec, live: live}, nil
}
