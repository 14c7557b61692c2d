package definition

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers/libvirt/internal/xmltree"
)

func parse(t *testing.T, text string) *xmltree.Node {
	t.Helper()
	n, err := xmltree.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func testContext() *Context {
	return &Context{
		Host:     &Host{Arch: "x86_64", DomainTypes: []string{"qemu"}},
		VolumeID: func(file string) string { return strings.TrimPrefix(file, "/pool/") },
		File:     func(source string) (File, error) { return File{"/pool/" + source, "raw"}, nil },
	}
}

// A row is all that an attribute needs: every attribute that a host knows has one, and every row is an attribute.
func TestEveryHostAttributeHasARow(t *testing.T) {
	for _, c := range []struct {
		of      reflect.Type
		rows    []string
		without []string // blocks, whose attributes have rows; and forwards, which are in the metadata
	}{
		{reflect.TypeFor[resource.VM](), names(vmFields), []string{"disk", "nic", "graphics", "tpm"}},
		{reflect.TypeFor[resource.Disk](), names(diskFields), nil},
		{reflect.TypeFor[resource.NIC](), names(nicFields), []string{"port_forward"}},
		{reflect.TypeFor[resource.Graphics](), names(graphicsFields), nil},
		{reflect.TypeFor[resource.TPM](), names(tpmFields), nil},
		{reflect.TypeFor[resource.Network](), names(networkFields), nil},
		{reflect.TypeFor[resource.Pool](), names(poolFields), nil},
	} {
		var attributes []string
		for _, a := range resource.SchemaOf(c.of).Attrs {
			if a.Class == resource.ClassHost && !slices.Contains(c.without, a.Name) {
				attributes = append(attributes, a.Name)
			}
		}
		slices.Sort(attributes)
		if slices.Sort(c.rows); !slices.Equal(attributes, c.rows) {
			t.Errorf("%s has the attributes %q and the rows %q", c.of, attributes, c.rows)
		}
	}
}

func names[T any](fields []Field[T]) (out []string) {
	for _, f := range fields {
		out = append(out, f.Name)
	}
	return out
}

// What is written of a field is read back, and leaves what else the element says.
func TestWriteEditsWhatIsThere(t *testing.T) {
	for _, c := range []struct {
		name, before, after string
		edit                func(*resource.VM)
	}{
		{
			"vcpus, each on or off", `<domain type="qemu"><vcpu current="2">4</vcpu><vcpus><vcpu id="0" enabled="yes"/><vcpu id="1" enabled="no"/><vcpu id="2" enabled="yes"/><vcpu id="3" enabled="no"/></vcpus></domain>`,
			`<domain type="qemu"><vcpu current="3">4</vcpu><vcpus><vcpu id="0" enabled="yes"/><vcpu id="1" enabled="yes"/><vcpu id="2" enabled="yes"/><vcpu id="3" enabled="no"/></vcpus></domain>`,
			func(vm *resource.VM) { vm.VCPUs = 3 },
		},
		{
			"a named CPU", `<domain type="kvm"><cpu mode="custom" match="exact"><model fallback="forbid">Nehalem</model><feature policy="require" name="vmx"/></cpu></domain>`,
			`<domain type="kvm"><cpu mode="custom" match="exact"><model fallback="forbid">Haswell</model><feature policy="require" name="vmx"/></cpu></domain>`,
			func(vm *resource.VM) { vm.CPU = "Haswell" },
		},
		{
			"a CPU of the host", `<domain type="kvm"><cpu mode="custom" match="exact"><model fallback="forbid">Nehalem</model><vendor>Intel</vendor><feature policy="require" name="vmx"/></cpu></domain>`,
			`<domain type="kvm"><cpu mode="host-model"><model fallback="forbid"/><feature policy="require" name="vmx"/></cpu></domain>`,
			func(vm *resource.VM) { vm.CPU = "host-model" },
		},
		{
			"where a console listens", `<domain><devices><graphics type="vnc" port="-1" autoport="yes" listen="127.0.0.1" passwd="x" keymap="de"><listen type="address" address="127.0.0.1"/></graphics></devices></domain>`,
			`<domain><devices><graphics type="vnc" port="-1" autoport="yes" listen="::" passwd="x" keymap="de"><listen type="address" address="::"/></graphics></devices></domain>`,
			func(vm *resource.VM) { vm.Graphics.Listen = "::" },
		},
		{
			"a console of another type", `<domain><devices><graphics type="spice" port="5900" autoport="no" tlsPort="5901" passwd="x"><channel name="main" mode="secure"/></graphics><audio id="1" type="spice"/></devices></domain>`,
			`<domain><devices><graphics type="vnc" port="5900" autoport="no" passwd="x"/><audio id="1" type="none"/></devices></domain>`,
			func(vm *resource.VM) { vm.Graphics.Type = "vnc" },
		},
		{
			"the model of a TPM", `<domain><devices><tpm model="tpm-crb"><backend type="emulator" version="2.0"><encryption secret="s"/></backend></tpm></devices></domain>`,
			`<domain><devices><tpm model="tpm-tis"><backend type="emulator" version="2.0"><encryption secret="s"/></backend></tpm></devices></domain>`,
			func(vm *resource.VM) { vm.TPM.Model = "tpm-tis" },
		},
		{
			"the network of a NIC", `<domain><devices><interface type="network"><mac address="52:54:00:00:00:01"/><source network="a" portid="p" bridge="virbr0" portgroup="g"/><vlan><tag id="5"/></vlan></interface></devices></domain>`,
			`<domain><devices><interface type="network"><mac address="52:54:00:00:00:01"/><source network="b" portgroup="g"/><vlan><tag id="5"/></vlan></interface></devices></domain>`,
			func(vm *resource.VM) { vm.NICs[0].Source = "b" },
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			def := parse(t, c.before)
			before := ReadVM(def, nil, nil)
			after := resource.Clone(before)
			c.edit(after)
			if err := WriteVM(def, before, after, testContext()); err != nil {
				t.Fatal(err)
			}
			if got := def.String(); got != c.after {
				t.Errorf("it is\n%s\nand not\n%s", got, c.after)
			}
			for _, d := range resource.Diff(after, ReadVM(def, nil, nil)) {
				t.Errorf("%s is read as %s, not %s", d.Path, resource.Format(d.New), resource.Format(d.Old))
			}
		})
	}
}

