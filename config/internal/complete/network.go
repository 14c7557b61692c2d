package complete

import (
	"net/netip"
	"strings"

	"vmplan.dev/vmplan/config/resource"
)

// Network completes and checks a network alone.
func Network(src Source, n *resource.Network) {
	prefix, ok := checkCIDR(src, n)
	if n.Domain != "" && !goodHostname(n.Domain) {
		src.Mistake("domain", "Bad domain", "%q is not a domain: letters, digits and - are allowed, with dots between its parts, such as \"lab.example\".", n.Domain)
		src.Fail("domain")
	}
	checkBridge(src, "bridge", n.Bridge)
	if !n.IsManaged() {
		return
	}
	OrElse(&n.Mode, "nat")
	if n.Mode == ModeBridge {
		checkBridged(src, n)
		return
	}
	OrTrue(&n.Autostart)
	if n.DHCP == nil && !src.Wrong("dhcp") {
		OrTrue(&n.DHCP)
	}
	if n.CIDR == "" && !src.Wrong("cidr") && !src.Wrong("mode") {
		src.Mistake("", "Missing attribute", "%s needs cidr, such as \"10.17.3.0/24\". Only a network of mode bridge, or one with managed = false, can do without.", n.Addr)
		src.Fail("cidr")
	}
	if ok {
		checkDHCPRange(src, n, prefix)
	}
}

// checkBridge checks the name of a bridge device, as the kernel does.
func checkBridge(src Source, path, name string) {
	if name == "" || src.Wrong(path) {
		return
	}
	if len(name) > MaxNICLabel || strings.ContainsAny(name, "/: ") || name == "." || name == ".." {
		src.Mistake(path, "Bad bridge", "%q is not the name of a network device: it has %d characters at most, and none of them is /, : or a blank.", name, MaxNICLabel)
		src.Fail(path)
	}
}

// checkBridged checks a network that is an existing bridge of the host.
func checkBridged(src Source, n *resource.Network) {
	if n.Bridge == "" && !src.Wrong("bridge") {
		src.Mistake("", "Missing attribute", "%s has mode = \"bridge\", so it needs bridge, the name of the host's bridge device.", n.Addr)
		src.Fail("bridge")
	}
	for _, path := range []string{"dhcp", "dhcp_start", "dhcp_end"} {
		if src.Written(path) && (path != "dhcp" || IsTrue(n.DHCP)) {
			src.Mistake(path, "DHCP on a bridge", "%s is a bridge of the host: who answers DHCP there is not vmplan's to say. Take %s out.", n.Addr, path)
		}
	}
}

// checkCIDR reads the range of a network; ok is false when there is none or it is wrong.
func checkCIDR(src Source, n *resource.Network) (netip.Prefix, bool) {
	if n.CIDR == "" || src.Wrong("cidr") {
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
	src.Mistake("cidr", "Bad CIDR", "%q %s.", n.CIDR, why)
	src.Fail("cidr")
	n.CIDR = ""
	return netip.Prefix{}, false
}

// checkDHCPRange checks what the DHCP server gives and fills in the default: all but the host's own address.
func checkDHCPRange(src Source, n *resource.Network, p netip.Prefix) {
	if !IsTrue(n.DHCP) {
		for _, path := range []string{"dhcp_start", "dhcp_end"} {
			if src.Written(path) && !src.Wrong("dhcp") {
				src.Mistake(path, "DHCP range without DHCP", "%s has dhcp = false, so %s has no meaning.", n.Addr, path)
			}
		}
		return
	}
	first, last := HostRange(p)
	start, ok1 := dhcpBound(src, "dhcp_start", &n.DHCPStart, first.Next(), p)
	end, ok2 := dhcpBound(src, "dhcp_end", &n.DHCPEnd, last, p)
	if ok1 && ok2 && end.Less(start) {
		src.Mistake("dhcp_start", "Bad DHCP range", "The DHCP range ends at %s, before it begins at %s.", end, start)
	}
}

func dhcpBound(src Source, path string, field *string, unset netip.Addr, p netip.Prefix) (netip.Addr, bool) {
	if src.Wrong(path) {
		return netip.Addr{}, false
	}
	if *field == "" {
		*field = unset.String()
		return unset, true
	}
	a, err := netip.ParseAddr(*field)
	if why := BadAddress(a, err, p); why != "" {
		src.Mistake(path, "Bad address", "%s %q %s.", path, *field, why)
		src.Fail(path)
		return netip.Addr{}, false
	}
	return a, true
}

// HostRange gives the first and the last address that a host can have. The first is the hypervisor's own.
func HostRange(p netip.Prefix) (first, last netip.Addr) {
	return p.Addr().Next(), Broadcast(p).Prev()
}

// Broadcast gives the last address of an IPv4 network.
func Broadcast(p netip.Prefix) netip.Addr {
	b := p.Addr().As4()
	for i := p.Bits(); i < 32; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	return netip.AddrFrom4(b)
}

// BadAddress says why a guest cannot have an address on a network with range p.
func BadAddress(a netip.Addr, err error, p netip.Prefix) string {
	first, _ := HostRange(p)
	switch {
	case err != nil:
		return "is not an address"
	case !a.Is4():
		return "is not an address of IPv4"
	case !p.Contains(a):
		return "is outside of the network's range " + p.String()
	case a == p.Addr():
		return "is the address of the network itself"
	case a == Broadcast(p):
		return "is the broadcast address of " + p.String()
	case a == first:
		return "is the host's own address on the network, its gateway"
	}
	return ""
}

// Reserves tells whether a network's own DHCP server gives fixed addresses. Where it does not, the guest must be told.
func Reserves(n *resource.Network) bool {
	return n.IsManaged() && n.Mode != ModeBridge && IsTrue(n.DHCP)
}
