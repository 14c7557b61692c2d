package definition

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/libvirt/internal/xmltree"
)

const (
	agentChannel = "org.qemu.guest_agent.0"
	// sparePorts is how many devices can be plugged in while the guest runs, on machines with PCI Express.
	sparePorts = 6
)

// vmFields are the rows of a vm, but for its devices. The domain type comes before the CPU, whose default depends on it.
var vmFields = []Field[resource.VM]{
	{Name: "domain_type", Read: readDomainType, Write: writeDomainType},
	text("name", func(vm *resource.VM) *string { return &vm.Name }, "name").rules(Rule{Impact: restart, Note: noteRename, Call: callRename}),
	text("uuid", func(vm *resource.VM) *string { return &vm.UUID }, "uuid").rules(Rule{Impact: replace, Call: callReplace}),
	text("title", func(vm *resource.VM) *string { return &vm.Title }, "title").live(LiveMetadata, ""),
	text("description", func(vm *resource.VM) *string { return &vm.Description }, "description").live(LiveMetadata, ""),
	{Name: "autostart", Rules: []Rule{{Impact: live, Call: "virDomainSetAutostart"}}},
	{
		Name: "max_memory",
		Read: func(def *xmltree.Node, vm *resource.VM, _ *Context) { vm.MaxMemory = Size(def.Get("memory")) },
		Write: func(def *xmltree.Node, vm *resource.VM, _ *Context) error {
			setKiB(def.Ensure("memory"), vm.MaxMemory)
			return nil
		},
	},
	{
		Name: "memory", Live: LiveMemory,
		Read: func(def *xmltree.Node, vm *resource.VM, _ *Context) {
			if vm.Memory = Size(def.Get("currentMemory")); vm.Memory == 0 {
				vm.Memory = Size(def.Get("memory"))
			}
		},
		Write: func(def *xmltree.Node, vm *resource.VM, _ *Context) error {
			setKiB(def.Ensure("currentMemory"), vm.Memory)
			return nil
		},
		Rules: []Rule{
			{Impact: restart, When: "above max_memory", Note: "beyond max_memory", Call: callDefine, Holds: aboveMaxMemory},
			{Impact: live, When: "up to max_memory", Note: "by the guest's balloon", Call: callBalloon},
		},
	},
	{
		Name: "max_vcpus", Write: writeVCPUs,
		Read: func(def *xmltree.Node, vm *resource.VM, _ *Context) { vm.MaxVCPUs = parseInt(def.Get("vcpu").Text()) },
	},
	{
		Name: "vcpus", Write: writeVCPUs, Live: LiveVCPUs,
		Read: func(def *xmltree.Node, vm *resource.VM, _ *Context) {
			if vm.VCPUs = parseInt(def.Get("vcpu").Attr("current")); vm.VCPUs == 0 {
				vm.VCPUs = parseInt(def.Get("vcpu").Text())
			}
		},
		Rules: []Rule{
			{Impact: restart, When: "above max_vcpus", Note: "beyond max_vcpus", Call: callDefine, Holds: aboveMaxVCPUs},
			{Impact: restart, When: "when fewer", Note: "few guests give vCPUs back while they run", Call: callDefine, Holds: fewerVCPUs},
			{Impact: live, When: "up to max_vcpus", Call: callVCPUs},
		},
	},
	{
		Name: "arch",
		Read: func(def *xmltree.Node, vm *resource.VM, _ *Context) { vm.Arch = def.Get("os", "type").Attr("arch") },
		Write: func(def *xmltree.Node, vm *resource.VM, c *Context) error {
			setAttr(def, c.ArchOf(vm), "arch", "os", "type")
			return nil
		},
		Rules: []Rule{{Impact: replace, Call: callReplace}},
	},
	{
		Name: "machine", Write: writeMachine,
		Read: func(def *xmltree.Node, vm *resource.VM, _ *Context) {
			vm.Machine = def.Get("os", "type").Attr("machine")
		},
		Rules: []Rule{{Impact: restart, Note: "devices get other places on the guest's buses", Call: callDefine}},
	},
	{
		Name: "firmware", Read: readFirmware, Write: writeFirmware,
		Rules: []Rule{{Impact: restart, Note: noteFirmware, Call: callDefine}},
	},
	{Name: "secure_boot", Write: writeFirmware, Rules: []Rule{{Impact: restart, Note: noteFirmware, Call: callDefine}}},
	{
		Name: "cpu", Read: readCPU, Write: writeCPU,
		Rules: []Rule{{Impact: restart, Note: noteCPU, Call: callDefine, Holds: cpuChangesMode}, {Impact: restart, Call: callDefine}},
	},
}

