package config

import (
	"net/netip"
	"slices"

	"vmplan.dev/vmplan/config/internal/complete"
	"vmplan.dev/vmplan/config/resource"
)

// nicKey names a nic of the project.
type nicKey struct {
	vm  resource.Addr
	nic string
}

// nicDecisions are what is decided about nics once all of them are known. Expressions may want it before that: then the
// project is evaluated twice, the second time with what the first one led to.
type nicDecisions struct {
	address map[nicKey]string // for address = "auto"
	mac     map[nicKey]string // where the first choice was taken
	asked   bool              // an expression wanted an address that was not decided
	looked  bool              // an expression looked at a vm, and so maybe at a MAC
}

// decidedAddress gives the address of a nic with address = "auto" if it is decided: in the first round, or by an earlier
// apply. A recorded address stays for good, unless the network moves to another range.
func (e *evaluator) decidedAddress(vm *resource.VM, nic *resource.NIC) (string, bool) {
	if a := e.nics.address[nicKey{vm.Addr, nic.Label}]; a != "" {
		return a, true
	}
	recorded := e.recordedNIC(vm.Addr, nic.Label).Address
	p, ok := e.prefixOf(nic.Network)
	if !ok || recorded == "" {
		return "", false
	}
	a, err := netip.ParseAddr(recorded)
	return recorded, complete.BadAddress(a, err, p) == ""
}

// prefixOf gives the range of a network, if it is known.
func (e *evaluator) prefixOf(network resource.Addr) (netip.Prefix, bool) {
	o := e.byID[network.String()]
	if o == nil || network.IsZero() {
		return netip.Prefix{}, false
	}
	p, err := netip.ParsePrefix(o.res.(*resource.Network).CIDR)
	return p, err == nil
}

// vms gives the vms that vmplan manages, in order of address.
func (e *evaluator) vms() []*object {
	var out []*object
	for _, o := range e.objects {
		if vm, ok := o.res.(*resource.VM); ok && vm.IsManaged() {
			out = append(out, o)
		}
	}
	slices.SortFunc(out, func(a, b *object) int { return resource.Compare(a.addr, b.addr) })
	return out
}

// decide chooses addresses and, where two are equal, MACs.
func (e *evaluator) decide() nicDecisions {
	d := nicDecisions{address: map[nicKey]string{}, mac: map[nicKey]string{}}
	vms := e.vms()
	e.decideMACs(vms, d.mac)
	used := map[resource.Addr]map[netip.Addr]bool{}
	eachNIC(vms, func(o *object, vm *resource.VM, nic *resource.NIC) {
		if used[nic.Network] == nil {
			used[nic.Network] = map[netip.Addr]bool{}
		}
		text := nic.Address
		if text == autoAddress {
			if address, ok := e.decidedAddress(vm, nic); ok {
				text, d.address[nicKey{vm.Addr, nic.Label}] = address, address
			}
		}
		if a, err := netip.ParseAddr(text); err == nil {
			used[nic.Network][a] = true
		}
	})
	for network, addresses := range e.takenAddresses() {
		for _, text := range addresses {
			if a, err := netip.ParseAddr(text); err == nil && used[network] != nil {
				used[network][a] = true
			}
		}
	}
	next := map[resource.Addr]netip.Addr{}
	eachNIC(vms, func(o *object, vm *resource.VM, nic *resource.NIC) {
		key := nicKey{vm.Addr, nic.Label}
		if nic.Address == autoAddress && d.address[key] == "" {
			if a, ok := e.nextFree(o, nic, used[nic.Network], next); ok {
				d.address[key] = a.String()
			}
		}
	})
	return d
}

func eachNIC(vms []*object, do func(*object, *resource.VM, *resource.NIC)) {
	for _, o := range vms {
		vm := o.res.(*resource.VM)
		for i := range vm.NICs {
			do(o, vm, &vm.NICs[i])
		}
	}
}

// decideMACs gives another MAC to nics whose generated one is taken by a nic with a chosen one, or an earlier address.
func (e *evaluator) decideMACs(vms []*object, decided map[nicKey]string) {
	taken := map[string]bool{}
	generated := func(vm *resource.VM, nic *resource.NIC) bool {
		if nic.MAC == e.recordedNIC(vm.Addr, nic.Label).MAC {
			return false
		}
		return nic.MAC == e.namespace.MAC(vm.Addr, nic.Label, 0) || nic.MAC == e.nics.mac[nicKey{vm.Addr, nic.Label}]
	}
	eachNIC(vms, func(_ *object, vm *resource.VM, nic *resource.NIC) {
		if !generated(vm, nic) {
			taken[nic.MAC] = true
		}
	})
	eachNIC(vms, func(_ *object, vm *resource.VM, nic *resource.NIC) {
		if !generated(vm, nic) {
			return
		}
		mac := e.namespace.MAC(vm.Addr, nic.Label, 0)
		for attempt := 1; taken[mac]; attempt++ {
			mac = e.namespace.MAC(vm.Addr, nic.Label, attempt)
			decided[nicKey{vm.Addr, nic.Label}] = mac
		}
		taken[mac] = true
	})
}

// nextFree finds the first address of the network that nobody has: of its DHCP range where there is one.
func (e *evaluator) nextFree(o *object, nic *resource.NIC, used map[netip.Addr]bool, next map[resource.Addr]netip.Addr) (netip.Addr, bool) {
	path := "nic." + nic.Label
	p, ok := e.prefixOf(nic.Network)
	if !ok {
		if n := e.byID[nic.Network.String()]; n != nil && !nic.Network.IsZero() && !n.bad["cidr"] {
			e.rep.addFirst(mistake(o.at(path+".address"), "Network without a range", "%s has no cidr, so there is no next free address. Set its cidr, or give this nic no address.", nic.Network))
			o.fail(path + ".address")
		}
		return netip.Addr{}, false
	}
	net := e.byID[nic.Network.String()].res.(*resource.Network)
	host, last := complete.HostRange(p)
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
	if len(e.prior.Objects) > 0 {
		recorded = ", or were when the project was last applied"
	}
	e.rep.addFirst(mistake(o.at(path+".address"), "No free address", "%s has no address left for nic %q of %s: all from %s to %s are given%s. Widen its cidr.", nic.Network, nic.Label, o.addr, first, last, recorded))
	o.fail(path + ".address")
	return netip.Addr{}, false
}

// applyDecisions writes the decisions into the nics.
func (e *evaluator) applyDecisions(d nicDecisions) {
	eachNIC(e.vms(), func(_ *object, vm *resource.VM, nic *resource.NIC) {
		key := nicKey{vm.Addr, nic.Label}
		if mac := d.mac[key]; mac != "" {
			nic.MAC = mac
		}
		if nic.Address == autoAddress {
			nic.Address = d.address[key]
		}
	})
	e.nics.address, e.nics.mac = d.address, d.mac
}
