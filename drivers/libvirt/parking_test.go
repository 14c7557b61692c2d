//go:build !nolibvirt

package libvirt

import (
	"testing"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
)

// A run was killed while the guest's NIC was parked. The parking network is shown to nobody; it goes when the last NIC leaves it, or
// when its network is next changed, which brings the NIC back if the guest still runs.
func TestTheParkingNetworkGoesWithItsLastGuest(t *testing.T) {
	l := newLab(t, "")
	l.create()
	c := l.call(t)
	name := parkingName(l.lan.UUID)
	parked := func() bool {
		net, err := c.conn.LookupNetworkByName(name)
		if err == nil {
			freeNetwork(net)
		} else if !missing(err) {
			t.Fatal(err)
		}
		return err == nil
	}
	killed := func() {
		t.Helper()
		do(t, l.d, drivers.NewStart(l.vm))
		net, err := c.openParking(name)
		check(t, err)
		freeNetwork(net)
		nics, err := c.nicsOn("lan")
		check(t, err)
		if len(nics) != 1 {
			t.Fatalf("%d NICs are on the network", len(nics))
		}
		defer freeDomain(nics[0].dom)
		check(t, nics[0].move(&resource.NIC{Source: name, Link: new(false)}))
	}

	killed()
	o, err := l.d.Observe(t.Context(), drivers.Selection{Lineage: "lab", Want: l.all(), All: true})
	check(t, err)
	if o.Objects["network/"+name] != nil {
		t.Error("the parking network is shown")
	}
	before, after := resource.Overlay(l.vm, l.vm, o.Objects["vm/web"].Running)
	do(t, l.d, drivers.NewUpdate(before, after, true))
	if parked() {
		t.Error("the parking network is there after its last NIC left")
	}
	if nics, err := c.nicsOn("lan"); err != nil || len(nics) != 1 {
		t.Errorf("%d NICs are back on the network, %v", len(nics), err)
	}
	do(t, l.d, drivers.NewStop(l.vm, true))

	killed()
	do(t, l.d, drivers.NewStop(l.vm, true))
	do(t, l.d, drivers.NewUpdate(l.lan, l.lan, true))
	if parked() {
		t.Error("the parking network is there after its guest went off and its network was changed")
	}

	killed()
	do(t, l.d, drivers.NewUpdate(l.lan, l.lan, true))
	if nics, err := c.nicsOn("lan"); err != nil || len(nics) != 1 || parked() {
		t.Errorf("after its network was changed %d NICs are back on it, %v; the parking network is there: %t", len(nics), err, parked())
	}
	do(t, l.d, drivers.NewStop(l.vm, true))
	l.destroy()
}
