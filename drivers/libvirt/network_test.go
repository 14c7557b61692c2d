//go:build !nolibvirt

package libvirt

import (
	"fmt"
	"testing"

	"golang.org/x/sync/errgroup"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
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
