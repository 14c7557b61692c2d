package planner

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
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
	a, vm, err := newVMActionPlan(in, addr)
	if err == nil {
		err = CheckWhole(a.rec)
	}
	if err != nil {
		return nil, err
	}
	if findSnapshot(a.live, name) != nil {
		return nil, fmt.Errorf("%s has a snapshot %s already: choose another name, or delete it first: vmplan snapshot delete '%s' %s", addr, name, addr, name)
	}
	if name == protectSnapshot {
		return nil, fmt.Errorf("%s: snapshot %s is what protect takes, and the next apply deletes it: choose another name", addr, name)
	}
	if err := in.checkSnapshot(vm, a.live.Power != drivers.PowerOff, memory); err != nil {
		return nil, fmt.Errorf("%s: %w", addr, err)
	}
	a.step(drivers.NewSnapshot(vm, name, memory), drivers.ImpactLive).KeepRecord = true
	return a.plan, nil
}

// checkSnapshot tells whether the vm's host takes such a snapshot: its driver has to say so, and the disks must be able to hold it.
func (in *Input) checkSnapshot(vm *resource.VM, on, memory bool) error {
	h := in.Hosts[vm.Host]
	s, ok := h.Rules.(drivers.Snapshotter)
	if !ok {
		return fmt.Errorf("host %q takes no snapshots: %w", vm.Host, drivers.ErrUnsupported)
	}
	for d, live := range in.written(vm) {
		if v, ok := live.Resource.(*resource.Volume); ok && v.Format == "raw" {
			return fmt.Errorf("disk %s is raw, and only qcow2 holds snapshots: %w", d.Label, drivers.ErrUnsupported)
		}
	}
	return s.CheckSnapshot(vm, on, memory)
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
	a, vm, err := newVMActionPlan(in, addr)
	if err == nil {
		err = CheckWhole(a.rec)
	}
	if err == nil {
		_, err = a.snapshot(name)
	}
	if err != nil {
		return nil, err
	}
	a.step(drivers.NewDropSnapshot(vm, name), drivers.ImpactLive).KeepRecord = true
	return a.plan, nil
}

