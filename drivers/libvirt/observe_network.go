//go:build !nolibvirt

package libvirt

import (
	"context"
	"fmt"
	"strings"

	"libvirt.org/go/libvirt"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/libvirt/internal/definition"
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
		n := definition.ReadNetwork(def)
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
