package definition

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers/libvirt/internal/xmltree"
)

// networkFields are the rows of a <network>. The mode comes first, as what the others may say depends on it; dhcp comes before
// its range.
var networkFields = []Field[resource.Network]{
	text("name", func(n *resource.Network) *string { return &n.Name }, "name").rules(Rule{Impact: replace, Call: callNetAnew}),
	text("uuid", func(n *resource.Network) *string { return &n.UUID }, "uuid").rules(Rule{Impact: replace, Call: callNetAnew}),
	{Name: "autostart", Rules: []Rule{{Impact: live, Call: "virNetworkSetAutostart"}}},
	{
		Name: "mode", Read: readMode, Write: writeMode,
		Rules: []Rule{{Impact: restart, When: "of the network", Note: noteNet + ". What only the old mode has goes from the definition, such as the ports of NAT", Call: callNetwork}},
	},
	attribute("bridge", func(n *resource.Network) *string { return &n.Bridge }, "name", "bridge"),
	number("mtu", func(n *resource.Network) *int { return &n.MTU }, "size", "mtu"),
	{
		Name: "domain", Write: writeDomain,
		Read: func(def *xmltree.Node, n *resource.Network, _ *Context) { n.Domain = def.Get("domain").Attr("name") },
	},
	{
		Name: "cidr", Read: readCIDR, Write: writeCIDR,
		Rules: []Rule{{Impact: restart, When: "of the network", Note: noteNet + ". Further DHCP ranges and hosts outside the new range go from the definition", Call: callNetwork}},
	},
	{
		Name: "dhcp", Write: writeDHCP,
		Read: func(def *xmltree.Node, n *resource.Network, _ *Context) { n.DHCP = new(dhcpRange(def) != nil) },
	},
	rangeEnd("dhcp_start", func(n *resource.Network) *string { return &n.DHCPStart }, "start"),
	rangeEnd("dhcp_end", func(n *resource.Network) *string { return &n.DHCPEnd }, "end"),
	{Name: "dns_host", Block: true, Read: readDNSHosts, Write: writeDNSHosts, Rules: []Rule{{Impact: live, Note: noteHosts, Call: callHosts}}},
	{Name: "reservation", Block: true, Read: readReservations, Write: writeReservations, Rules: []Rule{{Impact: live, Note: noteHosts, Call: callHosts}}},
}

// ReadNetwork turns a network's definition into canonical form.
func ReadNetwork(def *xmltree.Node) *resource.Network {
	n := &resource.Network{}
	read(networkFields, def, n, nil)
	return n
}

// WriteNetwork edits the definition of before so that it is that of after. Both are normalised.
func WriteNetwork(def *xmltree.Node, before, after *resource.Network) error {
	return write(networkFields, def, after, nil, among(hostChanges(before, after)))
}

// WriteServed edits what a network's DHCP and DNS server answers: reservations and names.
func WriteServed(def *xmltree.Node, n *resource.Network) error {
	return write(networkFields, def, n, nil, among([]string{"reservation", "dns_host"}))
}

// NewNetwork is the definition of a network that is not there yet.
func NewNetwork(n *resource.Network) (*xmltree.Node, error) {
	def := xmltree.New("network")
	if n.Mode != "bridge" {
		// With spanning tree or a delay, guests are off the network for their first seconds.
		def.Add(xmltree.New("bridge", "stp", "off", "delay", "0"))
	}
	return def, write(networkFields, def, n, nil, nil)
}

func readMode(def *xmltree.Node, n *resource.Network, _ *Context) {
	switch forward := def.Get("forward"); {
	case forward == nil:
		n.Mode = "isolated"
	case forward.Attr("mode") == "":
		n.Mode = "nat"
	default:
		n.Mode = forward.Attr("mode")
	}
}