// ReadVM turns a domain's definition into a vm in canonical form. want, which may be nil, names devices that have lost their
// alias, and tells whether a versioned machine is meant.
func ReadVM(def *xmltree.Node, want *resource.VM, volumeID func(string) string) *resource.VM {
	vm, c := &resource.VM{}, &Context{VolumeID: volumeID}
	read(vmFields, def, vm, c)
	if want == nil || want.Machine != vm.Machine {
		vm.Machine = MachineFamily(vm.Machine)
	}
	for _, d := range disks(def, want, c) {
		disk := resource.Disk{Label: d.label}
		read(diskFields, d.el, &disk, c)
		vm.Disks = append(vm.Disks, disk)
	}
	for _, d := range nics(def, want) {
		nic := resource.NIC{Label: d.label}
		read(nicFields, d.el, &nic, c)
		vm.NICs = append(vm.NICs, nic)
	}
	if el := graphicsOf(def); el != nil {
		vm.Graphics = &resource.Graphics{}
		read(graphicsFields, el, vm.Graphics, c)
	}
	if el := tpmOf(def); el != nil {
		vm.TPM = &resource.TPM{}
		read(tpmFields, el, vm.TPM, c)
	}
	readForwards(def, vm)
	return vm
}

// WriteVM edits the definition of before so that it is that of after. Both are normalised; before is as ReadVM read it.
func WriteVM(def *xmltree.Node, before, after *resource.VM, c *Context) error {
	changes := ChangesOf(before, after)
	c.targets = newTargets(def)
	if err := write(vmFields, def, after, c, among(changes.Fields)); err != nil {
		return err
	}
	return errors.Join(
		writeGraphics(def, after, c, changes),
		writeTPM(def, after, c, changes),
		writeDisks(def, before, after, c, changes),
		writeNICs(def, before, after, c, changes),
	)
}

// NewVM is the definition of a vm that is not there yet: what every guest gets, and the vm's fields.
func NewVM(vm *resource.VM, c *Context) (*xmltree.Node, error) {
	def := xmltree.New("domain")
	c.targets = newTargets(def)
	if err := write(vmFields, def, vm, c, nil); err != nil {
		return nil, err
	}
	def.Ensure("os", "type").SetText("hvm")
	if arch := c.ArchOf(vm); IsX86(arch) || c.uefi(vm) {
		def.Ensure("features", "acpi")
		if IsX86(arch) {
			def.Ensure("features", "apic")
		}
	}
	def.Add(xmltree.New("clock", "offset", "utc"))
	for _, e := range [][2]string{{"on_poweroff", "destroy"}, {"on_reboot", "restart"}, {"on_crash", "destroy"}} {
		def.Ensure(e[0]).SetText(e[1])
	}
	devices := def.Ensure("devices")
	devices.Add(c.controllers(vm)...)
	devices.Add(commonDevices(c.SerialLog)...)
	empty := &resource.VM{}
	changes := ChangesOf(empty, vm)
	return def, errors.Join(
		writeDisks(def, empty, vm, c, changes),
		writeNICs(def, empty, vm, c, changes),
		writeTPM(def, vm, c, changes),
		writeGraphics(def, vm, c, changes),
	)
}

