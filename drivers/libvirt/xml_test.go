//go:build !nolibvirt

package libvirt

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/libvirt/internal/definition"
	"vmplan.dev/vmplan/drivers/libvirt/internal/xmltree"
)

var rewrite = flag.Bool("rewrite", false, "write testdata anew from what the driver says now")

// golden compares text with testdata/NAME.
func golden(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *rewrite {
		check(t, os.WriteFile(path, []byte(text+"\n"), 0o644))
	}
	want, err := os.ReadFile(path)
	check(t, err)
	if string(want) != text+"\n" {
		t.Errorf("%s differs (go test -rewrite writes it anew); now it is:\n%s", path, text)
	}
}

func kvmFacts() *hostFacts {
	return &hostFacts{Facts: drivers.Facts{Arch: "x86_64", DomainTypes: []string{"kvm", "qemu"}}, virt: map[string]string{"kvm": "kvm", "qemu": "qemu"}}
}

func uefiVM() *resource.VM {
	return &resource.VM{
		Meta: labMeta(resource.KindVM, "web"), UUID: "0a6a3c5e-0000-5000-8000-000000000003", Title: "Web <1>", Description: "a & b",
		VCPUs: 2, MaxVCPUs: 4, Memory: 500 * 1000 * 1000, MaxMemory: 2 * resource.GiB, Firmware: "uefi",
		Disks: []resource.Disk{
			{Label: "root", Source: "fast/web-root.qcow2", Cache: "none"},
			{Label: "data", Source: "fast/db.raw", Bus: "scsi"},
			{Label: "seed", Source: "fast/web-seed.iso", ReadOnly: new(true)},
			{Label: "cd", Source: "fast/cd.iso", Device: "cdrom"},
		},
		NICs: []resource.NIC{
			{Label: "lan", Source: "lan", MAC: "52:54:00:AA:BB:01"},
			{Label: "wan", Bridge: "br0", MAC: "52:54:00:aa:bb:02", Model: "e1000e", Link: new(false), Bandwidth: &resource.Bandwidth{
				Inbound: &resource.Rate{Average: 1000, Peak: 2000, Burst: 512}, Outbound: &resource.Rate{Average: 250},
			}},
			{Label: "out", User: new(true), MAC: "52:54:00:aa:bb:03", PortForwards: []resource.PortForward{
				{Name: "ssh", HostPort: 2222, GuestPort: 22},
				{Name: "dns", HostPort: 5353, GuestPort: 53, Protocol: "udp", Address: "0.0.0.0"},
			}},
		},
		Graphics: &resource.Graphics{},
	}
}

// testFile pretends that each disk of a vm is a file of /pool.
func testFile(source string) (definition.File, error) {
	name := filepath.Base(source)
	format := strings.TrimPrefix(filepath.Ext(name), ".")
	if format != "qcow2" {
		format = "raw"
	}
	return definition.File{Path: "/pool/" + name, Format: format}, nil
}

// testContext writes definitions for a host with these facts.
func testContext(facts *hostFacts) *definition.Context {
	return &definition.Context{Host: facts.guestHost(false), File: testFile}
}

// indented writes an element for people: each child on a line of its own.
func indented(n *xmltree.Node, in string) string {
	if len(n.Kids) == 0 || n.Kids[0].Name == "" || n.Name == "metadata" {
		return in + n.String()
	}
	empty := *n
	empty.Kids = nil
	lines := []string{in + strings.TrimSuffix(empty.String(), "/>") + ">"}
	for _, k := range n.Kids {
		lines = append(lines, indented(k, in+"  "))
	}
	return strings.Join(append(lines, in+"</"+n.Name+">"), "\n")
}

