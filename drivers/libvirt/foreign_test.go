//go:build !nolibvirt

package libvirt

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"libvirt.org/go/libvirt"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/libvirt/internal/xmltree"
	"vmplan.dev/vmplan/drivers/libvirt/libvirttest"
)

// foreign reads the definitions of one kind that people wrote by hand, by the names of their objects.
func foreign(t *testing.T, kind string) map[string]string {
	t.Helper()
	files, err := filepath.Glob("testdata/foreign/" + kind + "-*.xml")
	check(t, err)
	out := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		check(t, err)
		out[strings.TrimSuffix(strings.TrimPrefix(filepath.Base(file), kind+"-"), ".xml")] = string(text)
	}
	if len(out) == 0 {
		t.Fatalf("there are no definitions of kind %s", kind)
	}
	return out
}

// facts lists what a definition says, a line for each attribute and text: "devices/disk#1/target@dev=vda".
func facts(n *xmltree.Node, at string) []string {
	var out []string
	for _, a := range n.Attrs {
		out = append(out, at+"@"+a.Name+"="+a.Value)
	}
	if len(n.Attrs)+len(n.Kids) == 0 {
		out = append(out, at)
	}
	count := map[string]int{}
	for _, k := range n.Kids {
		if k.Name == "" {
			out = append(out, at+"="+k.Data)
			continue
		}
		count[k.Name]++
		name := k.Name
		if count[k.Name] > 1 {
			name = fmt.Sprint(name, "#", count[k.Name])
		}
		out = append(out, facts(k, strings.TrimPrefix(at+"/"+name, "/"))...)
	}
	return out
}

// others lists in what two definitions differ beyond what a change may touch: patterns of facts.
func others(before, after *xmltree.Node, may ...string) []string {
	a, b := facts(before, ""), facts(after, "")
	var out []string
	for _, side := range []struct {
		sign       string
		list, keep []string
	}{{"-", a, b}, {"+", b, a}} {
		for _, fact := range side.list {
			if !slices.Contains(side.keep, fact) && !slices.ContainsFunc(may, func(p string) bool {
				return regexp.MustCompile("^(?:" + p + ")(?:[@=/].*)?$").MatchString(fact)
			}) {
				out = append(out, side.sign+fact)
			}
		}
	}
	return out
}

// vmEdit changes one field of a vm; may says which parts of the definition that touches.
type vmEdit struct {
	field string
	only  string // names of the domains that it is tried on; empty: all
	apply func(vm *resource.VM)
	may   []string
}

const (
	diskAt = `devices/disk(#\d)?`
	nicAt  = `devices/interface(#\d)?`
)

