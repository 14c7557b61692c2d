package planner

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/state"
)

// Flatten makes the plan that makes a volume, or the disks of a vm, independent of their base images.
func Flatten(in Input, addr resource.Addr) (*Plan, error) {
	a := newActionPlan(in)
	found := false
	for _, rec := range in.State.Sorted() {
		v, ok := rec.Object.(*resource.Volume)
		if !ok || v.Addr != addr && v.Addr.Owner() != addr || rec.Status != state.StatusReady {
			continue
		}
		e, err := in.existing(v.Addr)
		if err != nil {
			return nil, err
		}
		found = true
		if live, ok := e.live.Resource.(*resource.Volume); !ok || live.Backing == "" && v.Backing == "" {
			continue
		}
		if err := in.snapshotted(v); err != nil {
			return nil, err
		}
		a.flatten(v, rec)
	}
	if !found {
		return nil, fmt.Errorf("%s is no vm or volume in the state: see vmplan state list", addr)
	}
	return a.finish(), nil
}

// flatten adds what makes v independent of its base. It is recorded as a copy of the base: that is what it is from then on.
func (a *actionPlan) flatten(v *resource.Volume, rec *state.Record) {
	flat := resource.Clone(v)
	flat.Backing, flat.CopyOf = "", v.Backing
	after := *rec
	after.Object = flat
	after.DependsOn = slices.DeleteFunc(slices.Clone(rec.DependsOn), func(d resource.Addr) bool { return d == v.Image || d == v.Clone })
	a.step(about(v, ""), drivers.NewFlatten(v), drivers.ImpactLive).Record = &after
	a.change(v, flat, Change{Action: ActionFlatten, Impact: drivers.ImpactLive, Cause: "it takes in what it has of " + v.Backing})
}

// snapshotted refuses to change what v depends on when the vm that has it as a disk has snapshots, which depend on that too.
func (in *Input) snapshotted(v *resource.Volume) error {
	objects := in.Hosts[v.Host].Observed.Objects
	for _, key := range slices.Sorted(maps.Keys(objects)) {
		vm, ok := objects[key].Resource.(*resource.VM)
		if snaps := objects[key].Snapshots; ok && len(snaps) > 0 && slices.ContainsFunc(vm.Disks, func(d resource.Disk) bool { return d.Source == resource.VolumeID(v) }) {
			owner := cmp.Or(vm.Addr.String(), vm.Name)
			return fmt.Errorf("%s cannot be flattened: snapshot %s of %s needs %s too. Delete it first: vmplan snapshot delete '%[3]s' %[2]s", v.Addr, snaps[0].Name, owner, v.Backing)
		}
	}
	return nil
}