// What is written for a vm is read back as the same vm.
func TestDomainXML(t *testing.T) {
	arm := &hostFacts{Facts: drivers.Facts{Arch: "aarch64", DomainTypes: []string{"qemu"}}, virt: map[string]string{"qemu": "qemu"}}
	secure := uefiVM()
	secure.SecureBoot, secure.Machine, secure.CPU, secure.DomainType = new(true), "pc-q35-7.2", "qemu64", "qemu"
	secure.TPM = &resource.TPM{Model: "tpm-crb"}
	secure.Graphics = &resource.Graphics{Type: "spice", Listen: "0.0.0.0", Port: 5901}
	bare := &resource.VM{Meta: labMeta(resource.KindVM, "bare"), UUID: "0a6a3c5e-0000-5000-8000-000000000004"}
	for _, c := range []struct {
		name  string
		vm    *resource.VM
		facts *hostFacts
	}{
		{"uefi", uefiVM(), kvmFacts()},
		{"secure", secure, kvmFacts()},
		{"bare", bare, kvmFacts()},
		{"arm", bare, arm},
	} {
		t.Run(c.name, func(t *testing.T) {
			vm := normal(t, &driver{}, c.vm)
			context, mark := testContext(c.facts), &drivers.Mark{Lineage: "l", Addr: resource.Addr{Kind: resource.KindVM, Name: "web", Key: `["a"]`}, Version: "0.1.0"}
			if len(vm.Disks) > 0 {
				context.SerialLog = "/pool/" + serialLog(vm)
			}
			written, err := newDomain(vm, mark, context)
			check(t, err)
			golden(t, c.name+".xml", indented(written, ""))

			tree, err := xmltree.Parse(written.String())
			check(t, err)
			pools := poolIndex{"fast": {name: "fast", path: "/pool"}}
			live := pools.readVM(tree, vm)
			live.Autostart = vm.Autostart
			before, after := resource.Overlay(vm, nil, live)
			for _, d := range resource.Diff(before, after) {
				t.Errorf("%s was written as %s and is read as %s", d.Path, resource.Format(d.New), resource.Format(d.Old))
			}
			if got := readMark(tree.Get("metadata")); got == nil || *got != *mark {
				t.Errorf("the mark is read as %+v", got)
			}
		})
	}
}

func TestNetworkXML(t *testing.T) {
	meta := labMeta(resource.KindNetwork, "lan")
	for name, n := range map[string]*resource.Network{
		"nat": {
			Meta: meta, UUID: "0a6a3c5e-0000-5000-8000-000000000002", CIDR: "10.17.3.9/24", Domain: "lab.example",
			Reservations: []resource.Reservation{{MAC: "52:54:00:AA:BB:01", Address: "10.17.3.10", Name: "web"}},
		},
		"isolated": {Meta: meta, Mode: "isolated", CIDR: "10.17.4.0/28", DHCP: new(false), Bridge: "virbr7"},
		"bridge":   {Meta: meta, Mode: "bridge", Bridge: "br0"},
	} {
		t.Run(name, func(t *testing.T) {
			n := normal(t, &driver{}, n)
			tree, err := newNetwork(n, &drivers.Mark{Lineage: "l", Addr: n.Addr, Version: "0.1.0"})
			check(t, err)
			golden(t, "network-"+name+".xml", indented(tree, ""))
			live := definition.ReadNetwork(tree)
			live.Autostart = n.Autostart
			before, after := resource.Overlay(n, nil, live)
			for _, d := range resource.Diff(before, after) {
				t.Errorf("%s was written as %s and is read as %s", d.Path, resource.Format(d.New), resource.Format(d.Old))
			}
		})
	}
}

