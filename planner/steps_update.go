package planner

import (
	"fmt"
	"slices"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/state"
)

// emitKeep adds what brings an object that is there to what is wanted: its mark, its fields, its power, its record.
func (p *planner) emitKeep(o *object) {
	updates := len(o.changes) > 0 || len(o.guestChanges) > 0 && !o.stop
	if o.adopt || !o.movedFrom.IsZero() {
		p.emitAdopt(o, updates)
	}
	if !o.movedFrom.IsZero() {
		p.emitForgetOld(o, fmt.Sprintf("moved to %s", o.addr))
	}
	p.emitUnfinishedRestore(o)
	guarded := updates && p.needsProtection(o)
	early := guarded && p.protectsBeforeStop(o)
	if early {
		p.emitProtect(o)
	}
	if o.stop {
		p.emitDown(o, updates)
	}
	if guarded && !early {
		p.emitProtect(o)
	}
	risky := len(o.steps)
	p.emitChanges(o, updates)
	if guarded {
		p.emitRescue(o, o.steps[risky:])
	}
	if guarded || o.hasProtectSnapshot() {
		p.emitUnprotect(o)
	}
	if (o.mustRecord() || o.powerUnrecorded) && !o.isWritten() {
		o.updated = p.step(o, drivers.NewRecord(o.toRecord), o.destination.host, drivers.ImpactRecord)
		o.updated.Record = o.newRecord(o.toRecord, state.StatusReady, o.keptPower())
	}
}

// emitDown shuts a guest down. What is recorded by it still says what was set before, if updates follow.
func (p *planner) emitDown(o *object, updates bool) {
	rec := o.recordNow()
	if !updates {
		rec = o.newRecord(o.toRecord, state.StatusReady, "")
	}
	p.emitStop(o, o.before.(*resource.VM), rec, max(o.impact, drivers.ImpactRestart))
}

// emitChanges adds the updates of an object, and what brings it up with them.
func (p *planner) emitChanges(o *object, updates bool) {
	if updates {
		first := len(o.steps)
		p.emitUpdates(o)
		p.recordUpdateIntent(o, first)
	}
	// A network whose update was interrupted may be as wanted, and still not be tidied up.
	cut := o.kind == resource.KindNetwork && !updates && o.record != nil && o.record.Status == state.StatusCreating
	if o.inactive || cut {
		p.emitActivate(o)
	}
	if vm, ok := o.after.(*resource.VM); ok && (o.start || o.wait) {
		p.emitStart(o, vm, o.toRecord)
	}
}

// mustRecord tells whether the record differs from what it should be.
func (o *object) mustRecord() bool { return o.recordChanged || o.ruleChange != nil }

// isWritten tells whether one of the object's steps records it as wanted.
func (o *object) isWritten() bool {
	return slices.ContainsFunc(o.steps, func(s *step) bool { return s.Record != nil && s.Record.Object == o.toRecord })
}

// emitAdopt takes an object back, or over to another address. What is recorded by it still says what was set before, if updates follow.
func (p *planner) emitAdopt(o *object, updates bool) {
	if o.stored() || o.kind == resource.KindPool {
		o.updated = p.step(o, drivers.NewRecord(o.toRecord), o.destination.host, drivers.ImpactRecord)
	} else {
		o.updated = p.step(o, drivers.NewSetMark(o.before, p.mark(o, false)), o.destination.host, drivers.ImpactRecord)
	}
	record := o.toRecord
	if updates && o.recorded != nil {
		record = o.recorded
	}
	o.updated.Record = o.newRecord(record, state.StatusReady, o.keptPower())
	if o.restoreUnfinished() {
		o.updated.Record.Restoring = protectSnapshot
	}
}

// emitActivate starts a network or pool again: creating what is there already does no more than that.
func (p *planner) emitActivate(o *object) {
	mark := p.mark(o, false)
	o.updated = p.step(o, drivers.NewCreate(o.after, &mark), o.destination.host, drivers.ImpactLive)
	o.updated.Record = o.newRecord(o.toRecord, state.StatusReady, "")
}

// emitUpdates adds the updates of an object: one for what happens now, and for a running guest one more when part of it
// has to wait for its next start.
func (p *planner) emitUpdates(o *object) {
	live := p.updatesGuest(o)
	impact := o.impact
	if o.kind == resource.KindVM && !live {
		impact = min(impact, drivers.ImpactLive)
		if o.stop && o.start {
			impact = max(o.impact, drivers.ImpactRestart)
		}
	}
	if !live || o.kind != resource.KindVM {
		p.emitUpdate(o, o.before, o.after, live && o.kind != resource.KindVM, impact)
		p.recordWithLastUpdate(o)
		return
	}
	mid := resource.Clone(o.after)
	later, now := false, false
	for _, c := range o.changes {
		if o.impacts[c.Path].Impact == drivers.ImpactNextBoot {
			resource.Keep(mid, o.before, c.Path)
			later = true
		} else {
			now = true
		}
	}
	if now {
		p.emitUpdate(o, o.before, mid, true, drivers.ImpactLive)
	}
	if len(o.guestChanges) > 0 {
		guest := resource.Clone(o.guestBefore)
		for _, c := range o.guestChanges {
			resource.Keep(guest, o.after, c.Path)
		}
		p.emitUpdate(o, o.guestBefore, guest, true, drivers.ImpactLive)
		later = later || len(o.pending) > 0
	}
	if later {
		p.emitUpdate(o, mid, o.after, false, drivers.ImpactNextBoot)
	}
	p.recordWithLastUpdate(o)
}

// updatesGuest tells whether the update changes something that is running now.
func (p *planner) updatesGuest(o *object) bool {
	switch o.kind {
	case resource.KindVM:
		return o.isOn() && !o.stop
	case resource.KindPool, resource.KindNetwork:
		return o.live.Power == drivers.PowerOn
	}
	for _, u := range p.users(o) {
		if u.isOn() {
			return true
		}
	}
	return false
}

func (p *planner) emitUpdate(o *object, before, after resource.Resource, live bool, impact drivers.Impact) {
	o.updated = p.step(o, drivers.NewUpdate(before, after, live), o.destination.host, impact)
	o.updated.KeepRecord = true
}

// recordUpdateIntent has the first update (step number first of the object) record what will have been set before it sets it:
// after an interruption and a change of the files, the next plan must know what to take away. Volumes have no such settings.
func (p *planner) recordUpdateIntent(o *object, first int) {
	if o.kind != resource.KindVM && o.kind != resource.KindNetwork {
		return
	}
	both := o.toRecord
	if o.recorded != nil {
		_, both = resource.Overlay(o.toRecord, nil, o.recorded)
	}
	o.steps[first].Intent = o.newRecord(both, state.StatusCreating, o.keptPower())
}

// record makes the last update write the record.
func (p *planner) recordWithLastUpdate(o *object) {
	o.updated.KeepRecord = false
	o.updated.Record = o.newRecord(o.toRecord, state.StatusReady, o.keptPower())
}
