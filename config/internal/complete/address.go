package complete

import (
	"net/netip"

	"vmplan.dev/vmplan/config/resource"
)

// AutoAddress is the address of a nic for which one is chosen.
const AutoAddress = "auto"

// NICKey names a nic of the project.
type NICKey struct {
	VM  resource.Addr
	NIC string
}

// Decisions are what is decided about nics once all of them are known.
type Decisions struct {
	Address map[NICKey]string // for AutoAddress
	MAC     map[NICKey]string // where the first choice was taken
}

// Apply writes the decisions into the nics.
func (d Decisions) Apply(vms []*resource.VM) {
	eachNIC(vms, func(vm *resource.VM, nic *resource.NIC) {
		key := NICKey{vm.Addr, nic.Label}
		if mac := d.MAC[key]; mac != "" {
			nic.MAC = mac
		}
		if nic.Address == AutoAddress {
			nic.Address = d.Address[key]
		}
	})
}

// NICs decides addresses and MACs of the nics of a project.
type NICs struct {
	Identity Identity
	VMs      []*resource.VM // that vmplan manages, in order of address
	Known    Decisions      // of an earlier round
	Network  func(resource.Addr) *resource.Network
	Recorded func(vm resource.Addr, nic string) resource.NIC // zero when nothing is recorded
	Applied  bool                                            // the project was applied before
	Taken    func() map[resource.Addr][]string               // recorded addresses by network, also of vms that go
	Source   func(resource.Addr) Source                      // of a vm or network
}

// DecidedAddress gives the address of a nic with AutoAddress if it is decided: in an earlier round, or by an earlier apply. A
// recorded address stays for good, unless the network moves to another range.
func (n *NICs) DecidedAddress(vm *resource.VM, nic *resource.NIC) (string, bool) {
	if a := n.Known.Address[NICKey{vm.Addr, nic.Label}]; a != "" {
		return a, true
	}
	recorded := n.Recorded(vm.Addr, nic.Label).Address
	p, ok := n.prefix(nic.Network)
	if !ok || recorded == "" {
		return "", false
	}
	a, err := netip.ParseAddr(recorded)
	return recorded, BadAddress(a, err, p) == ""
}

func (n *NICs) prefix(network resource.Addr) (netip.Prefix, bool) {
	net := n.Network(network)
	if net == nil {
		return netip.Prefix{}, false
	}
	p, err := netip.ParsePrefix(net.CIDR)
	return p, err == nil
}

func eachNIC(vms []*resource.VM, do func(*resource.VM, *resource.NIC)) {
	for _, vm := range vms {
		for i := range vm.NICs {
			do(vm, &vm.NICs[i])
		}
	}
}

// Decide chooses addresses and, where two are equal, MACs.
func (n *NICs) Decide() Decisions {
	d := Decisions{Address: map[NICKey]string{}, MAC: map[NICKey]string{}}
	n.decideMACs(d.MAC)
	used := map[resource.Addr]map[netip.Addr]bool{}
	eachNIC(n.VMs, func(vm *resource.VM, nic *resource.NIC) {
		if used[nic.Network] == nil {
			used[nic.Network] = map[netip.Addr]bool{}
		}
		text := nic.Address
		if text == AutoAddress {
			if address, ok := n.DecidedAddress(vm, nic); ok {
				text, d.Address[NICKey{vm.Addr, nic.Label}] = address, address
			}
		}
		if a, err := netip.ParseAddr(text); err == nil {
			used[nic.Network][a] = true
		}
	})
	for network, addresses := range n.Taken() {
		for _, text := range addresses {
			if a, err := netip.ParseAddr(text); err == nil && used[network] != nil {
				used[network][a] = true
			}
		}
	}
	next := map[resource.Addr]netip.Addr{}
	eachNIC(n.VMs, func(vm *resource.VM, nic *resource.NIC) {
		key := NICKey{vm.Addr, nic.Label}
		if nic.Address == AutoAddress && d.Address[key] == "" {
			if a, ok := n.nextFree(vm, nic, used[nic.Network], next); ok {
				d.Address[key] = a.String()
			}
		}
	})
	return d
}

// decideMACs gives another MAC to nics whose generated one is taken by a nic with a chosen one, or an earlier address.
func (n *NICs) decideMACs(decided map[NICKey]string) {
	taken := map[string]bool{}
	generated := func(vm *resource.VM, nic *resource.NIC) bool {
		if nic.MAC == n.Recorded(vm.Addr, nic.Label).MAC {
			return false
		}
		return nic.MAC == n.Identity.MAC(vm.Addr, nic.Label, 0) || nic.MAC == n.Known.MAC[NICKey{vm.Addr, nic.Label}]
	}
	eachNIC(n.VMs, func(vm *resource.VM, nic *resource.NIC) {
		if !generated(vm, nic) {
			taken[nic.MAC] = true
		}
	})
	eachNIC(n.VMs, func(vm *resource.VM, nic *resource.NIC) {
		if !generated(vm, nic) {
			return
		}
		mac := n.Identity.MAC(vm.Addr, nic.Label, 0)
		for attempt := 1; taken[mac]; attempt++ {
			mac = n.Identity.MAC(vm.Addr, nic.Label, attempt)
			decided[NICKey{vm.Addr, nic.Label}] = mac
		}
		taken[mac] = true
	})
}

// nextFree finds the first address of the network that nobody has: of its DHCP range where there is one.
func (n *NICs) nextFree(vm *resource.VM, nic *resource.NIC, used map[netip.Addr]bool, next map[resource.Addr]netip.Addr) (netip.Addr, bool) {
	path := "nic." + nic.Label
	src := n.Source(vm.Addr)
	p, ok := n.prefix(nic.Network)
	if !ok {
		if n.Network(nic.Network) != nil && !n.Source(nic.Network).Wrong("cidr") {
			src.Mistake(path+".address", "Network without a range", "%s has no cidr, so there is no next free address. Set its cidr, or give this nic no address.", nic.Network)
			src.Fail(path + ".address")
		}
		return netip.Addr{}, false
	}
	net := n.Network(nic.Network)
	host, last := HostRange(p)
	first := host.Next()
	if a, err := netip.ParseAddr(net.DHCPStart); err == nil && p.Contains(a) {
		first = a
	}
	if a, err := netip.ParseAddr(net.DHCPEnd); err == nil && p.Contains(a) {
		last = a
	}
	a, begun := next[nic.Network]
	if !begun {
		a = first
	}
	for ; !last.Less(a); a = a.Next() {
		if !used[a] {
			next[nic.Network] = a.Next()
			return a, true
		}
	}
	next[nic.Network] = a
	recorded := ""
	if n.Applied {
		recorded = ", or were when the project was last applied"
	}
	src.Mistake(path+".address", "No free address", "%s has no address left for nic %q of %s: all from %s to %s are given%s. Widen its cidr.", nic.Network, nic.Label, vm.Addr, first, last, recorded)
	src.Fail(path + ".address")
	return netip.Addr{}, false
}
