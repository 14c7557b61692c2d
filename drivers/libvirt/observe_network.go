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
	"vmplan.dev/vmplan/drivers/libvirt/internal/xmltree"
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
		name := def.Get("name").Text()
		key, mark := string(resource.KindNetwork)+"/"+name, readMark(def.Get("metadata"))
		if !o.ours(key, mark) || strings.HasPrefix(name, parkingPrefix) {
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
func networkTree(n *libvirt.Network) (*xmltree.Node, error) {
	text, err := n.GetXMLDesc(libvirt.NETWORK_XML_INACTIVE)
	if err != nil && notOffered(err) {
		return runningNetworkTree(n) // the test driver has but one
	}
	return parseNetwork(n, text, err)
}

// runningNetworkTree reads an active network as it runs.
func runningNetworkTree(n *libvirt.Network) (*xmltree.Node, error) {
	text, err := n.GetXMLDesc(0)
	return parseNetwork(n, text, err)
}

func parseNetwork(n *libvirt.Network, text string, err error) (*xmltree.Node, error) {
	name, _ := n.GetName()
	if err != nil {
		return nil, fail(err, "read the definition of network %s", name)
	}
	tree, err := xmltree.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("read the definition of network %s: %w", name, err)
	}
	return tree, nil
}

// readNetwork turns a network into canonical form.
func readNetwork(def *xmltree.Node) *resource.Network {
	n := &resource.Network{
		UUID:   def.Get("uuid").Text(),
		Mode:   readMode(def.Get("forward")),
		Domain: def.Get("domain").Attr("name"),
		Bridge: def.Get("bridge").Attr("name"),
	}
	n.Name = def.Get("name").Text()
	n.DNSHosts = readNames(def.Get("dns"))
	ip := ipv4(def)
	if ip == nil {
		n.DHCP = new(false)
		return n
	}
	if prefix, ok := readPrefix(ip); ok {
		n.CIDR = prefix.Masked().String()
	}
	dhcp := ip.Get("dhcp")
	n.DHCP = new(dhcp.Get("range") != nil)
	n.DHCPStart, n.DHCPEnd = dhcp.Get("range").Attr("start"), dhcp.Get("range").Attr("end")
	for _, h := range dhcp.All("host") {
		n.Reservations = append(n.Reservations, resource.Reservation{
			MAC: strings.ToLower(h.Attr("mac")), Address: h.Attr("ip"), Name: h.Attr("name"),
		})
	}
	return n
}

func readMode(forward *xmltree.Node) string {
	switch mode := forward.Attr("mode"); {
	case forward == nil:
		return "isolated"
	case mode == "":
		return "nat"
	default:
		return mode
	}
}

// ipv4 is the network's first IPv4 element, or nil.
func ipv4(def *xmltree.Node) *xmltree.Node {
	for _, ip := range def.All("ip") {
		if f := ip.Attr("family"); f == "" || f == "ipv4" {
			return ip
		}
	}
	return nil
}

func readPrefix(ip *xmltree.Node) (netip.Prefix, bool) {
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
