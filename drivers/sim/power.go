package sim

import (
	"context"
	"fmt"
	"maps"
	"time"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
)

const (
	defaultShutdown = time.Minute
	defaultReady    = 5 * time.Minute
	vncPort         = 5900
)

// start boots the guest with what is defined now.
func (t *tx) start(name string) error {
	vm, err := find(t.VMs, name)
	if err != nil {
		return err
	}
	if vm.Power == drivers.PowerOn {
		return nil
	}
	if vm.Power == drivers.PowerOff {
		if err := t.checkStart(&vm.VM); err != nil {
			return err
		}
		vm.Live = nil
		if !vm.Saved {
			vm.Boots++
		}
		vm.Saved = false
		if g := vm.Graphics; g != nil && g.Port == 0 {
			vm.Live = resource.Clone(&vm.VM)
			vm.Live.Graphics.Port = vncPort + t.screens()
		}
		t.leaseAddresses(name, &vm.VM)
	}
	vm.Power = drivers.PowerOn
	t.putVM(name, vm)
	return nil
}

func (t *tx) checkStart(vm *resource.VM) error {
	if err := t.checkDevices(vm); err != nil {
		return err
	}
	for _, d := range vm.Disks {
		for id := d.Source; id != ""; id = t.volume(id).Backing {
			if t.volume(id) == nil {
				return fmt.Errorf("disk %s: backing volume %s: %w", d.Label, id, drivers.ErrNotFound)
			}
		}
	}
	for _, n := range vm.NICs {
		if n.Source != "" && t.Networks[n.Source].Inactive {
			return fmt.Errorf("nic %s: network %s is not active: %w", n.Label, n.Source, drivers.ErrConflict)
		}
	}
	return nil
}

// screens counts the running guests with a graphical console.
func (t *tx) screens() (n int) {
	for _, vm := range t.VMs {
		if vm.on() && vm.running().Graphics != nil {
			n++
		}
	}
	return n
}

// leaseAddresses is the guest's DHCP client.
func (t *tx) leaseAddresses(name string, vm *resource.VM) {
	if t.Guests[name].Silent {
		return
	}
	for _, nic := range vm.NICs {
		network := t.Networks[nic.Source]
		if network == nil {
			continue
		}
		if a, fresh := network.lease(nic.MAC); fresh {
			n := *network
			n.Leases = maps.Clone(n.Leases)
			if n.Leases == nil {
				n.Leases = map[string]string{}
			}
			n.Leases[nic.MAC] = a
			t.putNetwork(nic.Source, &n)
		}
	}
}

// stop asks the guest to shut down, waits for one that does not heed it, and switches it off. The host is free meanwhile.
func (d *driver) stop(ctx context.Context, op *drivers.Stop) error {
	vm, force := op.Target().(*resource.VM), op.Force
	stubborn := false
	err := d.touch(op, func(t *tx) error {
		have := t.VMs[vm.Name]
		stubborn = have != nil && have.on() && !force && (t.Guests[vm.Name].Stubborn || have.Power == drivers.PowerPaused)
		if stubborn {
			return nil
		}
		return t.off(vm.Name)
	})
	if err != nil || !stubborn {
		return err
	}
	timeout := time.Duration(vm.ShutdownTimeout)
	setDefault(&timeout, defaultShutdown)
	if err := d.host.wait(ctx, timeout); err != nil {
		return err
	}
	return d.touch(op, func(t *tx) error { return t.off(vm.Name) })
}

// off switches the guest off; one that is not there is off.
func (t *tx) off(name string) error {
	have := t.VMs[name]
	if have == nil || !have.on() {
		return nil
	}
	vm := *have
	vm.Power, vm.Live = drivers.PowerOff, nil
	t.putVM(name, &vm)
	return nil
}

// reboot starts the guest's system again, with what the running guest has. A stubborn one only heeds force.
func (t *tx) reboot(name string, force bool) error {
	vm, err := find(t.VMs, name)
	if err != nil {
		return err
	}
	if !vm.on() {
		return fmt.Errorf("the guest does not run: %w", drivers.ErrConflict)
	}
	if force || !t.Guests[name].Stubborn {
		vm.Boots++
		t.putVM(name, vm)
	}
	return nil
}

// waitReady is over at once with a guest that runs, and waits in vain for a silent one.
func (d *driver) waitReady(ctx context.Context, vm *resource.VM, report func(drivers.Progress)) error {
	if vm.Ready == nil {
		return nil
	}
	var guest Guest
	err := d.change(func(t *tx) error {
		have := t.VMs[vm.Name]
		if have == nil {
			return drivers.ErrNotFound
		}
		if !have.on() {
			return fmt.Errorf("the guest does not run: %w", drivers.ErrConflict)
		}
		guest = t.Guests[vm.Name]
		return nil
	})
	if err != nil || !guest.Silent {
		return err
	}
	timeout := time.Duration(vm.Ready.Timeout)
	setDefault(&timeout, defaultReady)
	report(drivers.Progress{Phase: "waiting for the guest"})
	if err := d.host.wait(ctx, timeout); err != nil {
		return err
	}
	return fmt.Errorf("the guest was not ready within %s: %w; its serial log ends with:\n%s",
		resource.Duration(timeout), drivers.ErrTimeout, guest.Serial)
}
