//go:build !nolibvirt

package libvirt

import (
	"fmt"
	"slices"
	"testing"

	"golang.org/x/sync/errgroup"
	"libvirt.org/go/libvirt"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/libvirt/internal/definition"
	"vmplan.dev/vmplan/drivers/libvirt/internal/xmltree"
	"vmplan.dev/vmplan/drivers/libvirt/libvirttest"
)

func manyNetworks(t *testing.T, d *driver, prefix string, octet, count int) []*resource.Network {
	var out []*resource.Network
	for i := range count {
		n := &resource.Network{Meta: labMeta(resource.KindNetwork, fmt.Sprint(prefix, i)), Mode: "isolated", CIDR: fmt.Sprintf("10.94.%d.0/24", octet+i)}
		out = append(out, normal(t, d, n))
	}
	return out
}

// Networks that are made at once, by one apply or by two, get a bridge each.
func TestNetworksMadeAtOnceHaveTheirOwnBridges(t *testing.T) {
	host := libvirttest.Start(t)
	one, two := openURI(t, host.URI, nil), openURI(t, host.URI, nil)
	var all errgroup.Group
	for _, half := range []struct {
		d    *driver
		list []*resource.Network
	}{{one, manyNetworks(t, one, "a", 0, 6)}, {two, manyNetworks(t, two, "b", 100, 6)}} {
		for _, n := range half.list {
			all.Go(func() error {
				_, err := half.d.Do(t.Context(), drivers.NewCreate(n, nil), nil)
				return err
			})
		}
	}
	check(t, all.Wait())
	bridges := map[string]string{}
	o, err := one.Observe(t.Context(), drivers.Selection{All: true})
	check(t, err)
	for key, object := range o.Objects {
		n, ok := object.Resource.(*resource.Network)
		if !ok {
			continue
		}
		if other := bridges[n.Bridge]; other != "" || object.Power != drivers.PowerOn {
			t.Errorf("%s is %s, on bridge %s, as is %q", key, object.Power, n.Bridge, other)
		}
		bridges[n.Bridge] = key
	}
	if len(bridges) != 12 {
		t.Errorf("there are the bridges %v", bridges)
	}
}

// Somebody has changed only what runs, or a daemon died before it had changed both: the next change makes them the same again.
func TestANetworkWhoseTwoSidesDiffer(t *testing.T) {
	host := libvirttest.Start(t)
	d := openURI(t, host.URI, nil)
	one := resource.Reservation{MAC: "52:54:00:00:00:01", Address: "10.95.0.11", Name: "one"}
	two := resource.Reservation{MAC: "52:54:00:00:00:02", Address: "10.95.0.12", Name: "two"}
	before := normal(t, d, &resource.Network{
		Meta: labMeta(resource.KindNetwork, "lan"), CIDR: "10.95.0.0/24", Reservations: []resource.Reservation{one},
		DNSHosts: []resource.DNSHost{{Name: "db", Address: "10.95.0.11"}},
	})
	do(t, d, drivers.NewCreate(before, nil))
	s, err := d.session(t.Context())
	check(t, err)
	net, err := s.conn.LookupNetworkByName("lan")
	check(t, err)
	defer freeNetwork(net)
	update := func(command libvirt.NetworkUpdateCommand, r resource.Reservation) {
		t.Helper()
		text := fmt.Sprintf("<host mac='%s' name='%s' ip='%s'/>", r.MAC, r.Name, r.Address)
		check(t, net.Update(command, libvirt.NETWORK_SECTION_IP_DHCP_HOST, -1, text, libvirt.NETWORK_UPDATE_AFFECT_LIVE))
	}
	update(libvirt.NETWORK_UPDATE_COMMAND_DELETE, one)
	update(libvirt.NETWORK_UPDATE_COMMAND_ADD_LAST, two)
	check(t, net.Update(libvirt.NETWORK_UPDATE_COMMAND_DELETE, libvirt.NETWORK_SECTION_DNS_HOST, -1, "<host ip='10.95.0.11'/>", libvirt.NETWORK_UPDATE_AFFECT_LIVE))

	after := resource.Clone(before)
	after.Reservations = []resource.Reservation{two}
	after.DNSHosts = []resource.DNSHost{{Name: "www", Address: "10.95.0.12"}}
	do(t, d, drivers.NewUpdate(before, after, true))
	for side, read := range map[string]func(*libvirt.Network) (*xmltree.Node, error){"definition": networkTree, "running network": runningNetworkTree} {
		tree, err := read(net)
		check(t, err)
		if is := definition.ReadNetwork(tree); !slices.Equal(is.Reservations, after.Reservations) || !slices.Equal(is.DNSHosts, after.DNSHosts) {
			t.Errorf("the %s has %+v and %+v", side, is.Reservations, is.DNSHosts)
		}
	}
}