// Devices that somebody else made have no label; they are called by what they are on.
func TestForeignDevicesHaveNames(t *testing.T) {
	tree, err := xmltree.Parse(`<domain type="kvm"><name>old</name><memory unit='GiB'>1</memory><vcpu>2</vcpu>
<os><type arch='x86_64' machine='pc-i440fx-6.2'>hvm</type><loader readonly='yes' secure='yes' type='pflash'>/x</loader></os>
<devices><disk type='block' device='disk'><source dev='/dev/sdb'/><target dev='vda' bus='virtio'/></disk>
<disk type='volume' device='disk'><source pool='p' volume='v'/><target dev='vdb' bus='virtio'/></disk>
<disk type='network' device='disk'><source protocol='rbd' name='x/y'/><target dev='vdc' bus='virtio'/></disk>
<disk type='file' device='floppy'><target dev='fda' bus='fdc'/></disk><disk type='file' device='cdrom'><target dev='sda' bus='sata'/></disk>
<interface type='user'><mac address='52:54:00:AA:00:01'/></interface><interface type='bridge'><source bridge='br0'/></interface></devices></domain>`)
	check(t, err)
	vm := poolIndex{}.readVM(tree, nil)
	var got []string
	for _, d := range vm.Disks {
		got = append(got, d.Label+"="+d.Source)
	}
	for _, n := range vm.NICs {
		got = append(got, n.Label+"="+n.Bridge)
	}
	want := []string{"vda=/dev/sdb", "vdb=p/v", "vdc=rbd:x/y", "sda=", "net0=", "net1=br0"}
	if !slices.Equal(got, want) {
		t.Errorf("devices are %q, not %q", got, want)
	}
	if vm.Machine != "pc" || vm.Firmware != "uefi" || !*vm.SecureBoot || vm.Memory != resource.GiB || vm.VCPUs != 2 {
		t.Errorf("read as %+v", vm)
	}
	if got := poolIndex.readVM(poolIndex{}, tree, &resource.VM{Machine: "pc-i440fx-6.2"}).Machine; got != "pc-i440fx-6.2" {
		t.Errorf("a machine that is wanted by its version is read as %s", got)
	}
}

func TestNormalize(t *testing.T) {
	d := &driver{}
	vm := normal(t, d, uefiVM())
	if vm.Memory != 477*resource.MiB || vm.NICs[0].MAC != "52:54:00:aa:bb:01" || *vm.SecureBoot || vm.Disks[3].Bus != "sata" || !*vm.Disks[3].ReadOnly || vm.CPU != "" {
		t.Errorf("normalised to %+v", vm)
	}
	sata := &resource.VM{Disks: []resource.Disk{{Label: "seed", Bus: "sata", ReadOnly: new(true)}}}
	if got := normal(t, d, sata).Disks[0].Device; got != "cdrom" {
		t.Errorf("a read-only disk on sata is a %s", got)
	}
	n := normal(t, d, &resource.Network{CIDR: "192.168.7.130/25"})
	if n.CIDR != "192.168.7.128/25" || n.DHCPStart != "192.168.7.130" || n.DHCPEnd != "192.168.7.254" || n.Mode != "nat" {
		t.Errorf("normalised to %+v", n)
	}
	for field, bad := range map[string]resource.Resource{
		"max_vcpus":   &resource.VM{VCPUs: 4, MaxVCPUs: 2},
		"max_memory":  &resource.VM{Memory: 2 * resource.GiB, MaxMemory: resource.GiB},
		"disk.a.bus":  &resource.VM{Disks: []resource.Disk{{Label: "a", Device: "cdrom", Bus: "virtio"}}},
		"disk.a.read": &resource.VM{Disks: []resource.Disk{{Label: "a", Device: "disk", Bus: "sata", ReadOnly: new(true)}}},
		"nic":         &resource.VM{NICs: []resource.NIC{{Label: "a.b"}}},
		"cidr":        &resource.Network{CIDR: "10.0.0.0/31"},
		"mtu":         &resource.Network{Mode: "bridge", Bridge: "br0", MTU: 9000},
		"bridge":      &resource.Network{CIDR: "10.0.0.0/24", Bridge: "sixteen-letters-"},
		"type":        &resource.Pool{Type: "rbd", Path: "/x"},
		"name":        &resource.Pool{Meta: resource.Meta{Name: "a/b"}},
	} {
		if _, err := d.Normalize(bad); !errors.Is(err, drivers.ErrUnsupported) || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: %v", field, err)
		}
	}
}
