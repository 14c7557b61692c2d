//go:build !nolibvirt

package libvirt

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/libvirt/libvirttest"
)

// Between the plan and its deletion somebody has put another object in the place of ours.
func TestWhatHasTakenTheNameOfOursIsNotDeleted(t *testing.T) {
	d := openURI(t, "test:///default", nil)
	ours := []resource.Resource{
		&resource.Network{Meta: labMeta(resource.KindNetwork, "theirs"), UUID: "0a6a3c5e-0000-5000-8000-00000000000a", Mode: "nat", CIDR: "10.94.0.0/24"},
		&resource.Pool{Meta: labMeta(resource.KindPool, "theirs"), UUID: "0a6a3c5e-0000-5000-8000-00000000000b", Path: "/theirs"},
	}
	s, err := d.session(t.Context())
	check(t, err)
	_, err = s.conn.NetworkCreateXML(`<network><name>theirs</name><forward mode="nat"/><ip address="10.95.0.1" netmask="255.255.255.0"/></network>`)
	check(t, err)
	_, err = s.conn.StoragePoolCreateXML(`<pool type="dir"><name>theirs</name><target><path>/elsewhere</path></target></pool>`, 0)
	check(t, err)
	dom, err := s.conn.DomainDefineXML(`<domain type="test"><name>theirs</name><memory>1024</memory><os><type>hvm</type></os></domain>`)
	check(t, err)
	check(t, dom.Create())
	vm := normal(t, d, &resource.VM{Meta: labMeta(resource.KindVM, "theirs"), UUID: "0a6a3c5e-0000-5000-8000-00000000000c", Memory: resource.GiB, VCPUs: 1})
	for _, op := range []drivers.Op{drivers.NewStop(vm, true), drivers.NewDelete(vm), drivers.NewSetMark(vm, drivers.Mark{Lineage: "ours", Addr: vm.Addr})} {
		if _, err := d.Do(t.Context(), op, nil); !errors.Is(err, drivers.ErrConflict) {
			t.Errorf("%s vm: %v, want ErrConflict", op.Verb(), err)
		}
	}
	if active, err := dom.IsActive(); err != nil || !active {
		t.Errorf("the vm is active: %v, %v", active, err)
	}
	for _, r := range ours {
		_, err := d.Do(t.Context(), drivers.NewDelete(normal(t, d, r)), nil)
		if !errors.Is(err, drivers.ErrConflict) {
			t.Errorf("delete %s: %v, want ErrConflict", r.Kind(), err)
		}
	}
	if n, err := s.conn.LookupNetworkByName("theirs"); err != nil {
		t.Errorf("the network: %v", err)
	} else if active, err := n.IsActive(); err != nil || !active {
		t.Errorf("the network is active: %v, %v", active, err)
	}
	if p, err := s.conn.LookupStoragePoolByName("theirs"); err != nil {
		t.Errorf("the pool: %v", err)
	} else if active, err := p.IsActive(); err != nil || !active {
		t.Errorf("the pool is active: %v, %v", active, err)
	}
}

// libvirt's "delete" of a volume group is vgremove, which takes all volumes in it along.
func TestNothingButAFolderIsDeletedWithItsPool(t *testing.T) {
	host := libvirttest.Start(t)
	var said bytes.Buffer
	d := openURI(t, host.URI, nil)
	d.env.Log = slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s, err := d.session(t.Context())
	check(t, err)
	_, err = s.conn.StoragePoolDefineXML(`<pool type="logical"><name>vg</name><source><name>vg</name></source><target><path>/dev/vg</path></target></pool>`, 0)
	check(t, err)
	do(t, d, drivers.NewDelete(&resource.Pool{Meta: labMeta(resource.KindPool, "vg")}))
	if strings.Contains(said.String(), "stays") { // there is no such group, so that trying to delete it fails, which is noted
		t.Errorf("it was tried: %s", &said)
	}
	if _, err := s.conn.LookupStoragePoolByName("vg"); !missing(err) {
		t.Errorf("the pool is still defined: %v", err)
	}
}