var vmEdits = []vmEdit{
	{"title", "", func(vm *resource.VM) { vm.Title = "New" }, []string{"title"}},
	{"description", "", func(vm *resource.VM) { vm.Description = "New" }, []string{"description"}},
	{"memory", "console vnc uefi", func(vm *resource.VM) { vm.Memory -= 64 * resource.MiB }, []string{"currentMemory"}},
	{"max_memory", "console vnc uefi", func(vm *resource.VM) { vm.MaxMemory *= 2 }, []string{"memory"}},
	{"vcpus", "vnc", func(vm *resource.VM) { vm.VCPUs = 3 }, []string{"vcpu@current", `vcpus/vcpu(#\d)?@enabled`}},
	{"max_vcpus", "vnc", func(vm *resource.VM) { vm.MaxVCPUs = 6 }, []string{"vcpu", `vcpus/vcpu#[56]`}},
	{"cpu", "cpu", func(vm *resource.VM) { vm.CPU = "Haswell" }, []string{"cpu/model"}},
	{"cpu", "uefi", func(vm *resource.VM) { vm.CPU = "maximum" }, []string{"cpu@mode"}},
	// What a named model cannot have goes, as the plan says.
	{"cpu", "uefi", func(vm *resource.VM) { vm.CPU = "qemu64" }, []string{"cpu@mode", "cpu@match", "cpu@migratable", "cpu/cache", "cpu/model"}},
	{"cpu", "cpu", func(vm *resource.VM) { vm.CPU = "maximum" }, []string{"cpu@mode", "cpu@match", "cpu@check", "cpu@migratable", "cpu/model", "cpu/vendor"}},
	{"graphics.listen", "console vnc", func(vm *resource.VM) { vm.Graphics.Listen = "0.0.0.0" }, []string{"devices/graphics@listen", "devices/graphics/listen@address"}},
	{"graphics.port", "console vnc", func(vm *resource.VM) { vm.Graphics.Port = 5977 }, []string{"devices/graphics@port", "devices/graphics@autoport"}},
	{"graphics.type", "console", func(vm *resource.VM) { vm.Graphics.Type = "vnc" }, []string{
		"devices/graphics@type", "devices/graphics@tlsPort", "devices/graphics@defaultMode", "devices/graphics/(channel|image|clipboard|filetransfer)", "devices/audio@type", "devices/graphics@sharePolicy",
	}},
	{"graphics", "console", func(vm *resource.VM) { vm.Graphics = nil }, []string{"devices/graphics", "devices/video", "devices/audio@type"}},
	{"graphics", "uefi", func(vm *resource.VM) { vm.Graphics = &resource.Graphics{Type: "vnc", Listen: "127.0.0.1"} }, []string{"devices/graphics", "devices/video", "devices/input(#2)?", "devices/audio", "devices/controller(#\\d+)?"}},
	{"tpm.model", "console", func(vm *resource.VM) { vm.TPM.Model = "tpm-tis" }, []string{"devices/tpm@model"}},
	{"tpm", "console", func(vm *resource.VM) { vm.TPM = nil }, []string{"devices/tpm"}},
	{"firmware", "uefi", func(vm *resource.VM) { vm.Firmware, vm.SecureBoot = "bios", nil }, []string{"os@firmware", "os/firmware", "os/loader", "os/nvram", "features/smm"}},
	{"disk.*.cache", "", func(vm *resource.VM) { vm.Disks[0].Cache = "writethrough" }, []string{diskAt + "/driver@cache"}},
	{"disk.*.source", "console cpu uefi", func(vm *resource.VM) { vm.Disks[0].Source = "/srv/other.raw" }, []string{"devices/disk/source@file"}},
	{"disk.*.read_only", "console cpu", func(vm *resource.VM) { vm.Disks[0].ReadOnly = new(true) }, []string{"devices/disk/readonly"}},
	{"disk.*.bus", "console uefi", func(vm *resource.VM) { vm.Disks[0].Bus = "scsi" }, []string{
		"devices/disk/target", "devices/disk/address", "devices/controller(#\\d+)?",
	}},
	{"disk.*", "vnc", func(vm *resource.VM) { vm.Disks = vm.Disks[:2] }, []string{"devices/disk#3"}},
	{"disk.*", "console", func(vm *resource.VM) {
		vm.Disks = append(vm.Disks, resource.Disk{Label: "data", Source: "/srv/data.raw", Bus: "virtio", Device: "disk", ReadOnly: new(false)})
	}, []string{"devices/disk#2", "devices/controller(#\\d+)?", "devices/disk/boot"}},
	{"nic.*.model", "vnc", func(vm *resource.VM) { vm.NICs[0].Model = "e1000" }, []string{nicAt + "/model", nicAt + "/driver"}},
	{"nic.*.mac", "", func(vm *resource.VM) {
		if len(vm.NICs) > 0 {
			vm.NICs[0].MAC = "52:54:00:10:00:99"
		} else {
			vm.Title = "none"
		}
	}, []string{"devices/interface/mac", "title"}},
	{"nic.*.link", "cpu uefi", func(vm *resource.VM) { vm.NICs[0].Link = new(false) }, []string{"devices/interface/link"}},
	{"nic.*.source", "cpu", func(vm *resource.VM) { vm.NICs[0].Source = "blocks" }, []string{"devices/interface/source@network"}},
	{"nic.*.bridge", "cpu", func(vm *resource.VM) { vm.NICs[1].Bridge = "br1" }, []string{"devices/interface#2/source@bridge"}},
	{"nic.*.bandwidth", "cpu", func(vm *resource.VM) { vm.NICs[0].Bandwidth.Inbound.Average = 200 }, []string{"devices/interface/bandwidth/inbound@average"}},
	{"nic.*", "cpu", func(vm *resource.VM) { vm.NICs = vm.NICs[:1] }, []string{"devices/interface#2"}},
}