// commonDevices are those that every guest gets: a serial console, the agent's channel, a balloon, random numbers.
func commonDevices(serialLog string) []*xmltree.Node {
	serial, channel, rng := xmltree.New("serial", "type", "pty"), xmltree.New("channel", "type", "unix"), xmltree.New("rng", "model", "virtio")
	serial.Add(xmltree.New("target", "port", "0"))
	if serialLog != "" {
		serial.Add(xmltree.New("log", "file", serialLog, "append", "off"))
	}
	channel.Add(xmltree.New("target", "type", "virtio", "name", agentChannel))
	backend := rng.Ensure("backend")
	backend.Set("model", "random")
	backend.SetText("/dev/urandom")
	return []*xmltree.Node{serial, channel, xmltree.New("memballoon", "model", "virtio"), rng}
}

func readDomainType(def *xmltree.Node, vm *resource.VM, _ *Context) {
	if vm.DomainType = def.Attr("type"); vm.DomainType == "test" {
		vm.DomainType = "qemu"
	}
}

func writeDomainType(def *xmltree.Node, vm *resource.VM, c *Context) error {
	t, err := c.DomainType(vm)
	if err != nil {
		return err
	}
	def.Set("type", t)
	def.Get("devices").Drop("emulator") // libvirt chooses the one for the type
	return nil
}

// DomainType is the value of <domain type=…>: kvm where that works, unless the vm says otherwise.
func (h *Host) DomainType(vm *resource.VM) (string, error) {
	want := vm.DomainType
	if want == "" {
		if len(h.DomainTypes) == 0 {
			return "", fmt.Errorf("%w: the host has neither kvm nor emulation for %s", drivers.ErrUnsupported, h.Arch)
		}
		want = h.DomainTypes[0]
		if h.ArchOf(vm) != h.Arch && !h.Test {
			want = "qemu" // another architecture can only be emulated
		}
	}
	if t := h.Virt[want]; t != "" {
		return t, nil
	}
	return want, nil // libvirt knows best why it has no such type
}

// ArchOf is the vm's architecture, by default the host's.
func (h *Host) ArchOf(vm *resource.VM) string {
	if vm.Arch != "" {
		return vm.Arch
	}
	return h.Arch
}

// IsX86 tells whether an architecture has a BIOS.
func IsX86(arch string) bool { return arch == "x86_64" || arch == "i686" }

// writeVCPUs writes both numbers. Where the definition says of each vCPU whether it is on, that list follows.
func writeVCPUs(def *xmltree.Node, vm *resource.VM, _ *Context) error {
	vcpu, current := def.Ensure("vcpu"), ""
	if vm.VCPUs != vm.MaxVCPUs {
		current = strconv.Itoa(vm.VCPUs)
	}
	vcpu.SetText(strconv.Itoa(vm.MaxVCPUs))
	vcpu.Set("current", current)
	if list := def.Get("vcpus"); list != nil {
		switchVCPUs(list, vm.VCPUs, vm.MaxVCPUs)
	}
	return nil
}

func switchVCPUs(list *xmltree.Node, online, most int) {
	known, on := map[int]bool{}, 0
	list.DropFunc(func(k *xmltree.Node) bool { return parseInt(k.Attr("id")) >= most })
	for _, k := range list.Kids {
		known[parseInt(k.Attr("id"))] = true
		if k.Attr("enabled") == "yes" {
			on++
		}
	}
	for id := range most {
		if !known[id] {
			list.Add(xmltree.New("vcpu", "id", strconv.Itoa(id), "enabled", "no", "hotpluggable", "yes"))
		}
	}
	for _, k := range list.Kids {
		if on < online && k.Attr("enabled") != "yes" {
			k.Set("enabled", "yes")
			on++
		}
	}
	for _, k := range slices.Backward(list.Kids) {
		if on > online && k.Attr("enabled") == "yes" && k.Attr("id") != "0" {
			k.Set("enabled", "no")
			k.Set("hotpluggable", "yes")
			k.Set("order", "")
			on--
		}
	}
}
