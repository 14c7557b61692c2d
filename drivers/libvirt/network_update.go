//go:build !nolibvirt

package libvirt

import (
	"slices"

	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"vmplan.dev/vmplan/config/resource"
)

// updateSides changes a network's definition and, when it is active, what runs: together when both have the same, else each from
// what it has. They differ when somebody has changed just one of them (virsh net-update --live), and when a daemon died between
// the two; libvirt refuses to take away what one of them lacks. The definition comes last, as it is what the next plan looks at.
func updateSides(net *libvirt.Network, name string, update func(is *resource.Network, flags libvirt.NetworkUpdateFlags) error) error {
	active, err := net.IsActive()
	if err != nil {
		return fail(err, "update network %s", name)
	}
	tree, err := networkTree(net)
	if err != nil {
		return err
	}
	defined := readNetwork(tree)
	if !active {
		return update(defined, libvirt.NETWORK_UPDATE_AFFECT_CONFIG)
	}
	if tree, err = runningNetworkTree(net); err != nil {
		return err
	}
	running := readNetwork(tree)
	if slices.Equal(defined.Reservations, running.Reservations) && slices.Equal(defined.DNSHosts, running.DNSHosts) {
		return update(defined, libvirt.NETWORK_UPDATE_AFFECT_CONFIG|libvirt.NETWORK_UPDATE_AFFECT_LIVE)
	}
	if err := update(running, libvirt.NETWORK_UPDATE_AFFECT_LIVE); err != nil {
		return err
	}
	return update(defined, libvirt.NETWORK_UPDATE_AFFECT_CONFIG)
}

// updateReservations makes the network's fixed addresses those of after, without restarting it.
func updateReservations(net *libvirt.Network, after *resource.Network) error {
	wanted := map[string]resource.Reservation{}
	for _, r := range after.Reservations {
		wanted[r.MAC] = r
	}
	return updateSides(net, after.Name, func(is *resource.Network, flags libvirt.NetworkUpdateFlags) error {
		// What goes is taken out first, so that its address is free for another.
		present := map[string]bool{}
		for _, r := range is.Reservations {
			if wanted[r.MAC] == r {
				present[r.MAC] = true
				continue
			}
			if err := updateHost(net, libvirt.NETWORK_UPDATE_COMMAND_DELETE, r, flags); err != nil {
				return fail(err, "network %s: take back address %s", after.Name, r.Address)
			}
		}
		for _, r := range after.Reservations {
			if present[r.MAC] {
				continue
			}
			if err := updateHost(net, libvirt.NETWORK_UPDATE_COMMAND_ADD_LAST, r, flags); err != nil {
				return fail(err, "network %s: reserve address %s", after.Name, r.Address)
			}
		}
		return nil
	})
}

func updateHost(net *libvirt.Network, command libvirt.NetworkUpdateCommand, r resource.Reservation, flags libvirt.NetworkUpdateFlags) error {
	host := libvirtxml.NetworkDHCPHost{MAC: r.MAC, IP: r.Address, Name: r.Name}
	text, err := host.Marshal()
	if err != nil {
		return err
	}
	return net.Update(command, libvirt.NETWORK_SECTION_IP_DHCP_HOST, -1, text, flags)
}

// updateNames makes the names that a network's DNS server answers for those of after, without restarting it. What changes is
// told by address: first what goes, so that a name is free for another address.
func updateNames(net *libvirt.Network, after *resource.Network) error {
	wanted := dnsHosts(after)
	same := func(a, b libvirtxml.NetworkDNSHost) bool {
		return a.IP == b.IP && slices.Equal(a.Hostnames, b.Hostnames)
	}
	return updateSides(net, after.Name, func(n *resource.Network, flags libvirt.NetworkUpdateFlags) error {
		is := dnsHosts(n)
		for _, step := range []struct {
			command    libvirt.NetworkUpdateCommand
			list, keep []libvirtxml.NetworkDNSHost
		}{
			{libvirt.NETWORK_UPDATE_COMMAND_DELETE, is, wanted},
			{libvirt.NETWORK_UPDATE_COMMAND_ADD_LAST, wanted, is},
		} {
			for _, h := range step.list {
				if slices.ContainsFunc(step.keep, func(k libvirtxml.NetworkDNSHost) bool { return same(h, k) }) {
					continue
				}
				text, err := h.Marshal()
				if err != nil {
					return err
				}
				if err := net.Update(step.command, libvirt.NETWORK_SECTION_DNS_HOST, -1, text, flags); err != nil {
					return fail(err, "network %s: tell its DNS server about %s", after.Name, h.IP)
				}
			}
		}
		return nil
	})
}
