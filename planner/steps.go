package planner

import (
	"fmt"
	"strings"

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

// marks tells whether objects of the kind carry a mark on a host.
func (p *planner) marks(kind resource.Kind, host string) bool {
	return p.in.Hosts[host].Rules.Marks(kind)
}

func (p *planner) mark(o *object, released bool) drivers.Mark {
	return drivers.Mark{Lineage: p.in.State.Lineage, Addr: o.addr, Version: p.in.Version, Released: released}
}

// newRecord makes a record of r as this object.
func (o *object) newRecord(r resource.Resource, status state.Status, power string) *state.Record {
	rec := &state.Record{Object: r, Status: status, Power: power}
	if o.desired == nil && o.record != nil {
		rec.DependsOn = o.record.DependsOn
	}
	for _, n := range o.requires {
		if n.managed() && !o.onlyBeganAs(n) {
			rec.DependsOn = append(rec.DependsOn, n.addr)
		}
	}
	return rec
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

// emitStart adds what brings a vm up, and down and up again where an image is made from it. vm is as the host has it by then,
// record what is recorded of it.
func (p *planner) emitStart(o *object, vm *resource.VM, record resource.Resource) {
	p.emitUp(o, vm, record, o.start)
	p.emitSecondDowntime(o)
}

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

func (p *planner) emitDelete(o *object) {
	impact := drivers.ImpactDestroy
	if o.action == ActionReplace {
		impact = drivers.ImpactReplace
	}
	if o.isReplacedLeftover() {
		impact = drivers.ImpactLive
	}
	target := o.before
	if o.stop {
		p.emitStop(o, target.(*resource.VM), o.recordNow(), impact)
	}
	s := p.step(o, drivers.NewDelete(target), o.location.host, impact)
	s.Intent = o.recordNow()
	if !o.stored() || s.Intent.Status != state.StatusCreating { // bits that may be half there stay known as such until they are gone
		s.Intent.Status = state.StatusDeleting
	}
	s.Loses = o.lossesOf()
	if o.action == ActionReplace {
		// Until the new one begins, the record of the old one holds what the vm's power is to be.
		s.KeepRecord = true
		if o.kind == resource.KindVM {
			s.Intent.Power = o.nextPower()
		}
	}
	o.deleted = s
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

// nextPower is what is recorded of the power of a vm that is off for now.
func (o *object) nextPower() string {
	if o.start {
		return state.PowerStarting
	}
	return state.PowerOff
}

func (p *planner) causeOfPower(o *object, s *step) {
	if o.action == ActionUpdate && o.powerCause != "" {
		s.Cause = o.powerCause
	}
}

// asRecorded is the live object in the fields that are recorded: what is taken away.
func (o *object) asRecorded() resource.Resource {
	before, _ := resource.Overlay(o.recorded, o.recorded, o.liveResource())
	return before
}

// recordNow is a copy of the record as it stands, or as it would be for an object that has none.
func (o *object) recordNow() *state.Record {
	if o.record == nil {
		return o.newRecord(o.before, state.StatusReady, o.livePower())
	}
	rec := *o.record
	return &rec
}

// lossesOf names what nobody can bring back when the object is deleted.
func (o *object) lossesOf() []string {
	vol, ok := o.current().(*resource.Volume)
	if !ok {
		return o.live.Kept
	}
	if live, ok := o.live.Resource.(*resource.Volume); ok {
		vol = live
	}
	return []string{fmt.Sprintf("%s (%s)", o.lossName(), vol.Size)}
}

// lossName is what people call a volume: disk root, volume db.
func (o *object) lossName() string {
	if label, ok := strings.CutPrefix(o.addr.Part, "disk."); ok {
		return "disk " + strings.TrimSuffix(label, ".old")
	}
	return "volume " + o.addr.Name + o.addr.Key
}

// replaceImpact is how far a replacement reaches: an image or a seed that gets a successor loses nobody anything by that alone.
func (o *object) replaceImpact() drivers.Impact {
	if o.createBeforeDelete && o.kind != resource.KindVolume {
		return drivers.ImpactLive
	}
	return drivers.ImpactReplace
}

// isReplacedLeftover tells whether the object is an image or a seed that an earlier plan has replaced already.
func (o *object) isReplacedLeftover() bool {
	return o.desired == nil && isLeftBehind(o.addr) && o.stored() && o.kind != resource.KindVolume
}

func (p *planner) emitRelease(o *object) {
	marked := p.marks(o.kind, o.location.host)
	kept := o.recordNow()
	kept.Status = state.StatusReleased
	drop := o.desired != nil || o.retain
	var s *step
	switch {
	case marked:
		s = p.step(o, drivers.NewSetMark(o.before, p.mark(o, true)), o.location.host, drivers.ImpactRecord)
	case drop:
		s = p.step(o, drivers.NewForget(o.recorded), o.location.host, drivers.ImpactRecord)
	default:
		s = p.step(o, drivers.NewRecord(o.recorded), o.location.host, drivers.ImpactRecord)
	}
	if !drop {
		s.Record = kept
	}
}