// writeMode changes how a network reaches others, and takes away what the new mode cannot have.
func writeMode(def *xmltree.Node, n *resource.Network, _ *Context) error {
	if n.Mode == "isolated" {
		def.Drop("forward")
		return nil
	}
	forward := def.Ensure("forward")
	forward.Set("mode", n.Mode)
	if n.Mode != "nat" {
		forward.Drop("nat")
	}
	if n.Mode == "open" || n.Mode == "bridge" {
		forward.Set("dev", "")
		forward.Drop("interface")
	}
	if n.Mode == "bridge" {
		for _, own := range []string{"ip", "domain", "dns", "mtu", "route", "mac"} {
			def.Drop(own)
		}
		bridge := def.Ensure("bridge")
		bridge.Attrs = slices.DeleteFunc(bridge.Attrs, func(a xmltree.Attr) bool { return a.Name != "name" })
	}
	return nil
}

func writeDomain(def *xmltree.Node, n *resource.Network, _ *Context) error {
	if n.Domain == "" {
		def.Drop("domain")
		return nil
	}
	domain := def.Get("domain")
	if domain == nil {
		domain = def.Ensure("domain")
		domain.Set("name", n.Domain)
		domain.Set("localOnly", "yes")
	}
	domain.Set("name", n.Domain)
	return nil
}

// IPv4 is the network's first IPv4 element, or nil.
func IPv4(def *xmltree.Node) *xmltree.Node {
	for _, ip := range def.All("ip") {
		if f := ip.Attr("family"); f == "" || f == "ipv4" {
			return ip
		}
	}
	return nil
}

// Prefix reads an <ip>: the host's address, and the length of its network.
func Prefix(ip *xmltree.Node) (netip.Prefix, bool) {
	addr, err := netip.ParseAddr(ip.Attr("address"))
	if err != nil {
		return netip.Prefix{}, false
	}
	bits, err := strconv.Atoi(ip.Attr("prefix"))
	if err != nil {
		mask := net.ParseIP(ip.Attr("netmask")).To4()
		if mask == nil {
			return netip.Prefix{}, false
		}
		bits, _ = net.IPMask(mask).Size()
	}
	return netip.PrefixFrom(addr, bits), true
}

func readCIDR(def *xmltree.Node, n *resource.Network, _ *Context) {
	if prefix, ok := Prefix(IPv4(def)); ok {
		n.CIDR = prefix.Masked().String()
	}
}

// writeCIDR moves the network's first IPv4 range; the host takes its first address. DHCP ranges and hosts that are not in it
// any more go.
func writeCIDR(def *xmltree.Node, n *resource.Network, _ *Context) error {
	ip := IPv4(def)
	if n.CIDR == "" {
		def.DropFunc(func(k *xmltree.Node) bool { return k == ip })
		return nil
	}
	prefix, err := netip.ParsePrefix(n.CIDR)
	if err != nil {
		return err
	}
	if ip == nil {
		ip = xmltree.New("ip")
		def.Add(ip)
	}
	ip.Set("address", prefix.Masked().Addr().Next().String())
	if ip.Attr("netmask") != "" {
		ip.Set("netmask", net.IP(net.CIDRMask(prefix.Bits(), 32)).String())
	} else {
		ip.Set("prefix", strconv.Itoa(prefix.Bits()))
	}
	outside := func(text string) bool {
		addr, err := netip.ParseAddr(text)
		return err == nil && !prefix.Contains(addr)
	}
	first := dhcpRange(def)
	ip.Get("dhcp").DropFunc(func(k *xmltree.Node) bool {
		return k.Name == "range" && k != first && (outside(k.Attr("start")) || outside(k.Attr("end"))) || k.Name == "host" && outside(k.Attr("ip"))
	})
	return nil
}

// dhcpRange is the first range of addresses that the network's DHCP server gives, or nil.
func dhcpRange(def *xmltree.Node) *xmltree.Node { return IPv4(def).Get("dhcp", "range") }

func writeDHCP(def *xmltree.Node, n *resource.Network, _ *Context) error {
	ip := IPv4(def)
	switch {
	case n.DHCP == nil || !*n.DHCP:
		ip.Drop("dhcp")
	case ip == nil:
		return fmt.Errorf("the network has no IPv4 range")
	case dhcpRange(def) == nil:
		ip.Ensure("dhcp").Add(xmltree.New("range", "start", n.DHCPStart, "end", n.DHCPEnd))
	}
	return nil
}

