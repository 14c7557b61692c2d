package planner

import (
	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/state"
)

// emit turns what is decided of the object into steps. Steps of one object run one after the other, in the order they are emitted in.
func (p *planner) emit(o *object) {
	p.emitMove(o)
	p.emitTriggered(o)
	p.emitPredecessor(o)
	switch o.action {
	case ActionCreate:
		p.emitCreate(o)
	case ActionUpdate:
		p.emitKeep(o)
	case ActionReplace:
		if !o.createBeforeDelete {
			p.emitDelete(o)
		}
		p.emitCreate(o)
	case ActionDelete:
		p.emitDelete(o)
	case ActionRelease:
		p.emitRelease(o)
	case ActionForget:
		if o.deleted = o.oldRecordForgotten; o.deleted == nil {
			o.deleted = p.step(o, drivers.NewForget(o.recorded), o.location.host, drivers.ImpactRecord)
		}
	}
}

func (p *planner) emitCreate(o *object) {
	impact := drivers.ImpactLive
	if o.action == ActionReplace {
		impact = o.replaceImpact()
	}
	var mark *drivers.Mark
	if p.marks(o.kind, o.destination.host) {
		m := p.mark(o, false)
		mark = &m
	}
	power := ""
	if o.kind == resource.KindVM {
		power = o.nextPower()
	}
	p.emitBuild(o, impact)
	s := p.step(o, drivers.NewCreate(o.planned, mark), o.destination.host, impact)
	s.Intent = o.newRecord(o.planned, state.StatusCreating, power)
	if p.poolIsUndefined(o) && o.kind != resource.KindSeed && o.record.Status == state.StatusReady {
		// Its bits may turn out to be there. What is recorded as being made is deleted and recreated after a crash, and so
		// are the volumes that depend on it.
		s.Intent = o.recordNow()
	}
	s.Record = o.newRecord(o.planned, state.StatusReady, power)
	o.created = s
	if o.copied == nil {
		o.copied = s
	}
	if vm, ok := o.planned.(*resource.VM); ok {
		p.emitStart(o, vm, o.planned)
	}
}
