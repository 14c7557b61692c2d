package planner

import (
	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/state"
)

func (p *planner) emitUp(o *object, vm *resource.VM, record resource.Resource, start bool) {
	if start {
		s := p.step(o, drivers.NewStart(vm), o.destination.host, drivers.ImpactLive)
		s.Record = o.newRecord(record, state.StatusReady, state.PowerOn)
		if o.wait {
			s.Record.Power = state.PowerStarting
		}
		o.started = s
		p.causeOfPower(o, s)
	}
	if o.wait {
		s := p.step(o, drivers.NewWaitReady(vm), o.destination.host, drivers.ImpactLive)
		s.Record = o.newRecord(record, state.StatusReady, state.PowerOn)
		o.ready = s
		p.causeOfPower(o, s)
	}
}

func (p *planner) emitStop(o *object, vm *resource.VM, rec *state.Record, impact drivers.Impact) {
	if want, ok := o.planned.(*resource.VM); ok && want.ShutdownTimeout != vm.ShutdownTimeout {
		vm = resource.Clone(vm)
		vm.ShutdownTimeout = want.ShutdownTimeout
	}
	s := p.step(o, drivers.NewStop(vm, false), o.location.host, impact)
	rec.Power = o.nextPower()
	s.Record = rec
	if o.start {
		intent := *rec // that the guest is to come back must not be lost
		s.Intent = &intent
	}
	o.stopped = s
	if o.action == ActionUpdate {
		p.causeOfPower(o, s)
	}
}

func (p *planner) causeOfPower(o *object, s *step) {
	if o.action == ActionUpdate && o.powerCause != "" {
		s.Cause = o.powerCause
	}
}
