package sim

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
)

// CheckSnapshot implements drivers.Rules, with libvirt's limits.
func (rules) CheckSnapshot(vm *resource.VM, on, memory bool) error {
	if vm.Firmware == "uefi" && (memory || !on) {
		return fmt.Errorf("%w: no snapshot is taken of UEFI firmware's memory; take one of the disks alone while the guest runs", drivers.ErrUnsupported)
	}
	return nil
}

// snapshot keeps what the vm's disks hold. There is no guest whose memory could be kept, so that is only noted.
func (t *tx) snapshot(vm, name string, memory bool) error {
	have, err := find(t.VMs, vm)
	if err != nil || have.snapshot(name) >= 0 {
		return err
	}
	if err := (rules{}).CheckSnapshot(&have.VM, have.on(), memory && have.on()); err != nil {
		return err
	}
	snap := Snapshot{VM: resource.Clone(&have.VM), Disks: map[string]Volume{}, SnapshotInfo: drivers.SnapshotInfo{
		Name: name, Created: time.Now().UTC().Truncate(time.Second), Memory: memory && have.on(), Running: have.on(),
	}}
	snap.Quiesced = snap.Running && !snap.Memory && !t.Guests[vm].Silent
	for _, id := range have.writable() {
		v := t.volume(id)
		if v == nil {
			return fmt.Errorf("volume %s: %w", id, drivers.ErrNotFound)
		}
		if v.Format == "raw" {
			return fmt.Errorf("volume %s is raw, which holds no snapshots: %w", id, drivers.ErrUnsupported)
		}
		snap.Disks[id] = *v
	}
	have.Snapshots = append(slices.Clone(have.Snapshots), snap)
	t.putVM(vm, have)
	return nil
}

func (vm *VM) snapshot(name string) int {
	return slices.IndexFunc(vm.Snapshots, func(s Snapshot) bool { return s.Name == name })
}

// writable are the volumes that the vm writes to.
func (vm *VM) writable() []string {
	var out []string
	for _, d := range vm.Disks {
		if d.Source != "" && (d.ReadOnly == nil || !*d.ReadOnly) {
			out = append(out, d.Source)
		}
	}
	return out
}

func (t *tx) restore(vm, name string, with bool) error {
	have, err := find(t.VMs, vm)
	if err != nil {
		return err
	}
	i := have.snapshot(name)
	if i < 0 {
		return fmt.Errorf("snapshot %s: %w", name, drivers.ErrNotFound)
	}
	snap := have.Snapshots[i]
	for id, was := range snap.Disks {
		v := t.volume(id)
		if v == nil || v.Backing != was.Backing {
			return fmt.Errorf("volume %s is not what it was when the snapshot was taken: %w", id, drivers.ErrConflict)
		}
		t.putVolume(id, &was)
	}
	if with {
		have.VM = *resource.Clone(snap.VM)
	}
	have.Live, have.Saved, have.Power = nil, false, drivers.PowerOff
	if snap.Memory {
		have.Power = drivers.PowerOn
		have.Live = resource.Clone(snap.VM)
	}
	t.putVM(vm, have)
	return nil
}

func (t *tx) dropSnapshot(vm, name string) error {
	have, err := find(t.VMs, vm)
	if errors.Is(err, drivers.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if i := have.snapshot(name); i >= 0 {
		have.Snapshots = slices.Delete(slices.Clone(have.Snapshots), i, i+1)
		t.putVM(vm, have)
	}
	return nil
}

// flatten copies the volume's backing files into it.
func (t *tx) flatten(id string) error {
	have := t.volume(id)
	if have == nil {
		return drivers.ErrNotFound
	}
	if have.Backing == "" {
		return nil
	}
	for name, vm := range t.VMs {
		for _, snap := range vm.Snapshots {
			if _, ok := snap.Disks[id]; ok {
				return fmt.Errorf("%w by snapshot %s of vm %s, which uses the base too", drivers.ErrInUse, snap.Name, name)
			}
		}
	}
	flat := *have
	flat.Content, flat.Backing = t.content(id), ""
	t.putVolume(id, &flat)
	return nil
}