// An edit of one field of a vm that somebody else made changes that field in its definition, and nothing else.
func TestAnEditOfAForeignVMChangesThatFieldAlone(t *testing.T) {
	host := libvirttest.Start(t)
	d := openURI(t, host.URI, nil)
	c := callOn(t, d)
	for name, text := range foreign(t, "domain") {
		for _, edit := range vmEdits {
			if edit.only != "" && !slices.Contains(strings.Fields(edit.only), name) {
				continue
			}
			t.Run(name+"/"+edit.field, func(t *testing.T) {
				dom, err := c.conn.DomainDefineXML(text)
				check(t, err)
				defer func() { check(t, dom.UndefineFlags(libvirt.DOMAIN_UNDEFINE_NVRAM)); freeDomain(dom) }()
				was, err := wholeDefinition(dom)
				check(t, err)
				before := observed(t, d, resource.KindVM, name).(*resource.VM)
				after := resource.Clone(before)
				edit.apply(after)
				do(t, d, drivers.NewUpdate(before, after, false))
				is, err := wholeDefinition(dom)
				check(t, err)
				if more := others(was, is, edit.may...); len(more) > 0 {
					t.Errorf("more changes than the field:\n%s", strings.Join(more, "\n"))
				}
				for _, diff := range resource.Diff(after, observed(t, d, resource.KindVM, name, after)) {
					t.Errorf("%s is %s, not %s", diff.Path, resource.Format(diff.New), resource.Format(diff.Old))
				}
			})
		}
	}
}

func callOn(t *testing.T, d *driver) *call {
	t.Helper()
	s, err := d.session(t.Context())
	check(t, err)
	return &call{driver: d, session: s, ctx: t.Context(), report: func(drivers.Progress) {}}
}

// observed is what the host has under the name.
func observed(t *testing.T, d *driver, kind resource.Kind, name string, want ...resource.Resource) resource.Resource {
	t.Helper()
	o, err := d.Observe(t.Context(), drivers.Selection{All: true, Want: want})
	check(t, err)
	object := o.Objects[string(kind)+"/"+name]
	if object == nil {
		t.Fatalf("there is no %s %s", kind, name)
	}
	return object.Resource
}

var networkEdits = []struct {
	field string
	only  string
	apply func(n *resource.Network)
	may   []string
}{
	{"domain", "", func(n *resource.Network) { n.Domain = "new.example" }, []string{"domain"}},
	{"dns_host", "boot blocks hosts", func(n *resource.Network) {
		n.DNSHosts = append(n.DNSHosts, resource.DNSHost{Name: "added", Address: "10.66.9.9"})
	}, []string{`dns/host(#\d)?@ip=10.66.9.9`, `dns/host(#\d)?/hostname=added`}},
	{"dns_host", "boot", func(n *resource.Network) { n.DNSHosts[0].Address = "10.66.1.8" }, []string{`dns/host(#\d)?`}},
	{"reservation", "boot", func(n *resource.Network) { n.Reservations[0].Name = "renamed" }, []string{`ip/dhcp/host(#\d)?`}},
	{"reservation", "hosts", func(n *resource.Network) {
		n.Reservations = append(n.Reservations, resource.Reservation{MAC: "52:54:00:20:00:09", Address: "10.66.4.10", Name: "added"})
	}, []string{"ip/dhcp/host#2"}},
	{"mtu", "", func(n *resource.Network) { n.MTU = 9000 }, []string{"mtu"}},
	{"bridge", "", func(n *resource.Network) { n.Bridge = "vbf9" }, []string{"bridge@name"}},
	{"dhcp_start", "boot", func(n *resource.Network) { n.DHCPStart = "10.66.1.90" }, []string{"ip/dhcp/range@start"}},
	{"dhcp", "blocks", func(n *resource.Network) { n.DHCP, n.DHCPStart, n.DHCPEnd = new(true), "10.66.2.10", "10.66.2.20" }, []string{"ip/dhcp/range"}},
	{"mode", "ports", func(n *resource.Network) { n.Mode = "open" }, []string{"forward@mode"}},
	{"mode", "hosts", func(n *resource.Network) { n.Mode = "nat" }, []string{"forward"}},
	{"cidr", "ports", func(n *resource.Network) { n.CIDR = "10.66.6.0/25" }, []string{"ip@address", "ip@netmask"}},
}

