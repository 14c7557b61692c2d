package planner

import (
	"fmt"
	"slices"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/state"
)

// needsProtection tells whether the vm is to be protected from what the plan does to it: a change that takes effect when its
// guest starts.
func (p *planner) needsProtection(o *object) bool {
	vm, ok := o.planned.(*resource.VM)
	return ok && vm.Protect != nil && vm.Protect.Snapshot && o.action == ActionUpdate && o.start && (o.stop || !o.isOn()) && len(o.changes) > 0
}

// protectsBeforeStop tells whether the snapshot must be taken before the guest is shut down, because the host takes none
// afterwards. What the guest writes until it is off is then not in it.
func (p *planner) protectsBeforeStop(o *object) bool {
	vm := o.before.(*resource.VM)
	return o.isOn() && p.in.checkSnapshot(vm, false, false) != nil && p.in.checkSnapshot(vm, true, false) == nil
}

// refuseUnprotectable refuses a change that is to be protected where the host cannot take a snapshot.
func (p *planner) refuseUnprotectable(o *object) {
	if !p.needsProtection(o) || p.protectsBeforeStop(o) || o.hasProtectSnapshot() && !o.protectSnapshotIsStale() {
		return
	}
	if err := p.in.checkSnapshot(o.before.(*resource.VM), false, false); err != nil {
		p.refuseAt(o, "protect.snapshot", "cannot be protected", fmt.Sprintf(
			"%s has protect { snapshot = true }, and the plan changes it with a restart (%s), but no snapshot can be taken before that: %v. Take protect out to change it all the same.", o.addr, o.cause, err))
	}
}

// protectSnapshotIsStale tells whether the snapshot of an earlier run is no longer what a failed change has to restore: that
// run completed its change, or the guest has run since, and what it wrote would be lost.
func (o *object) protectSnapshotIsStale() bool {
	return o.hasProtectSnapshot() && (o.isOn() || o.record == nil || o.record.Status == state.StatusReady)
}

// emitProtect takes the snapshot, of the disks alone. That of an earlier run is kept if it is still good.
func (p *planner) emitProtect(o *object) {
	first := len(o.steps)
	switch {
	case o.protectSnapshotIsStale():
		p.step(o, drivers.NewDropSnapshot(o.before.(*resource.VM), protectSnapshot), o.location.host, drivers.ImpactLive).KeepRecord = true
	case o.hasProtectSnapshot():
		return
	}
	s := p.step(o, drivers.NewSnapshot(o.before.(*resource.VM), protectSnapshot, false), o.location.host, drivers.ImpactLive)
	s.KeepRecord = true
	o.protectSteps = o.steps[first:]
}

// emitRescue restores the vm when one of the risky steps fails: disks, definition and power. What is recorded is what was
// recorded before.
func (p *planner) emitRescue(o *object, risky []*step) {
	o.protectedSteps = slices.Clone(risky)
	chain := len(o.steps)
	restore := p.step(o, drivers.NewRestore(o.before.(*resource.VM), protectSnapshot, true), o.location.host, drivers.ImpactRestart)
	restore.Record = o.recordNow()
	restore.Record.Power, restore.Record.Restoring = o.nextPower(), ""
	restore.deps = nil
	intent := *risky[0].Intent // a restore that fails half way must not be taken for one that was done: the next plan goes on with it
	intent.Power, intent.Restoring = o.nextPower(), protectSnapshot
	restore.Intent = &intent
	if o.isOn() {
		p.emitStartAsBefore(o)
	}
	p.step(o, drivers.NewDropSnapshot(o.before.(*resource.VM), protectSnapshot), o.location.host, drivers.ImpactLive).KeepRecord = true
	for _, s := range o.steps[chain:] {
		s.rescues, s.Cause = o.protectedSteps, "what was changed has failed"
	}
	if o.stopped != nil && len(o.protectSteps) > 0 && slices.Contains(o.protectSteps[0].deps, o.stopped) { // it is off already when the snapshot fails
		s := p.emitStartAsBefore(o)
		s.deps, s.rescues, s.Cause = nil, slices.Clone(o.protectSteps), "what was to protect it has failed"
	}
	o.steps = o.steps[:chain] // nothing of the vm waits for these
}

// emitStartAsBefore starts the guest with the definition that it had.
func (p *planner) emitStartAsBefore(o *object) *step {
	start := p.step(o, drivers.NewStart(o.before.(*resource.VM)), o.location.host, drivers.ImpactLive)
	start.Record = o.recordNow()
	start.Record.Power = state.PowerOn
	if recorded, ok := start.Record.Object.(*resource.VM); ok && recorded.Ready != nil {
		start.Record.Power = state.PowerStarting // the next apply sees whether it is ready
	}
	return start
}

// emitUnprotect deletes the snapshot once all went well.
func (p *planner) emitUnprotect(o *object) {
	o.unprotected = p.step(o, drivers.NewDropSnapshot(o.after.(*resource.VM), protectSnapshot), o.destination.host, drivers.ImpactLive)
	o.unprotected.KeepRecord = true
}
