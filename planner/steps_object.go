package planner

import (
	"slices"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/state"
)

// step adds a step to the object's chain: it runs after the steps that are there.
func (p *planner) step(o *object, op drivers.Op, host string, impact drivers.Impact) *step {
	drivers.SetOwner(op, p.in.owner(o.addr, o.live))
	s := p.add(subject{addr: o.addr, host: host, cause: o.cause}, op, impact)
	if n := len(o.steps); n > 0 {
		s.after(o.steps[n-1])
	}
	o.steps = append(o.steps, s)
	return s
}

func (p *planner) mark(o *object, released bool) drivers.Mark {
	return drivers.Mark{Lineage: p.in.State.Lineage, Addr: o.addr, Version: p.in.Version, Released: released}
}

// newRecord makes a record of r as this object.
func (o *object) newRecord(r resource.Resource, status state.Status, power string) *state.Record {
	if o.dependsOn == nil {
		o.dependsOn = o.recordedDependencies()
	}
	return &state.Record{Object: r, Status: status, Power: power, DependsOn: o.dependsOn}
}

// recordedDependencies are the addresses that records of the object name.
func (o *object) recordedDependencies() []resource.Addr {
	if o.desired == nil && o.record != nil {
		return o.record.DependsOn
	}
	var out []resource.Addr
	for _, n := range o.requires {
		if n.managed() && !o.onlyBeganAs(n) {
			out = append(out, n.addr)
		}
	}
	return slices.Clip(out)
}

// recordNow is a copy of the record as it stands, or as it would be for an object that has none.
func (o *object) recordNow() *state.Record {
	if o.record == nil {
		return o.newRecord(o.before, state.StatusReady, o.livePower())
	}
	rec := *o.record
	return &rec
}

// lastStep is the last step that brings the object to what is wanted.
func (o *object) lastStep() *step {
	switch o.action {
	case ActionCreate, ActionUpdate, ActionReplace:
		if len(o.steps) > 0 {
			return o.steps[len(o.steps)-1]
		}
	}
	return nil
}

// nextPower is what is recorded of the power of a vm that is off for now.
func (o *object) nextPower() string {
	if o.start {
		return state.PowerStarting
	}
	return state.PowerOff
}

// keptPower is what is recorded of the power of a vm that the plan does not start.
func (o *object) keptPower() string {
	switch {
	case o.kind != resource.KindVM:
		return ""
	case o.stop && o.start:
		return state.PowerStarting
	case o.stop:
		return state.PowerOff
	case o.record == nil || o.record.Power == "" || o.powerUnrecorded:
		return o.livePower()
	}
	return o.record.Power
}

// marks tells whether objects of the kind carry a mark on a host.
func (p *planner) marks(kind resource.Kind, host string) bool {
	return p.in.Hosts[host].Rules.Marks(kind)
}