// RestoreSnapshot makes the plan that brings the disks of a vm back to a snapshot, and its guest's memory if that is in it.
// What the definition and the power are to be then is for an ordinary plan to say.
func RestoreSnapshot(in Input, addr resource.Addr, name string) (*Plan, error) {
	a, vm, err := newVMActionPlan(in, addr)
	if err != nil {
		return nil, err
	}
	snap, err := a.snapshot(name)
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
	rec := *a.rec
	if a.live.Power != drivers.PowerOff {
		change.Impact, change.Power = drivers.ImpactRestart, "stop"
		rec.Power = state.PowerStarting // an ordinary plan starts it again, if it is cut short here too
		stop := a.step(drivers.NewStop(vm, false), drivers.ImpactRestart)
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
	restore := a.step(drivers.NewRestore(vm, name, false), change.Impact)
	restore.Intent, restore.Record = &during, &after
	a.change(change)
	return a.plan, nil
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

// checkRestore refuses to bring disks back that others stand on: what these show would change under them.
func (in *Input) checkRestore(vm *resource.VM) error {
	for d, live := range in.written(vm) {
		for _, user := range live.Users {
			if over, ok := strings.CutPrefix(user, string(resource.KindVolume)+"/"); ok {
				return fmt.Errorf("%s is not restored: volume %s stands on its disk %s, and what it holds would be ruined. Cut that loose first: vmplan flatten", vm.Addr, over, d.Label)
			}
		}
	}
	return nil
}

// Flatten makes the plan that cuts a volume, or the disks of a vm, loose from what they stand on.
func Flatten(in Input, addr resource.Addr) (*Plan, error) {
	var plan *Plan
	for _, rec := range in.State.Sorted() {
		v, ok := rec.Object.(*resource.Volume)
		if !ok || v.Addr != addr && v.Addr.Owner() != addr || rec.Status != state.StatusReady {
			continue
		}
		a, err := newActionPlan(in, v.Addr)
		if err != nil {
			return nil, err
		}
		if plan == nil {
			plan = a.plan
		}
		a.plan = plan
		if !a.standsOnBase(v) {
			continue
		}
		if err := in.snapshotted(v); err != nil {
			return nil, err
		}
		a.flatten(v)
	}
	if plan == nil {
		return nil, fmt.Errorf("%s is no vm or volume in the state: see vmplan state list", addr)
	}
	return plan, nil
}

// standsOnBase tells whether v stands on another volume.
func (a *actionPlan) standsOnBase(v *resource.Volume) bool {
	live, ok := a.live.Resource.(*resource.Volume)
	return ok && (live.Backing != "" || v.Backing != "")
}

// flatten adds what lets v stand on nothing. It is recorded as a copy of what it stood on: that is what it is from then on.
func (a *actionPlan) flatten(v *resource.Volume) {
	flat := resource.Clone(v)
	flat.Backing, flat.CopyOf = "", v.Backing
	rec := *a.rec
	rec.Object = flat
	rec.DependsOn = slices.DeleteFunc(slices.Clone(rec.DependsOn), func(d resource.Addr) bool { return d == v.Image || d == v.Clone })
	a.step(drivers.NewFlatten(v), drivers.ImpactLive).Record = &rec
	a.change(Change{Action: ActionFlatten, Impact: drivers.ImpactLive, Cause: "it takes in what it has of " + v.Backing})
}

// snapshotted refuses to change what v stands on when the vm that has it as a disk has snapshots, which stand on that too.
func (in *Input) snapshotted(v *resource.Volume) error {
	objects := in.Hosts[v.Host].Observed.Objects
	for _, key := range slices.Sorted(maps.Keys(objects)) {
		vm, ok := objects[key].Resource.(*resource.VM)
		if snaps := objects[key].Snapshots; ok && len(snaps) > 0 && slices.ContainsFunc(vm.Disks, func(d resource.Disk) bool { return d.Source == resource.VolumeID(v) }) {
			owner := cmp.Or(vm.Addr.String(), vm.Name)
			return fmt.Errorf("%s cannot be flattened: snapshot %s of %s stands on %s too. Delete it first: vmplan snapshot delete '%[3]s' %[2]s", v.Addr, snaps[0].Name, owner, v.Backing)
		}
	}
	return nil
}

// actionPlan is a plan that is made beside what the files say, about one object at a time.
type actionPlan struct {
	plan *Plan
	rec  *state.Record
	live *drivers.Object
}

func newActionPlan(in Input, addr resource.Addr) (*actionPlan, error) {
	rec := in.State.Records[addr]
	if rec == nil {
		return nil, fmt.Errorf("%s is not in the state: see vmplan state list, or create it with vmplan apply", addr)
	}
	base := rec.Object.Base()
	h := in.Hosts[base.Host]
	switch {
	case rec.Status != state.StatusReady && rec.Restoring == "":
		return nil, fmt.Errorf("%s is not finished, or no longer managed: see vmplan plan", addr)
	case h.Observed == nil:
		return nil, fmt.Errorf("plan: %s lives on host %q, of which nothing is known", addr, base.Host)
	}
	normal, err := h.Rules.Normalize(rec.Object)
	if err != nil {
		normal = rec.Object
	}
	live := h.Observed.Objects[resource.Key(normal)]
	if live == nil {
		return nil, fmt.Errorf("%s is not on host %q: see vmplan plan", addr, base.Host)
	}
	return &actionPlan{plan: planOf(in), rec: rec, live: live}, nil
}

func newVMActionPlan(in Input, addr resource.Addr) (*actionPlan, *resource.VM, error) {
	a, err := newActionPlan(in, addr)
	if err != nil {
		return nil, nil, err
	}
	vm, ok := a.rec.Object.(*resource.VM)
	if !ok {
		return nil, nil, fmt.Errorf("%s is %s, and only vms have snapshots", addr, a.rec.Object.Kind().WithArticle())
	}
	return a, vm, nil
}

func (a *actionPlan) snapshot(name string) (*drivers.SnapshotInfo, error) {
	if s := findSnapshot(a.live, name); s != nil {
		return s, nil
	}
	has := "none"
	if len(a.live.Snapshots) > 0 {
		names := make([]string, len(a.live.Snapshots))
		for i, s := range a.live.Snapshots {
			names[i] = s.Name
		}
		has = strings.Join(names, ", ")
	}
	return nil, fmt.Errorf("%s has no snapshot %s; it has: %s", a.rec.Object.Base().Addr, name, has)
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

// step adds a step, behind all others of the object.
func (a *actionPlan) step(op drivers.Op, impact drivers.Impact) *Step {
	base := op.Target().Base()
	s := Step{ID: op.Verb() + " " + base.Addr.String(), Op: drivers.Encoded{Op: op}, Addr: base.Addr, Host: base.Host, Group: base.Addr.Owner(), Impact: impact}
	if n := len(a.plan.Steps); n > 0 && a.plan.Steps[n-1].Addr == s.Addr {
		s.DependsOn = []string{a.plan.Steps[n-1].ID}
	}
	a.plan.Steps = append(a.plan.Steps, s)
	return &a.plan.Steps[len(a.plan.Steps)-1]
}

func (a *actionPlan) change(c Change) {
	base := a.rec.Object.Base()
	c.Addr, c.Kind, c.Name, c.Host = base.Addr, a.rec.Object.Kind(), nameOf(a.rec.Object), base.Host
	c.Before.Resource, c.After.Resource = a.rec.Object, a.rec.Object
	if last := a.plan.Steps[len(a.plan.Steps)-1]; last.Record != nil {
		c.After.Resource = last.Record.Object
	}
	a.plan.Changes = append(a.plan.Changes, c)
}
