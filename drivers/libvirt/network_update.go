//go:build !nolibvirt

package libvirt

import (
	"fmt"
	"strings"

	"libvirt.org/go/libvirt"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/libvirt/internal/definition"
	"vmplan.dev/vmplan/drivers/libvirt/internal/xmltree"
)

// servedSection is a part of a network that its own server can be told about while the network runs.
type servedSection struct {
	section libvirt.NetworkUpdateSection
	what    string
	entries func(def *xmltree.Node) []*xmltree.Node
	// key is the attribute by which libvirt is told which entry goes. Given more, it looks for entries with any of it.
	key string
}

var servedSections = []servedSection{
	{libvirt.NETWORK_SECTION_IP_DHCP_HOST, "DHCP", func(def *xmltree.Node) []*xmltree.Node { return definition.IPv4(def).Get("dhcp").All("host") }, "mac"},
	{libvirt.NETWORK_SECTION_DNS_HOST, "DNS", func(def *xmltree.Node) []*xmltree.Node { return def.Get("dns").All("host") }, "ip"},
}

// updateServed makes a network's fixed addresses and names those of after, without restarting it. Definition and running
// network are changed together when both have the same, else each from what it has. They differ when somebody has changed
// just one of them (virsh net-update --live), and when a daemon died between the two; libvirt refuses to take away what one
// of them lacks. The definition comes last, as it is what the next plan looks at.
func updateServed(net *libvirt.Network, after *resource.Network) error {
	active, err := net.IsActive()
	if err != nil {
		return fail(err, "update network %s", after.Name)
	}
	defined, err := networkTree(net)
	if err != nil {
		return err
	}
	running := defined
	if active {
		if running, err = runningNetworkTree(net); err != nil {
			return err
		}
	}
	for _, s := range servedSections {
		switch {
		case !active:
			err = s.update(net, defined, after, libvirt.NETWORK_UPDATE_AFFECT_CONFIG)
		case s.same(defined, running):
			err = s.update(net, defined, after, libvirt.NETWORK_UPDATE_AFFECT_CONFIG|libvirt.NETWORK_UPDATE_AFFECT_LIVE)
		default:
			if err = s.update(net, running, after, libvirt.NETWORK_UPDATE_AFFECT_LIVE); err == nil {
				err = s.update(net, defined, after, libvirt.NETWORK_UPDATE_AFFECT_CONFIG)
			}
		}
		if err != nil {
			return fail(err, "network %s: tell its %s server", after.Name, s.what)
		}
	}
	return nil
}

// update changes the entries in which now differs from what it becomes by after: first what goes, so that an address or a name
// is free for another.
func (s servedSection) update(net *libvirt.Network, now *xmltree.Node, after *resource.Network, flags libvirt.NetworkUpdateFlags) error {
	wanted := now.Clone()
	if err := definition.WriteServed(wanted, after); err != nil {
		return err
	}
	have, want := texts(s.entries(now)), texts(s.entries(wanted))
	isNew := func(entry *xmltree.Node) bool { return !have[entry.String()] }
	if err := checkNames(s.entries(wanted), isNew); err != nil {
		return err
	}
	for _, entry := range s.entries(now) {
		if want[entry.String()] {
			continue
		}
		gone := xmltree.New(entry.Name, s.key, entry.Attr(s.key)).String()
		if err := net.Update(libvirt.NETWORK_UPDATE_COMMAND_DELETE, s.section, -1, gone, flags); err != nil {
			return err
		}
	}
	for _, entry := range s.entries(wanted) {
		if !isNew(entry) {
			continue
		}
		if err := net.Update(libvirt.NETWORK_UPDATE_COMMAND_ADD_LAST, s.section, -1, entry.String(), flags); err != nil {
			return err
		}
	}
	return nil
}

// checkNames refuses a new entry with a name that another has too: libvirt adds none such to a network that is defined already.
func checkNames(entries []*xmltree.Node, isNew func(*xmltree.Node) bool) error {
	addresses := map[string][]string{}
	for _, entry := range entries {
		for _, name := range entry.All("hostname") {
			addresses[name.Text()] = append(addresses[name.Text()], entry.Attr("ip"))
		}
	}
	for _, entry := range entries {
		for _, name := range entry.All("hostname") {
			if at := addresses[name.Text()]; len(at) > 1 && isNew(entry) {
				return fmt.Errorf("%w: the name %s stands for %s there, and libvirt changes no entry with such a name: edit the network by hand (virsh net-edit), and restart it",
					drivers.ErrUnsupported, name.Text(), strings.Join(at, " and "))
			}
		}
	}
	return nil
}

func (s servedSection) same(a, b *xmltree.Node) bool {
	one, two := s.entries(a), s.entries(b)
	if len(one) != len(two) {
		return false
	}
	for i := range one {
		if one[i].String() != two[i].String() {
			return false
		}
	}
	return true
}

func texts(list []*xmltree.Node) map[string]bool {
	out := make(map[string]bool, len(list))
	for _, n := range list {
		out[n.String()] = true
	}
	return out
}