// The same for networks, which run before and after.
func TestAnEditOfAForeignNetworkChangesThatFieldAlone(t *testing.T) {
	host := libvirttest.Start(t)
	d := openURI(t, host.URI, nil)
	c := callOn(t, d)
	for name, text := range foreign(t, "network") {
		for _, edit := range networkEdits {
			if edit.only != "" && !slices.Contains(strings.Fields(edit.only), name) {
				continue
			}
			t.Run(name+"/"+edit.field, func(t *testing.T) {
				net, err := c.conn.NetworkDefineXML(text)
				check(t, err)
				defer func() { _ = net.Destroy(); check(t, net.Undefine()); freeNetwork(net) }()
				check(t, net.Create())
				was, err := networkTree(net)
				check(t, err)
				before := observed(t, d, resource.KindNetwork, name).(*resource.Network)
				after := resource.Clone(before)
				edit.apply(after)
				do(t, d, drivers.NewUpdate(before, after, true))
				is, err := networkTree(net)
				check(t, err)
				if more := others(was, is, edit.may...); len(more) > 0 {
					t.Errorf("more changes than the field:\n%s", strings.Join(more, "\n"))
				}
				if active, err := net.IsActive(); err != nil || !active {
					t.Errorf("the network is down: %v", err)
				}
				for _, diff := range resource.Diff(after, observed(t, d, resource.KindNetwork, name)) {
					t.Errorf("%s is %s, not %s", diff.Path, resource.Format(diff.New), resource.Format(diff.Old))
				}
			})
		}
	}
}

// A name that stands for two addresses cannot be changed by libvirt's call. Nothing happens to the network then.
func TestANameWithTwoAddressesIsNotChanged(t *testing.T) {
	host := libvirttest.Start(t)
	d := openURI(t, host.URI, nil)
	c := callOn(t, d)
	net, err := c.conn.NetworkDefineXML(foreign(t, "network")["boot"])
	check(t, err)
	defer freeNetwork(net)
	was, err := networkTree(net)
	check(t, err)
	before := observed(t, d, resource.KindNetwork, "boot").(*resource.Network)
	after := resource.Clone(before)
	after.DNSHosts = append(after.DNSHosts, resource.DNSHost{Name: "added", Address: "fd00:66:1::7"})
	_, err = d.Do(t.Context(), drivers.NewUpdate(before, after, true), nil)
	if !errors.Is(err, drivers.ErrUnsupported) || !strings.Contains(err.Error(), "one stands for 10.66.1.7 and fd00:66:1::7") {
		t.Errorf("the error is %v", err)
	}
	is, err := networkTree(net)
	check(t, err)
	if more := others(was, is); len(more) > 0 {
		t.Errorf("what changes is:\n%s", strings.Join(more, "\n"))
	}
}

// And for pools, of which nothing but autostart changes in place.
func TestAnEditOfAForeignPoolLeavesItsDefinition(t *testing.T) {
	host := libvirttest.Start(t)
	d := openURI(t, host.URI, nil)
	c := callOn(t, d)
	for name, text := range foreign(t, "pool") {
		pool, err := c.conn.StoragePoolDefineXML(text, 0)
		check(t, err)
		definition := func() *xmltree.Node {
			text, err := pool.GetXMLDesc(libvirt.STORAGE_XML_INACTIVE)
			check(t, err)
			tree, err := xmltree.Parse(text)
			check(t, err)
			return tree
		}
		was := definition()
		before := observed(t, d, resource.KindPool, name).(*resource.Pool)
		after := resource.Clone(before)
		after.Autostart = new(true)
		do(t, d, drivers.NewUpdate(before, after, true))
		if more := others(was, definition()); len(more) > 0 {
			t.Errorf("more changes than autostart:\n%s", strings.Join(more, "\n"))
		}
		if on, err := pool.GetAutostart(); err != nil || !on {
			t.Errorf("autostart is %v: %v", on, err)
		}
		freePool(pool)
	}
}

