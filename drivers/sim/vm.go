package sim

import (
	"fmt"
	"slices"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
)

func (t *tx) createVM(vm *resource.VM, mark *drivers.Mark) error {
	if err := otherUUID(t.VMs, vm.Name, vm.UUID, func(v *VM) string { return v.UUID }); err != nil {
		return err
	}
	next := &VM{VM: *bare(vm), Mark: cloneMark(mark)}
	if have := t.VMs[vm.Name]; have != nil {
		next.Power, next.Boots = have.Power, have.Boots
		if have.on() {
			next.Live = have.running()
		}
		if mark == nil {
			next.Mark = have.Mark
		}
	}
	t.fillVM(vm.Name, next)
	if err := t.checkDevices(&next.VM); err != nil {
		return err
	}
	if err := t.checkHost(&next.VM); err != nil {
		return err
	}
	t.putVM(vm.Name, next)
	return nil
}

// checkDevices looks for what the vm uses.
func (t *tx) checkDevices(vm *resource.VM) error {
	for _, d := range vm.Disks {
		if d.Source != "" && t.volume(d.Source) == nil {
			return fmt.Errorf("disk %s: volume %s: %w", d.Label, d.Source, drivers.ErrNotFound)
		}
	}
	for _, n := range vm.NICs {
		if n.Source != "" && t.Networks[n.Source] == nil {
			return fmt.Errorf("nic %s: network %s: %w", n.Label, n.Source, drivers.ErrNotFound)
		}
	}
	return nil
}

func (t *tx) checkHost(vm *resource.VM) error {
	if vm.Arch != t.Arch {
		return fmt.Errorf("arch: the host runs %s, not %s: %w", t.Arch, vm.Arch, drivers.ErrUnsupported)
	}
	if !slices.Contains(t.DomainTypes, vm.DomainType) {
		return fmt.Errorf("domain_type: the host has no %s: %w", vm.DomainType, drivers.ErrUnsupported)
	}
	return nil
}

// updateVM changes the definition and, with live, also the running guest, as far as a guest can be changed while it runs.
func (t *tx) updateVM(was, will *resource.VM, live bool) error {
	vm, err := t.findRenamed(was, will)
	if err != nil {
		return err
	}
	if will.UUID != "" && will.UUID != vm.UUID {
		return fmt.Errorf("there is another of this name, with UUID %s: %w", vm.UUID, drivers.ErrConflict)
	}
	_, merged := resource.Overlay(will, was, &vm.VM)
	defined := bare(merged.(*resource.VM))
	t.fillDefinition(will.Name, defined)
	if err := t.checkDevices(defined); err != nil {
		return err
	}
	if err := t.checkHost(defined); err != nil {
		return err
	}
	if vm.on() {
		running := resource.Clone(vm.running())
		if live {
			guest := resource.Clone(running)
			for _, c := range resource.Diff(was, will) {
				resource.Keep(guest, will, c.Path)
			}
			changeRunning(running, bare(guest))
		}
		vm.Live = running
		if len(resource.Diff(running, defined)) == 0 {
			vm.Live = nil
		}
	}
	if vm.Saved {
		vm.Saved = !slices.ContainsFunc(resource.Diff(&vm.VM, defined), func(c resource.Change) bool { return !keepsSaved[c.Path] })
	}
	vm.VM = *defined
	if t.VMs[will.Name] == nil {
		vm.Saved = false
		t.putVM(was.Name, nil)
	}
	t.putVM(will.Name, vm)
	return nil
}

// keepsSaved are the fields that a guest whose memory is saved can change in and still be resumed.
var keepsSaved = map[string]bool{"title": true, "description": true, "autostart": true}

// findRenamed gives a copy of the vm that is called as was or, when it has been renamed already, as will.
func (t *tx) findRenamed(was, will *resource.VM) (*VM, error) {
	next := t.VMs[will.Name]
	if was.Name == will.Name || next != nil && (next.UUID == was.UUID || was.UUID == "") {
		return find(t.VMs, will.Name)
	}
	vm, err := find(t.VMs, was.Name)
	switch {
	case err != nil:
		return nil, err
	case next != nil:
		return nil, fmt.Errorf("there is another called %s: %w", will.Name, drivers.ErrConflict)
	case vm.on():
		return nil, fmt.Errorf("a guest that runs cannot be renamed: %w", drivers.ErrInUse)
	}
	return vm, nil
}

// changeRunning gives a running guest what it can have of a new definition: the rest waits for the next boot.
func changeRunning(run, def *resource.VM) {
	run.Title, run.Description, run.Autostart = def.Title, def.Description, def.Autostart
	if def.Memory <= run.MaxMemory {
		run.Memory = def.Memory
	}
	if def.VCPUs >= run.VCPUs && def.VCPUs <= run.MaxVCPUs {
		run.VCPUs = def.VCPUs
	}
	run.Disks = plug(run.Disks, def.Disks, func(d *resource.Disk) string { return d.Label }, hotPlug, func(*resource.Disk, resource.Disk) {})
	run.NICs = plug(run.NICs, def.NICs, func(n *resource.NIC) string { return n.Label }, func(*resource.NIC) bool { return true },
		func(n *resource.NIC, to resource.NIC) {
			n.Source, n.Bridge, n.Link, n.Bandwidth, n.PortForwards = to.Source, to.Bridge, to.Link, to.Bandwidth, to.PortForwards
		})
}

// plug makes devices come and go that can, and changes those that stay.
func plug[T any](run, def []T, label func(*T) string, can func(*T) bool, change func(*T, T)) []T {
	at := func(list []T, l string) int {
		return slices.IndexFunc(list, func(d T) bool { return label(&d) == l })
	}
	out := slices.DeleteFunc(slices.Clone(run), func(d T) bool { return at(def, label(&d)) < 0 && can(&d) })
	for i := range def {
		if j := at(out, label(&def[i])); j >= 0 {
			change(&out[j], def[i])
		} else if can(&def[i]) {
			out = append(out, def[i])
		}
	}
	return out
}

func (t *tx) deleteVM(name string) error {
	vm := t.VMs[name]
	if vm == nil {
		return nil
	}
	if vm.on() {
		return fmt.Errorf("the guest runs: %w", drivers.ErrInUse)
	}
	t.putVM(name, nil)
	return nil
}
