package planner

import (
	"fmt"
	"strings"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/state"
)

// What vms and volumes are asked to do beside being as the files say: each makes a plan of its own, from the same Input. The
// errors are about what is asked for. An ordinary plan afterwards finds nothing to do, or what else the files want.

// TakeSnapshot makes the plan that takes a snapshot of a vm: of a guest that runs, with memory or of its disks alone.
func TakeSnapshot(in Input, addr resource.Addr, name string, memory bool) (*Plan, error) {
	e, vm, err := in.existingVM(addr)
	if err == nil {
		err = CheckWhole(e.rec)
	}
	if err != nil {
		return nil, err
	}
	if findSnapshot(e.live, name) != nil {
		return nil, fmt.Errorf("%s has a snapshot %s already: choose another name, or delete it first: vmplan snapshot delete '%s' %s", addr, name, addr, name)
	}
	if name == protectSnapshot {
		return nil, fmt.Errorf("%s: snapshot %s is what protect takes, and the next apply deletes it: choose another name", addr, name)
	}
	if err := in.checkSnapshot(vm, e.live.Power != drivers.PowerOff, memory); err != nil {
		return nil, fmt.Errorf("%s: %w", addr, err)
	}
	a := newActionPlan(in)
	a.step(about(vm, ""), drivers.NewSnapshot(vm, name, memory), drivers.ImpactLive).KeepRecord = true
	return a.finish(), nil
}

// DropSnapshot makes the plan that deletes a snapshot of a vm.
func DropSnapshot(in Input, addr resource.Addr, name string) (*Plan, error) {
	e, vm, err := in.existingVM(addr)
	if err == nil {
		err = CheckWhole(e.rec)
	}
	if err == nil {
		_, err = e.snapshot(name)
	}
	if err != nil {
		return nil, err
	}
	a := newActionPlan(in)
	a.step(about(vm, ""), drivers.NewDropSnapshot(vm, name), drivers.ImpactLive).KeepRecord = true
	return a.finish(), nil
}

// RestoreSnapshot makes the plan that brings the disks of a vm back to a snapshot, and its guest's memory if that is in it.
// What the definition and the power are to be then is for an ordinary plan to say.
func RestoreSnapshot(in Input, addr resource.Addr, name string) (*Plan, error) {
	e, vm, err := in.existingVM(addr)
	if err != nil {
		return nil, err
	}
	snap, err := e.snapshot(name)
	if err == nil {
		err = in.checkRestore(vm)
	}
	if err != nil {
		return nil, err
	}
	change := Change{
		Action: ActionRestore, Impact: drivers.ImpactLive, Loses: writtenSince(vm),
		Cause: fmt.Sprintf("to snapshot %s of %s", name, snap.Created.Format("2006-01-02 15:04:05")),
	}
	a := newActionPlan(in)
	rec := *e.rec
	if e.live.Power != drivers.PowerOff {
		change.Impact, change.Power = drivers.ImpactRestart, "stop"
		rec.Power = state.PowerStarting // an ordinary plan starts it again, if it is interrupted here too
		stop := a.step(about(vm, ""), drivers.NewStop(vm, false), drivers.ImpactRestart)
		stop.Record = &rec
	}
	during, after := rec, rec
	during.Restoring, after.Restoring = name, ""
	after.Status = state.StatusReady // what was to come of the change that is restored over is no longer of interest
	if snap.Memory {
		after.Power = state.PowerOn
		change.Power = "start"
		if change.Impact == drivers.ImpactRestart {
			change.Power = "restart"
		}
		change.Cause += ", with whose memory its guest goes on"
	}
	restore := a.step(about(vm, ""), drivers.NewRestore(vm, name, false), change.Impact)
	restore.Intent, restore.Record = &during, &after
	a.change(vm, vm, change)
	return a.finish(), nil
}

func (in *Input) existingVM(addr resource.Addr) (existing, *resource.VM, error) {
	e, err := in.existing(addr)
	if err != nil {
		return e, nil, err
	}
	vm, ok := e.rec.Object.(*resource.VM)
	if !ok {
		return e, nil, fmt.Errorf("%s is %s, and only vms have snapshots", addr, e.rec.Object.Kind().WithArticle())
	}
	return e, vm, nil
}

func (e *existing) snapshot(name string) (*drivers.SnapshotInfo, error) {
	if s := findSnapshot(e.live, name); s != nil {
		return s, nil
	}
	has := "none"
	if len(e.live.Snapshots) > 0 {
		names := make([]string, len(e.live.Snapshots))
		for i, s := range e.live.Snapshots {
			names[i] = s.Name
		}
		has = strings.Join(names, ", ")
	}
	return nil, fmt.Errorf("%s has no snapshot %s; it has: %s", e.rec.Object.Base().Addr, name, has)
}
