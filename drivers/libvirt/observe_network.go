//go:build !nolibvirt

package libvirt

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"libvirt.org/go/libvirt"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
)

func (o *observation) readNetworks(ctx context.Context) error {
	list, err := o.conn.ListAllNetworks(0)
	if err != nil {
		return fail(err, "list networks")
	}
	networks := pointers(list)
	defer func() {
		for _, n := range networks {
			freeNetwork(n)
		}
	}()
	active, err := o.networkNames(libvirt.CONNECT_LIST_NETWORKS_ACTIVE)
	if err != nil {
		return err
	}
	autostart, err := o.networkNames(libvirt.CONNECT_LIST_NETWORKS_AUTOSTART)
	if err != nil {
		return err
	}
	return each(ctx, len(networks), func(i int) error {
		def, err := networkTree(networks[i])
		if missing(err) {
			return nil
		}
		if err != nil {
			return err
		}
		name := def.get("name").value()
		key, mark := string(resource.KindNetwork)+"/"+name, readMark(def.get("metadata"))
		if !o.ours(key, mark) || strings.HasPrefix(name, asidePrefix) {
			return nil
		}
		n := readNetwork(def)
		n.Addr, n.Autostart = o.address(key, mark), new(autostart[name])
		power := drivers.PowerOff
		if active[name] {
			power = drivers.PowerOn
		}
		o.add(&drivers.Object{Resource: n, Power: power, Mark: mark})
		return nil
	})
}

func (o *observation) networkNames(flag libvirt.ConnectListAllNetworksFlags) (map[string]bool, error) {
	list, err := o.conn.ListAllNetworks(flag)
	if err != nil {
		return nil, fail(err, "list networks")
	}
	return nameSet(pointers(list), freeNetwork)
}

// networkTree reads the persistent definition.
func networkTree(n *libvirt.Network) (*node, error) {
	text, err := n.GetXMLDesc(libvirt.NETWORK_XML_INACTIVE)
	if err != nil && notOffered(err) {
		return runningNetworkTree(n) // the test driver has but one
	}
	return parseNetwork(n, text, err)
}

// runningNetworkTree reads an active network as it runs.
func runningNetworkTree(n *libvirt.Network) (*node, error) {
	text, err := n.GetXMLDesc(0)
	return parseNetwork(n, text, err)
}

func parseNetwork(n *libvirt.Network, text string, err error) (*node, error) {
	name, _ := n.GetName()
	if err != nil {
		return nil, fail(err, "read the definition of network %s", name)
	}
	tree, err := parseTree(text)
	if err != nil {
		return nil, fmt.Errorf("read the definition of network %s: %w", name, err)
	}
	return tree, nil
}

// readNetwork turns a network into canonical form.
func readNetwork(def *node) *resource.Network {
	n := &resource.Network{
		UUID:   def.get("uuid").value(),
		Mode:   readMode(def.get("forward")),
		Domain: def.get("domain").attr("name"),
		Bridge: def.get("bridge").attr("name"),
	}
	n.Name = def.get("name").value()
	n.DNSHosts = readNames(def.get("dns"))
	ip := ipv4(def)
	if ip == nil {
		n.DHCP = new(false)
		return n
	}
	if prefix, ok := readPrefix(ip); ok {
		n.CIDR = prefix.Masked().String()
	}
	dhcp := ip.get("dhcp")
	n.DHCP = new(dhcp.get("range") != nil)
	n.DHCPStart, n.DHCPEnd = dhcp.get("range").attr("start"), dhcp.get("range").attr("end")
	for _, h := range dhcp.all("host") {
		n.Reservations = append(n.Reservations, resource.Reservation{
			MAC: strings.ToLower(h.attr("mac")), Address: h.attr("ip"), Name: h.attr("name"),
		})
	}
	return n
}

func readMode(forward *node) string {
	switch mode := forward.attr("mode"); {
	case forward == nil:
		return "isolated"
	case mode == "":
		return "nat"
	default:
		return mode
	}
}

// ipv4 is the network's first IPv4 element, or nil.
func ipv4(def *node) *node {
	for _, ip := range def.all("ip") {
		if f := ip.attr("family"); f == "" || f == "ipv4" {
			return ip
		}
	}
	return nil
}

func readPrefix(ip *node) (netip.Prefix, bool) {
	addr, err := netip.ParseAddr(ip.attr("address"))
	if err != nil {
		return netip.Prefix{}, false
	}
	bits, err := strconv.Atoi(ip.attr("prefix"))
	if err != nil {
		mask := net.ParseIP(ip.attr("netmask")).To4()
		if mask == nil {
			return netip.Prefix{}, false
		}
		bits, _ = net.IPMask(mask).Size()
	}
	return netip.PrefixFrom(addr, bits), true
}
