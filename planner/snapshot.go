package planner

import (
	"fmt"
	"iter"
	"slices"
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

// checkSnapshot tells whether the vm's host takes such a snapshot: its driver has to say so, and the disks must be able to hold it.
func (in *Input) checkSnapshot(vm *resource.VM, on, memory bool) error {
	rules := in.Hosts[vm.Host].Rules
	for _, need := range drivers.Needs(drivers.NewSnapshot(vm, "", memory)) {
		if err := rules.Can(need.Ability); err != nil {
			return fmt.Errorf("host %q: %w", vm.Host, err)
		}
	}
	formats := rules.Defaults().SnapshotFormats
	for d, live := range in.written(vm) {
		if v, ok := live.Resource.(*resource.Volume); ok && !slices.Contains(formats, v.Format) {
			return fmt.Errorf("disk %s is %s, and only %s holds snapshots: %w", d.Label, v.Format, strings.Join(formats, ", "), drivers.ErrUnsupported)
		}
	}
	return rules.CheckSnapshot(vm, on, memory)
}

// written gives the disks that the vm may write to, with what its host has of them.
func (in *Input) written(vm *resource.VM) iter.Seq2[resource.Disk, *drivers.Object] {
	return func(yield func(resource.Disk, *drivers.Object) bool) {
		for _, d := range vm.Disks {
			live := in.Hosts[vm.Host].Observed.Objects[volumeKey(d.Source)]
			if live != nil && writes(vm, volumeKey(d.Source)) && !yield(d, live) {
				return
			}
		}
	}
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

// writtenSince is what a vm loses that is brought back to a snapshot.
func writtenSince(vm *resource.VM) []string {
	var out []string
	for _, d := range vm.Disks {
		if writes(vm, volumeKey(d.Source)) {
			out = append(out, fmt.Sprintf("what was written to disk %s since then", d.Label))
		}
	}
	return out
}

// checkRestore refuses to bring disks back that others depend on: what these show would change under them.
func (in *Input) checkRestore(vm *resource.VM) error {
	for d, live := range in.written(vm) {
		for _, user := range live.Users {
			if over, ok := strings.CutPrefix(user, string(resource.KindVolume)+"/"); ok {
				return fmt.Errorf("%s is not restored: volume %s is an overlay of its disk %s, and restoring that disk would corrupt it. Make the overlay independent first: vmplan flatten", vm.Addr, over, d.Label)
			}
		}
	}
	return nil
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

// findSnapshot gives the snapshot of that name; nil when there is none.
func findSnapshot(live *drivers.Object, name string) *drivers.SnapshotInfo {
	for i := range live.Snapshots {
		if live.Snapshots[i].Name == name {
			return &live.Snapshots[i]
		}
	}
	return nil
}