// A NIC that somebody detached and attached again with the same MAC has lost our alias. It is the same NIC still: no second one
// comes, and it goes back to its network.
func TestANICThatLostItsAliasIsKnownByItsMAC(t *testing.T) {
	host := libvirttest.Start(t)
	d := openURI(t, host.URI, nil)
	c := callOn(t, d)
	want := normal(t, d, &resource.VM{
		Meta: labMeta(resource.KindVM, "web"), UUID: "0a6a3c5e-0000-5000-8000-000000000009", Memory: 128 * resource.MiB,
		NICs: []resource.NIC{{Label: "lan", Bridge: "br0", MAC: "52:54:00:10:00:0a"}},
	})
	do(t, d, drivers.NewCreate(want, nil))
	dom, err := c.domain(want)
	check(t, err)
	defer freeDomain(dom)
	nic := "<interface type='bridge'><mac address='52:54:00:10:00:0a'/><source bridge='br%d'/><model type='virtio'/></interface>"
	check(t, dom.DetachDeviceFlags(fmt.Sprintf(nic, 0), libvirt.DOMAIN_DEVICE_MODIFY_CONFIG))
	check(t, dom.AttachDeviceFlags(fmt.Sprintf(nic, 7), libvirt.DOMAIN_DEVICE_MODIFY_CONFIG))

	see := func() (before, after *resource.VM) {
		o, err := d.Observe(t.Context(), drivers.Selection{Want: []resource.Resource{want}})
		check(t, err)
		one, two := resource.Overlay(want, want, o.Objects["vm/web"].Resource)
		return one.(*resource.VM), two.(*resource.VM)
	}
	before, after := see()
	if diff := resource.Diff(before, after); len(diff) != 1 || diff[0].Path != "nic.lan.bridge" {
		t.Fatalf("the differences are %+v", diff)
	}
	do(t, d, drivers.NewUpdate(before, after, true))
	before, after = see()
	if diff := resource.Diff(before, after); len(diff) > 0 || len(before.NICs) != 1 {
		t.Errorf("afterwards the differences are %+v, the NICs %+v", diff, before.NICs)
	}
}

// The same while the guest runs: the NIC is moved back, in the guest and in its definition.
func TestARunningNICThatLostItsAliasIsMovedBack(t *testing.T) {
	l := newLab(t, "")
	l.create()
	other := normal(t, l.d, &resource.Network{Meta: labMeta(resource.KindNetwork, "other"), CIDR: "10.96.0.0/24"})
	do(t, l.d, drivers.NewCreate(other, nil))
	do(t, l.d, drivers.NewStart(l.vm))
	do(t, l.d, drivers.NewWaitReady(l.vm))
	dom, err := l.call(t).domain(l.vm)
	check(t, err)
	defer freeDomain(dom)
	both := libvirt.DOMAIN_DEVICE_MODIFY_LIVE | libvirt.DOMAIN_DEVICE_MODIFY_CONFIG
	nic := "<interface type='network'><mac address='52:54:00:93:00:01'/><source network='%s'/><model type='virtio'/></interface>"
	check(t, dom.DetachDeviceFlags(fmt.Sprintf(nic, "lan"), both))
	for deadline := time.Now().Add(time.Minute); ; check(t, pause(t.Context(), powerPoll)) {
		now, err := runningVM(dom)
		check(t, err)
		if len(now.NICs) == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the guest does not release its NIC")
		}
	}
	check(t, dom.AttachDeviceFlags(fmt.Sprintf(nic, "other"), both))

	object := l.observe().Objects["vm/web"]
	for side, r := range map[string]resource.Resource{"definition": object.Resource, "guest": object.Running} {
		before, after := resource.Overlay(l.vm, l.vm, r)
		if diff := resource.Diff(before, after); len(diff) != 1 || diff[0].Path != "nic.lan.source" {
			t.Errorf("%s: the differences are %+v", side, diff)
		}
	}
	before, after := resource.Overlay(l.vm, l.vm, object.Resource)
	do(t, l.d, drivers.NewUpdate(before, after, true))
	l.noDiff("moved back")
	running, err := runningVM(dom)
	check(t, err)
	if len(running.NICs) != 1 || running.NICs[0].Source != "lan" {
		t.Errorf("the guest has %+v", running.NICs)
	}
}
