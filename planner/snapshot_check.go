package planner

import (
	"fmt"
	"iter"
	"slices"
	"strings"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
)

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

// findSnapshot gives the snapshot of that name; nil when there is none.
func findSnapshot(live *drivers.Object, name string) *drivers.SnapshotInfo {
	for i := range live.Snapshots {
		if live.Snapshots[i].Name == name {
			return &live.Snapshots[i]
		}
	}
	return nil
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
