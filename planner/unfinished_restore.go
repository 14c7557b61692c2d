package planner

import (
	"fmt"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/state"
)

// emitUnfinishedRestore restores the disks. The definition stays, as all later steps of the plan start from it.
func (p *planner) emitUnfinishedRestore(o *object) {
	if !o.restoreUnfinished() {
		return
	}
	o.disksRestored = p.step(o, drivers.NewRestore(o.before.(*resource.VM), protectSnapshot, false), o.location.host, drivers.ImpactLive)
	o.disksRestored.Record = o.recordNow()
	o.disksRestored.Record.Restoring = ""
}

// linkDisks has changes of a vm's disks wait until the disks are restored, and the protecting snapshot until those changes are
// done: restoring a disk does not change its size.
func (o *object) linkDisks() {
	for _, n := range o.requires {
		if n.kind != resource.KindVolume || n.action != ActionUpdate || len(n.steps) == 0 {
			continue
		}
		n.steps[0].after(o.disksRestored)
		if len(o.protectSteps) > 0 {
			o.protectSteps[0].preferAfter(n.lastStep())
		}
	}
}

// CheckWhole refuses a recorded vm some of whose disks may be restored and others not, and says how to continue.
func CheckWhole(rec *state.Record) error {
	if rec.Restoring == "" {
		return nil
	}
	addr := rec.Object.Base().Addr
	if rec.Restoring == protectSnapshot {
		return fmt.Errorf("%s To continue: vmplan apply", describeUnfinishedRestore(addr, rec))
	}
	return fmt.Errorf("%s To continue: vmplan snapshot restore '%s' %s", describeUnfinishedRestore(addr, rec), addr, rec.Restoring)
}

func describeUnfinishedRestore(addr resource.Addr, rec *state.Record) string {
	return fmt.Sprintf("Restoring %s to its snapshot %s was not finished: some of its disks may be restored, and others not.", addr, rec.Restoring)
}

// refuseUnfinishedRestore refuses to start a guest some of whose disks may not be restored, unless the plan continues the
// restore; where the state of its disks is unknown, it warns.
func (p *planner) refuseUnfinishedRestore(o *object) {
	if o.record == nil || o.record.Restoring == "" || o.restoreUnfinished() {
		return
	}
	find := func(s Severity, detail string) {
		p.addFinding(Finding{Severity: s, Addr: o.addr, Summary: "not completely restored to its snapshot", Detail: detail})
	}
	snap, detail := o.snapshot(o.record.Restoring), describeUnfinishedRestore(o.addr, o.record)
	switch {
	case o.action == ActionUpdate && !o.isOn() && snap != nil:
		find(SeverityError, CheckWhole(o.record).Error())
	case o.action == ActionUpdate && !o.isOn():
		find(SeverityError, fmt.Sprintf("%s The snapshot is gone. Restore another one: vmplan snapshot restore '%s' NAME. Or recreate it: vmplan apply --replace '%[2]s'. Or start it with the host's own tools, if its disks are good as they are.", detail, o.addr))
	case o.action == ActionUpdate && snap != nil && snap.Memory: // its guest has gone on from there, which it cannot do half way
	case o.action == ActionUpdate:
		find(SeverityWarning, fmt.Sprintf("%s Its guest runs, so they are left as they are. To restore it anyway: vmplan snapshot restore '%s' NAME", detail, o.addr))
	case o.start:
		find(SeverityWarning, detail+" The plan starts its guest with the disks that it does not recreate.")
	}
}
