package sim

import (
	"fmt"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
)

func (t *tx) createNetwork(n *resource.Network, mark *drivers.Mark) error {
	if err := otherUUID(t.Networks, n.Name, n.UUID, func(n *Network) string { return n.UUID }); err != nil {
		return err
	}
	if err := checkReservations(n); err != nil {
		return err
	}
	network := &Network{Network: *bare(n), Mark: cloneMark(mark)}
	if have := t.Networks[n.Name]; have != nil {
		network.Leases = have.Leases
		setDefault(&network.Bridge, have.Bridge)
		if mark == nil {
			network.Mark = have.Mark
		}
	}
	t.fillNetwork(n.Name, network)
	t.putNetwork(n.Name, network)
	return nil
}

func checkReservations(n *resource.Network) error {
	byAddress := map[string]string{}
	for _, r := range n.Reservations {
		if other, ok := byAddress[r.Address]; ok {
			return fmt.Errorf("address %s is reserved for both %s and %s: %w", r.Address, other, r.MAC, drivers.ErrConflict)
		}
		byAddress[r.Address] = r.MAC
	}
	return nil
}

func (t *tx) updateNetwork(was, will *resource.Network) error {
	network, err := find(t.Networks, will.Name)
	if err != nil {
		return err
	}
	if err := onlyInPlace(was, will); err != nil {
		return err
	}
	_, merged := resource.Overlay(will, was, &network.Network)
	network.Network = *bare(merged.(*resource.Network))
	if err := checkReservations(&network.Network); err != nil {
		return err
	}
	t.fillNetwork(will.Name, network)
	t.putNetwork(will.Name, network)
	return nil
}

// deleteNetwork refuses while a guest is on the network: libvirt would cut it off silently.
func (t *tx) deleteNetwork(name string) error {
	if t.Networks[name] == nil {
		return nil
	}
	users := map[string]bool{}
	for vmName, vm := range t.VMs {
		if vm.on() && vm.usesNetwork(name) {
			users["vm "+vmName] = true
		}
	}
	if err := inUse(users); err != nil {
		return err
	}
	t.putNetwork(name, nil)
	return nil
}
