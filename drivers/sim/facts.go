package sim

import (
	"maps"
	"slices"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
)

// maxVCPUs is what a guest can have at most.
const maxVCPUs = 288

// freeMemory is what the guests that run have left.
func (v *view) freeMemory() resource.Size {
	left := v.Memory
	for _, vm := range v.VMs {
		if vm.on() {
			left -= min(left, vm.running().Memory)
		}
	}
	return left
}

// guestFacts tells of each kind of guest that is wanted what it can have, and of the interfaces when something names one.
func (v *view) guestFacts(want []resource.Resource, facts *drivers.Facts) {
	bridged := false
	for _, r := range want {
		switch r := r.(type) {
		case *resource.Network:
			bridged = bridged || r.Mode == "bridge"
		case *resource.VM:
			bridged = bridged || slices.ContainsFunc(r.NICs, func(n resource.NIC) bool { return n.Bridge != "" })
			if facts.Guest(r) == nil {
				facts.Guests = append(facts.Guests, v.guest(r))
			}
		}
	}
	facts.Folders = maps.Clone(v.Folders)
	if bridged {
		facts.Interfaces = v.interfaces()
	}
}

func (v *view) guest(vm *resource.VM) drivers.GuestFacts {
	g := drivers.GuestFacts{Arch: vm.Arch, DomainType: vm.DomainType, Machine: vm.Machine}
	if vm.Arch != "" && vm.Arch != v.Arch || vm.DomainType != "" && !slices.Contains(v.DomainTypes, vm.DomainType) {
		return g
	}
	for alias, full := range machineAliases {
		g.Machines = append(g.Machines, alias, full)
	}
	slices.Sort(g.Machines)
	if vm.Machine != "" && !slices.Contains(g.Machines, vm.Machine) {
		return g
	}
	g.MaxVCPUs, g.SecureBoot = maxVCPUs, true
	g.CPUs = []string{"host-passthrough", "maximum", "host-model", "qemu64", "Skylake-Client", "EPYC"}
	g.Firmwares = []string{"bios", "uefi"}
	g.TPMs = []string{"1.2", "2.0"}
	return g
}

// interfaces are those the host says it has, and the bridges of its networks.
func (v *view) interfaces() []string {
	names := map[string]bool{"lo": true, "eth0": true}
	for _, i := range v.Interfaces {
		names[i] = true
	}
	for _, n := range v.Networks {
		if n.Mode != "bridge" && !n.Inactive {
			names[n.Bridge] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}
