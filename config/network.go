package config

import (
	"net/netip"
	"strings"

	"vmplan.dev/vmplan/config/resource"
)

func (e *evaluator) completeNetwork(o *object, n *resource.Network) {
	prefix, ok := e.checkCIDR(o, n)
	if n.Domain != "" && !goodHostname(n.Domain) {
		e.rep.addFirst(mistake(o.at("domain"), "Bad domain", "%q is not a domain: letters, digits and - are allowed, with dots between its parts, such as \"lab.example\".", n.Domain))
		o.fail("domain")
	}
	e.checkBridge(o, "bridge", n.Bridge)
	if !n.IsManaged() {
		return
	}
	orElse(&n.Mode, "nat")
	if n.Mode == modeBridge {
		e.checkBridged(o, n)
		return
	}
	orTrue(&n.Autostart)
	if n.DHCP == nil && !o.bad["dhcp"] {
		orTrue(&n.DHCP)
	}
	if n.CIDR == "" && !o.bad["cidr"] && !o.bad["mode"] {
		e.rep.addFirst(mistake(o.block.header, "Missing attribute", "%s needs cidr, such as \"10.17.3.0/24\". Only a network of mode bridge, or one with managed = false, can do without.", o.addr))
		o.fail("cidr")
	}
	if ok {
		e.checkDHCPRange(o, n, prefix)
	}
}

// checkBridge checks the name of a bridge device, as the kernel does.
func (e *evaluator) checkBridge(o *object, path, name string) {
	if name == "" || o.bad[path] {
		return
	}
	if len(name) > maxNICLabel || strings.ContainsAny(name, "/: ") || name == "." || name == ".." {
		e.rep.addFirst(mistake(o.at(path), "Bad bridge", "%q is not the name of a network device: it has %d characters at most, and none of them is /, : or a blank.", name, maxNICLabel))
		o.fail(path)
	}
}

// checkBridged checks a network that is an existing bridge of the host.
func (e *evaluator) checkBridged(o *object, n *resource.Network) {
	if n.Bridge == "" && !o.bad["bridge"] {
		e.rep.addFirst(mistake(o.block.header, "Missing attribute", "%s has mode = \"bridge\", so it needs bridge, the name of the host's bridge device.", o.addr))
		o.fail("bridge")
	}
	for _, path := range []string{"dhcp", "dhcp_start", "dhcp_end"} {
		if r, ok := o.block.ranges[path]; ok && (path != "dhcp" || isTrue(n.DHCP)) {
			e.rep.addFirst(mistake(r, "DHCP on a bridge", "%s is a bridge of the host: who answers DHCP there is not vmplan's to say. Take %s out.", o.addr, path))
		}
	}
}

// checkCIDR reads the range of a network; ok is false when there is none or it is wrong.
func (e *evaluator) checkCIDR(o *object, n *resource.Network) (netip.Prefix, bool) {
	if n.CIDR == "" || o.bad["cidr"] {
		return netip.Prefix{}, false
	}
	p, err := netip.ParsePrefix(n.CIDR)
	why := ""
	switch {
	case err != nil:
		why = "is not a range: write an address and the length of its prefix, such as \"10.17.3.0/24\""
	case !p.Addr().Is4():
		why = "is a range of IPv6; networks have one of IPv4, such as \"10.17.3.0/24\""
	case p.Bits() > 30 || p.Bits() < 8:
		why = "has no useful size: between /8 and /30 is allowed"
	case p.Masked() != p:
		why = "has an address where a range is wanted: write \"" + p.Masked().String() + "\""
	default:
		return p, true
	}
	e.rep.addFirst(mistake(o.at("cidr"), "Bad CIDR", "%q %s.", n.CIDR, why))
	o.fail("cidr")
	n.CIDR = ""
	return netip.Prefix{}, false
}

// checkDHCPRange checks what the DHCP server gives and fills in the default: all but the host's own address.
func (e *evaluator) checkDHCPRange(o *object, n *resource.Network, p netip.Prefix) {
	if !isTrue(n.DHCP) {
		for _, path := range []string{"dhcp_start", "dhcp_end"} {
			if r, ok := o.block.ranges[path]; ok && !o.bad["dhcp"] {
				e.rep.addFirst(mistake(r, "DHCP range without DHCP", "%s has dhcp = false, so %s has no meaning.", o.addr, path))
			}
		}
		return
	}
	first, last := hostRange(p)
	start, ok1 := e.dhcpBound(o, "dhcp_start", &n.DHCPStart, first.Next(), p)
	end, ok2 := e.dhcpBound(o, "dhcp_end", &n.DHCPEnd, last, p)
	if ok1 && ok2 && end.Less(start) {
		e.rep.addFirst(mistake(o.at("dhcp_start"), "Bad DHCP range", "The DHCP range ends at %s, before it begins at %s.", end, start))
	}
}

func (e *evaluator) dhcpBound(o *object, path string, field *string, unset netip.Addr, p netip.Prefix) (netip.Addr, bool) {
	if o.bad[path] {
		return netip.Addr{}, false
	}
	if *field == "" {
		*field = unset.String()
		return unset, true
	}
	a, err := netip.ParseAddr(*field)
	if why := badAddress(a, err, p); why != "" {
		e.rep.addFirst(mistake(o.at(path), "Bad address", "%s %q %s.", path, *field, why))
		o.fail(path)
		return netip.Addr{}, false
	}
	return a, true
}

// hostRange gives the first and the last address that a host can have. The first is the hypervisor's own.
func hostRange(p netip.Prefix) (first, last netip.Addr) {
	return p.Addr().Next(), broadcast(p).Prev()
}

func broadcast(p netip.Prefix) netip.Addr {
	b := p.Addr().As4()
	for i := p.Bits(); i < 32; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	return netip.AddrFrom4(b)
}

// badAddress says why a guest cannot have an address on a network with range p.
func badAddress(a netip.Addr, err error, p netip.Prefix) string {
	first, _ := hostRange(p)
	switch {
	case err != nil:
		return "is not an address"
	case !a.Is4():
		return "is not an address of IPv4"
	case !p.Contains(a):
		return "is outside of the network's range " + p.String()
	case a == p.Addr():
		return "is the address of the network itself"
	case a == broadcast(p):
		return "is the broadcast address of " + p.String()
	case a == first:
		return "is the host's own address on the network, its gateway"
	}
	return ""
}
