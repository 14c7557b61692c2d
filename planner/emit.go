package planner

import (
	"fmt"
	"strings"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/state"
)

// emit turns the object's fate into steps. Steps of one object run one after the other, in the order they are emitted in.
func (p *planner) emit(o *object) {
	p.emitMove(o)
	p.emitTriggered(o)
	if o.yielded != nil {
		p.leave(o, o.yielded)
	}
	switch o.fate {
	case fateCreate:
		p.emitCreate(o)
	case fateKeep:
		p.emitKeep(o)
	case fateReplace:
		if o.deferred {
			p.leave(o, p.behind(o))
		} else {
			p.emitDelete(o)
		}
		p.emitCreate(o)
	case fateDelete:
		p.emitDelete(o)
	case fateRelease:
		p.emitRelease(o)
	case fateForget:
		if o.gone = o.left; o.gone == nil {
			o.gone = p.step(o, drivers.NewForget(o.was), o.at.host, drivers.ImpactRecord)
		}
	}
}

// step adds a step to the object's chain. It removes the record unless the caller says otherwise.
func (p *planner) step(o *object, op drivers.Op, host string, impact drivers.Impact) *step {
	id := op.Verb() + " " + o.addr.String()
	for n := 2; p.ids[id]; n++ {
		id = fmt.Sprintf("%s %s #%d", op.Verb(), o.addr, n)
	}
	p.ids[id] = true
	s := &step{Step: Step{
		ID: id, Op: drivers.Encoded{Op: op}, Addr: o.addr, Host: host, Cause: o.cause, Group: o.addr.Owner(), Impact: impact,
	}}
	if n := len(o.steps); n > 0 {
		s.deps = append(s.deps, o.steps[n-1])
	}
	o.steps = append(o.steps, s)
	p.steps = append(p.steps, s)
	return s
}

func (p *planner) mark(o *object, released bool) drivers.Mark {
	return drivers.Mark{Lineage: p.in.State.Lineage, Addr: o.addr, Version: p.in.Version, Released: released}
}

// recorded makes a record of r as this object.
func (o *object) recorded(r resource.Resource, status state.Status, power string) *state.Record {
	rec := &state.Record{Object: r, Status: status, Power: power}
	if o.want == nil && o.rec != nil {
		rec.DependsOn = o.rec.DependsOn
	}
	for _, n := range o.needs {
		if n.managed() && !o.copies(n) {
			rec.DependsOn = append(rec.DependsOn, n.addr)
		}
	}
	return rec
}

func (p *planner) emitCreate(o *object) {
	impact := drivers.ImpactLive
	if o.fate == fateReplace {
		impact = o.replaceImpact()
	}
	var mark *drivers.Mark
	if o.kind == resource.KindVM || o.kind == resource.KindNetwork {
		m := p.mark(o, false)
		mark = &m
	}
	power := ""
	if o.kind == resource.KindVM {
		power = o.nextPower()
	}
	p.emitBuild(o, impact)
	s := p.step(o, drivers.NewCreate(o.want, mark), o.goal.host, impact)
	s.Intent = o.recorded(o.want, state.StatusCreating, power)
	if p.unseen(o) && o.kind != resource.KindSeed && o.rec.Status == state.StatusReady {
		// Its bits may turn out to be there. What is recorded as being made is deleted and made anew after a crash, and so
		// are the volumes that stand on it.
		s.Intent = o.recordNow()
	}
	s.Record = o.recorded(o.want, state.StatusReady, power)
	o.made = s
	if o.taken == nil {
		o.taken = s
	}
	if vm, ok := o.want.(*resource.VM); ok {
		p.emitStart(o, vm, o.want)
	}
}

// emitStart adds what brings a vm up, and down and up again where an image is made from it. vm is as the host has it by then,
// record what is recorded of it.
func (p *planner) emitStart(o *object, vm *resource.VM, record resource.Resource) {
	p.emitUp(o, vm, record, o.start)
	p.emitLend(o)
}

func (p *planner) emitUp(o *object, vm *resource.VM, record resource.Resource, start bool) {
	if start {
		s := p.step(o, drivers.NewStart(vm), o.goal.host, drivers.ImpactLive)
		s.Record = o.recorded(record, state.StatusReady, state.PowerOn)
		if o.wait {
			s.Record.Power = state.PowerStarting
		}
		o.up = s
		p.causeOfPower(o, s)
	}
	if o.wait {
		s := p.step(o, drivers.NewWaitReady(vm), o.goal.host, drivers.ImpactLive)
		s.Record = o.recorded(record, state.StatusReady, state.PowerOn)
		o.ready = s
		p.causeOfPower(o, s)
	}
}

func (p *planner) emitDelete(o *object) {
	impact := drivers.ImpactDestroy
	if o.fate == fateReplace {
		impact = drivers.ImpactReplace
	}
	if o.abandoned() {
		impact = drivers.ImpactLive
	}
	target := o.target()
	if o.stop {
		p.emitStop(o, target.(*resource.VM), o.recordNow(), impact)
	}
	s := p.step(o, drivers.NewDelete(target), o.at.host, impact)
	s.Intent = o.recordNow()
	if !o.stored() || s.Intent.Status != state.StatusCreating { // bits that may be half there stay known as such until they are gone
		s.Intent.Status = state.StatusDeleting
	}
	s.Loses = o.loses()
	if o.fate == fateReplace {
		// Until the new one begins, the record of the old one holds what the vm's power is to be.
		s.KeepRecord = true
		if o.kind == resource.KindVM {
			s.Intent.Power = o.nextPower()
		}
	}
	o.gone = s
}

