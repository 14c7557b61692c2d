package impact

import (
	"strings"
	"testing"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
)

func web() *resource.VM {
	vm := &resource.VM{VCPUs: 2, MaxVCPUs: 4, Memory: resource.GiB, MaxMemory: 2 * resource.GiB, Machine: "q35", Firmware: "bios"}
	vm.Name = "web"
	vm.Disks = []resource.Disk{{Label: "root", Bus: "virtio", Device: "disk", Source: "p/root"}, {Label: "iso", Bus: "sata", Device: "cdrom", Source: "p/iso"}, {Label: "seed", Bus: "virtio", Device: "disk", Source: "p/seed"}}
	vm.NICs = []resource.NIC{{Label: "lan", Source: "lan", Model: "virtio"}}
	return vm
}

// What a vm's change does depends on the field, and for some on how it changes.
func TestImpactOfAVM(t *testing.T) {
	for _, c := range []struct {
		path   string
		change func(*resource.VM)
		want   drivers.Impact
		call   string
	}{
		{"title", func(vm *resource.VM) { vm.Title = "x" }, live, "virDomainSetMetadata (live)"},
		{"autostart", func(vm *resource.VM) { vm.Autostart = new(true) }, live, "virDomainSetAutostart"},
		{"vcpus", func(vm *resource.VM) { vm.VCPUs = 4 }, live, "virDomainSetVcpusFlags (live)"},
		{"vcpus", func(vm *resource.VM) { vm.VCPUs = 1 }, restart, "virDomainDefineXML"},
		{"vcpus", func(vm *resource.VM) { vm.VCPUs = 5 }, restart, "virDomainDefineXML"},
		{"memory", func(vm *resource.VM) { vm.Memory *= 2 }, live, "virDomainSetMemoryFlags (live)"},
		{"memory", func(vm *resource.VM) { vm.Memory *= 3 }, restart, "virDomainDefineXML"},
		{"max_memory", func(vm *resource.VM) { vm.MaxMemory *= 2 }, restart, "virDomainDefineXML"},
		{"name", func(vm *resource.VM) { vm.Name = "www" }, restart, "virDomainRename"},
		{"machine", func(vm *resource.VM) { vm.Machine = "pc" }, restart, "virDomainDefineXML"},
		{"uuid", func(vm *resource.VM) { vm.UUID = "x" }, replace, "virDomainUndefineFlags"},
		{"disk.data", func(vm *resource.VM) { vm.Disks = append(vm.Disks, resource.Disk{Label: "data", Bus: "scsi"}) }, live, "virDomainAttachDeviceFlags (live)"},
		{"disk.data", func(vm *resource.VM) { vm.Disks = append(vm.Disks, resource.Disk{Label: "data", Bus: "sata"}) }, restart, "virDomainDefineXML"},
		{"disk.root", func(vm *resource.VM) { vm.Disks = vm.Disks[1:] }, restart, "virDomainDefineXML"},
		{"disk.seed", func(vm *resource.VM) { vm.Disks = vm.Disks[:2] }, nextBoot, "virDomainDefineXML"},
		{"disk.seed.source", func(vm *resource.VM) { vm.Disks[2].Source = "p/other" }, nextBoot, "virDomainDefineXML"},
		{"disk.iso.source", func(vm *resource.VM) { vm.Disks[1].Source = "p/other" }, live, "virDomainUpdateDeviceFlags (live)"},
		{"disk.root.bus", func(vm *resource.VM) { vm.Disks[0].Bus = "scsi" }, restart, "virDomainDefineXML"},
		{"nic.lan", func(vm *resource.VM) { vm.NICs = nil }, live, "virDomainDetachDeviceAlias (live)"},
		{"nic.lan.link", func(vm *resource.VM) { vm.NICs[0].Link = new(false) }, live, "virDomainUpdateDeviceFlags (live)"},
		{"nic.lan.bandwidth", func(vm *resource.VM) {
			vm.NICs[0].Bandwidth = &resource.Bandwidth{Inbound: &resource.Rate{Average: 1000}}
		}, live, "virDomainUpdateDeviceFlags (live)"},
		{"nic.lan.port_forward.ssh", func(vm *resource.VM) {
			vm.NICs[0].PortForwards = []resource.PortForward{{Name: "ssh", HostPort: 2222, GuestPort: 22}}
		}, live, "virDomainQemuMonitorCommand (hostfwd_add"},
		{"nic.lan.user", func(vm *resource.VM) { vm.NICs[0].User = new(true) }, restart, "virDomainDefineXML"},
		{"nic.lan.model", func(vm *resource.VM) { vm.NICs[0].Model = "e1000e" }, restart, "virDomainDefineXML"},
		{"tpm", func(vm *resource.VM) { vm.TPM = &resource.TPM{} }, restart, "virDomainDefineXML"},
		{"graphics", func(vm *resource.VM) { vm.Graphics = &resource.Graphics{Type: "vnc"} }, restart, "virDomainDefineXML"},
	} {
		after := web()
		c.change(after)
		got := Of(web(), after)
		if len(got) != 1 || got[0].Path != c.path || got[0].Impact != c.want || !strings.Contains(got[0].Call, c.call) {
			t.Errorf("%s: %+v, not %s by %s", c.path, got, c.want, c.call)
		}
	}
}

func TestImpactOfOtherKinds(t *testing.T) {
	for _, c := range []struct {
		before, after resource.Resource
		want          drivers.Impact
	}{
		{&resource.Volume{Size: 1}, &resource.Volume{Size: 2}, live},
		{&resource.Volume{Size: 2}, &resource.Volume{Size: 1}, replace},
		{&resource.Volume{Backing: "p/a"}, &resource.Volume{Backing: "p/b"}, replace},
		{&resource.Network{}, &resource.Network{Reservations: []resource.Reservation{{MAC: "52:54:00:00:00:01"}}}, live},
		{&resource.Network{Mode: "nat"}, &resource.Network{Mode: "isolated"}, restart},
		{&resource.Network{UUID: "a"}, &resource.Network{UUID: "b"}, replace},
		{&resource.Pool{Path: "/a"}, &resource.Pool{Path: "/b"}, replace},
		{&resource.Image{Source: "a"}, &resource.Image{Source: "b"}, replace},
		{&resource.Host{URI: "a:"}, &resource.Host{URI: "b:"}, drivers.ImpactRecord},
	} {
		if got := Of(c.before, c.after); len(got) != 1 || got[0].Impact != c.want {
			t.Errorf("%s: %+v, not %s", c.before.Kind(), got, c.want)
		}
	}
}

// Every field of every kind has a place in the table, or is only recorded.
func TestRulesOfFields(t *testing.T) {
	for _, c := range []struct {
		path  string
		class resource.Class
		want  string
	}{
		{"memory", resource.ClassHost, "restart above max_memory, live up to max_memory"},
		{"disk.*.bus", resource.ClassHost, "restart "},
		{"disk.*.size", resource.ClassInput, "live when more, replace of the disk, when less"},
		{"cloud_init.user_data", resource.ClassInput, "next-boot "},
		{"shutdown_timeout", resource.ClassLocal, ""},
	} {
		var got []string
		for _, r := range Rules(resource.KindVM, c.path, c.class) {
			got = append(got, r.Impact.String()+" "+r.When)
		}
		if text := strings.Join(got, ", "); text != c.want {
			t.Errorf("%s: %q, not %q", c.path, text, c.want)
		}
	}
}