// A disk on another bus has a target that no other has, and nothing of what only the old bus has.
func TestABusTakesWhatBelongsToIt(t *testing.T) {
	def := parse(t, `<domain><devices><disk type="file" device="disk"><driver name="qemu" type="raw" queues="2" iothread="1" io="native"/><source file="/pool/a"/><target dev="vda" bus="virtio"/><address type="pci"/></disk><disk><target dev="sda" bus="sata"/></disk></devices></domain>`)
	before := ReadVM(def, nil, testContext().VolumeID)
	after := resource.Clone(before)
	after.Disks[0].Bus = "scsi"
	if err := WriteVM(def, before, after, testContext()); err != nil {
		t.Fatal(err)
	}
	if got, want := def.Get("devices", "disk").String(), `<disk type="file" device="disk"><driver name="qemu" type="raw" io="native"/><source file="/pool/a"/><target dev="sdb" bus="scsi"/><boot order="1"/></disk>`; got != want {
		t.Errorf("it is\n%s\nand not\n%s", got, want)
	}
}

// Devices have the label of their alias; without it that of the block whose MAC, serial, target or source they have.
func TestDevicesAreFoundWithoutTheirAlias(t *testing.T) {
	def := parse(t, `<domain><devices>
<interface type="bridge"><mac address="52:54:00:00:00:03"/></interface><interface type="bridge"><mac address="52:54:00:00:00:01"/></interface>
<interface type="bridge"><mac address="52:54:00:00:00:02"/><alias name="ua-nic-wan"/></interface>
<disk type="file"><source file="/pool/x"/><target dev="vdc"/></disk><disk type="file"><source file="/pool/y"/><target dev="vda"/><serial>root</serial></disk>
<disk type="file"><source file="/pool/z"/><target dev="vdb"/></disk></devices></domain>`)
	want := &resource.VM{
		NICs:  []resource.NIC{{Label: "lan", MAC: "52:54:00:00:00:01"}, {Label: "wan", MAC: "52:54:00:00:00:09"}},
		Disks: []resource.Disk{{Label: "root", Source: "gone"}, {Label: "data", Source: "x"}, {Label: "vdb", Source: "x"}},
	}
	vm := ReadVM(def, want, testContext().VolumeID)
	var got []string
	for _, n := range vm.NICs {
		got = append(got, n.Label)
	}
	for _, d := range vm.Disks {
		got = append(got, d.Label)
	}
	if all := []string{"net0", "lan", "wan", "data", "root", "vdb"}; !slices.Equal(got, all) {
		t.Errorf("the devices are %q, not %q", got, all)
	}
	if el := NIC(def, want, "lan"); el.Get("mac").Attr("address") != "52:54:00:00:00:01" {
		t.Errorf("lan is %s", el)
	}
}

// A network's names and hosts that the files cannot say stay where they are.
func TestServedEntriesOfOthersStay(t *testing.T) {
	def := parse(t, `<network><dns enable="yes"><host ip="10.0.0.7"><hostname>one</hostname><hostname>uno</hostname></host><host ip="fd00::7"><hostname>one</hostname></host></dns>
<ip address="10.0.0.1" prefix="24"><dhcp><host name="byname" ip="10.0.0.5"/><host mac="52:54:00:AA:00:01" ip="10.0.0.6"><lease expiry="1"/></host></dhcp></ip></network>`)
	n := ReadNetwork(def)
	n.DNSHosts = append(n.DNSHosts[1:], resource.DNSHost{Name: "two", Address: "10.0.0.7"})
	n.Reservations[0].Address = "10.0.0.9"
	if err := WriteServed(def, n); err != nil {
		t.Fatal(err)
	}
	want := `<network><dns enable="yes"><host ip="10.0.0.7"><hostname>uno</hostname><hostname>two</hostname></host><host ip="fd00::7"><hostname>one</hostname></host></dns>` +
		`<ip address="10.0.0.1" prefix="24"><dhcp><host name="byname" ip="10.0.0.5"/><host mac="52:54:00:AA:00:01" ip="10.0.0.9"><lease expiry="1"/></host></dhcp></ip></network>`
	if got := def.String(); got != want {
		t.Errorf("it is\n%s\nand not\n%s", got, want)
	}
}

// Each call that a row names is one the driver has a function for; see liveCalls there.
func TestLiveOf(t *testing.T) {
	for path, want := range map[string]Live{
		"title": LiveMetadata, "vcpus": LiveVCPUs, "memory": LiveMemory, "machine": "", "disk.a.source": LiveDevice, "disk.a.bus": "",
		"nic.a.link": LiveDevice, "nic.a.bandwidth.inbound.average": LiveDevice, "nic.a.port_forward.ssh": LiveForward, "nic.a.mac": "", "graphics.listen": "",
	} {
		if got := LiveOf(path); got != want {
			t.Errorf("%s is changed by %q, not %q", path, got, want)
		}
	}
}