func (p *planner) emitStop(o *object, vm *resource.VM, rec *state.Record, impact drivers.Impact) {
	if want, ok := o.want.(*resource.VM); ok && want.ShutdownTimeout != vm.ShutdownTimeout {
		vm = resource.Clone(vm)
		vm.ShutdownTimeout = want.ShutdownTimeout
	}
	s := p.step(o, drivers.NewStop(vm, false), o.at.host, impact)
	rec.Power = o.nextPower()
	s.Record = rec
	if o.start {
		intent := *rec // that the guest is to come back must not be lost
		s.Intent = &intent
	}
	o.off = s
	if o.fate == fateKeep {
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
	if o.fate == fateKeep && o.powerCause != "" {
		s.Cause = o.powerCause
	}
}

// target is the object as it is, for an operation that takes it away.
func (o *object) target() resource.Resource {
	if o.before == nil {
		o.before, _ = resource.Overlay(o.was, o.was, o.liveResource())
	}
	return o.before
}

// recordNow is a copy of the record as it stands, or as it would be for an object that has none.
func (o *object) recordNow() *state.Record {
	if o.rec == nil {
		return o.recorded(o.target(), state.StatusReady, o.livePower())
	}
	rec := *o.rec
	return &rec
}

// loses names what nobody can bring back when the object is deleted.
func (o *object) loses() []string {
	vol, ok := o.was0().(*resource.Volume)
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

// behind gives what a deferred replacement replaces an address of its own, under which it is deleted in the end. A run that was
// cut short may have done that already.
func (p *planner) behind(o *object) *object {
	addr := o.addr.WithPart(strings.TrimPrefix(o.addr.Part+"."+leftBehind, "."))
	for n := 2; p.objects[addr] != nil; n++ {
		if done := p.objects[addr]; done.rec != nil && done.leftBehindBy(o) && done.at == o.at {
			done.chosen, done.fate, done.cause = false, fateNone, o.cause
			return done
		}
		addr.Part = fmt.Sprintf("%s.%s-%d", o.addr.Part, leftBehind, n)
		addr.Part = strings.TrimPrefix(addr.Part, ".")
	}
	was := resource.Clone(o.was0())
	was.Base().Addr = addr
	old := &object{
		addr: addr, kind: o.kind, was: was, live: o.live, at: o.at, leans: o.leans, fate: fateDelete, cause: o.cause,
		rec: &state.Record{Object: was, Status: state.StatusDeleting},
	}
	if o.rec != nil {
		old.rec.DependsOn = o.rec.DependsOn
		if o.rec.Status == state.StatusCreating {
			old.rec.Status = state.StatusCreating // it may be half there, so it is not restored
		}
	}
	p.objects[addr] = old
	old.set = p.step(old, drivers.NewRecord(was), old.at.host, drivers.ImpactRecord)
	old.set.Record = old.rec
	return old
}

// leave deletes old, unless a guest runs with it or disks stay upon it.
func (p *planner) leave(o, old *object) {
	o.old = old
	if o.postponed {
		return
	}
	p.left = append(p.left, old)
	p.emitDelete(old)
	old.gone.Impact = o.replaceImpact()
}

// replaceImpact is how far a replacement reaches: an image or a seed that gets a successor loses nobody anything by that alone.
func (o *object) replaceImpact() drivers.Impact {
	if o.deferred && o.kind != resource.KindVolume {
		return drivers.ImpactLive
	}
	return drivers.ImpactReplace
}

// leftBehind is the last part of the address of what a replacement has left to be deleted.
const leftBehind = "old"

func isLeftBehind(a resource.Addr) bool {
	last := a.Part[strings.LastIndex(a.Part, ".")+1:]
	return last == leftBehind || strings.HasPrefix(last, leftBehind+"-")
}

// abandoned tells whether the object is an image or a seed that an earlier plan has replaced already.
func (o *object) abandoned() bool {
	return o.want == nil && isLeftBehind(o.addr) && o.stored() && o.kind != resource.KindVolume
}

func (p *planner) emitRelease(o *object) {
	marked := o.kind == resource.KindVM || o.kind == resource.KindNetwork
	kept := o.recordNow()
	kept.Status = state.StatusReleased
	drop := o.want != nil || o.retain
	var s *step
	switch {
	case marked:
		s = p.step(o, drivers.NewSetMark(o.target(), p.mark(o, true)), o.at.host, drivers.ImpactRecord)
	case drop:
		s = p.step(o, drivers.NewForget(o.was), o.at.host, drivers.ImpactRecord)
	default:
		s = p.step(o, drivers.NewRecord(o.was), o.at.host, drivers.ImpactRecord)
	}
	if !drop {
		s.Record = kept
	}
}