// rangeEnd is the row of the first or last address of the DHCP range.
func rangeEnd(name string, of func(*resource.Network) *string, attr string) Field[resource.Network] {
	return Field[resource.Network]{
		Name: name,
		Read: func(def *xmltree.Node, n *resource.Network, _ *Context) { *of(n) = dhcpRange(def).Attr(attr) },
		Write: func(def *xmltree.Node, n *resource.Network, _ *Context) error {
			if r := dhcpRange(def); r != nil {
				r.Set(attr, *of(n))
			}
			return nil
		},
	}
}

// readDNSHosts reads names. A name can stand for several addresses, of which the attribute has the first; the others stay.
func readDNSHosts(def *xmltree.Node, n *resource.Network, _ *Context) {
	seen := map[string]bool{}
	for _, h := range def.Get("dns").All("host") {
		for _, name := range h.All("hostname") {
			if text := name.Text(); !seen[text] {
				seen[text] = true
				n.DNSHosts = append(n.DNSHosts, resource.DNSHost{Name: text, Address: h.Attr("ip")})
			}
		}
	}
}

// writeDNSHosts adds, moves and removes names. libvirt has them by address, which stands there once.
func writeDNSHosts(def *xmltree.Node, n *resource.Network, _ *Context) error {
	var now resource.Network
	readDNSHosts(def, &now, nil)
	for _, h := range now.DNSHosts {
		if !slices.Contains(n.DNSHosts, h) {
			removeName(def.Get("dns"), h)
		}
	}
	for _, h := range n.DNSHosts {
		if slices.Contains(now.DNSHosts, h) {
			continue
		}
		dns := def.Ensure("dns")
		host := hostAt(dns, h.Address)
		if host == nil {
			host = xmltree.New("host", "ip", h.Address)
			dns.Add(host)
		}
		name := xmltree.New("hostname")
		name.SetText(h.Name)
		host.Add(name)
	}
	if dns := def.Get("dns"); dns != nil && len(dns.Kids)+len(dns.Attrs) == 0 {
		def.Drop("dns")
	}
	return nil
}

func hostAt(dns *xmltree.Node, address string) *xmltree.Node {
	for _, h := range dns.All("host") {
		if h.Attr("ip") == address {
			return h
		}
	}
	return nil
}

func removeName(dns *xmltree.Node, gone resource.DNSHost) {
	host := hostAt(dns, gone.Address)
	host.DropFunc(func(k *xmltree.Node) bool { return k.Name == "hostname" && k.Text() == gone.Name })
	if host.Get("hostname") == nil {
		dns.DropFunc(func(k *xmltree.Node) bool { return k == host })
	}
}

// readReservations reads the hosts that are known by their MAC and have an IPv4 address.
func readReservations(def *xmltree.Node, n *resource.Network, _ *Context) {
	for _, h := range IPv4(def).Get("dhcp").All("host") {
		if mac := strings.ToLower(h.Attr("mac")); mac != "" {
			n.Reservations = append(n.Reservations, resource.Reservation{MAC: mac, Address: h.Attr("ip"), Name: h.Attr("name")})
		}
	}
}

func writeReservations(def *xmltree.Node, n *resource.Network, _ *Context) error {
	wanted := map[string]resource.Reservation{}
	for _, r := range n.Reservations {
		wanted[r.MAC] = r
	}
	ip, there := IPv4(def), map[string]bool{}
	ip.Get("dhcp").DropFunc(func(k *xmltree.Node) bool {
		mac := strings.ToLower(k.Attr("mac"))
		r, ok := wanted[mac]
		if k.Name != "host" || mac == "" || !ok {
			return k.Name == "host" && mac != ""
		}
		there[mac] = true
		k.Set("ip", r.Address)
		k.Set("name", r.Name)
		return false
	})
	for _, r := range n.Reservations {
		if !there[r.MAC] && ip != nil {
			ip.Ensure("dhcp").Add(xmltree.New("host", "mac", r.MAC, "name", r.Name, "ip", r.Address))
		}
	}
	return nil
}
