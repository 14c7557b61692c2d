package planner

import (
	"fmt"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/state"
)

// emitUnfinishedRestore brings the disks back. The definition stays what it is, as all that the plan does to it begins there.
func (p *planner) emitUnfinishedRestore(o *object) {
	if !o.restoreUnfinished() {
		return
	}
	o.disksRestored = p.step(o, drivers.NewRestore(o.before.(*resource.VM), protectSnapshot, false), o.location.host, drivers.ImpactLive)
	o.disksRestored.Record = o.recordNow()
	o.disksRestored.Record.Restoring = ""
}

// linkDisks lets what is done to the disks of a vm wait until they are whole, and the snapshot that protects it until that is
// done: a disk that is brought back to it keeps its size.
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

// CheckWhole refuses a recorded vm of whose disks one may hold what was and another what is, and says how to go on.
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

// refuseUnfinishedRestore refuses to start a guest with such disks, where the plan does not go on to bring them back; and says so where
// nobody can tell what they hold.
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
