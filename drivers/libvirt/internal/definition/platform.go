package definition

import (
	"regexp"
	"slices"
	"strconv"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers/libvirt/internal/xmltree"
)

var versionedMachine = regexp.MustCompile(`^(?:pc-(q35|i440fx)|(virt|s390-ccw-virtio|pseries))-.+$`)

// MachineFamily is the name without version: pc-q35-7.2 → q35, pc-i440fx-7.2 → pc. Which version a name without one stands
// for changes with the host's QEMU, and is settled when a domain is defined; so it is no difference.
func MachineFamily(machine string) string {
	switch m := versionedMachine.FindStringSubmatch(machine); {
	case m == nil:
		return machine
	case m[1] == "i440fx":
		return "pc"
	default:
		return m[1] + m[2]
	}
}

// Machine is q35 on x86 and virt on ARM and RISC-V; elsewhere libvirt's default.
func (h *Host) Machine(vm *resource.VM) string {
	switch arch := h.ArchOf(vm); {
	case vm.Machine != "" || h.Test:
		return vm.Machine
	case IsX86(arch):
		return "q35"
	case arch == "aarch64" || arch == "riscv64" || arch == "armv7l":
		return "virt"
	}
	return ""
}

// writeMachine changes the machine type. Other families have other buses, so libvirt assigns the addresses of devices again.
func writeMachine(def *xmltree.Node, vm *resource.VM, c *Context) error {
	old, next := def.Get("os", "type").Attr("machine"), c.Machine(vm)
	setAttr(def, next, "machine", "os", "type")
	if old == "" || MachineFamily(old) == MachineFamily(next) {
		return nil
	}
	devices := def.Ensure("devices")
	devices.DropFunc(func(k *xmltree.Node) bool {
		return k.Name == "controller" && (k.Attr("type") == "pci" || k.Attr("type") == "usb" || k.Attr("type") == "sata")
	})
	for _, k := range devices.Kids {
		if k.Get("address").Attr("type") == "pci" {
			k.Drop("address")
		}
	}
	for _, controller := range c.controllers(vm) {
		if controller.Attr("type") == "pci" {
			devices.Add(controller)
		}
	}
	return nil
}

// controllers are those that hot-plugging needs to be there before: a SCSI controller and free PCI Express ports. libvirt
// adds the others itself.
func (c *Context) controllers(vm *resource.VM) []*xmltree.Node {
	if c.Test {
		return nil
	}
	list := []*xmltree.Node{newSCSI()}
	if family := MachineFamily(c.Machine(vm)); family != "q35" && family != "virt" {
		return list
	}
	// Each of these devices takes a port: SCSI, serial channel, balloon, random numbers, USB, and what the files ask for.
	used := 5 + len(vm.Disks) + len(vm.NICs)
	list = append(list, xmltree.New("controller", "type", "pci", "index", "0", "model", "pcie-root"))
	for i := range used + sparePorts {
		list = append(list, xmltree.New("controller", "type", "pci", "index", strconv.Itoa(i+1), "model", "pcie-root-port"))
	}
	return list
}

// uefi tells whether the guest starts by UEFI; where there is no BIOS it does unless told otherwise.
func (h *Host) uefi(vm *resource.VM) bool {
	if vm.Firmware == "" {
		return !IsX86(h.ArchOf(vm))
	}
	return vm.Firmware == "uefi"
}

// IsUEFI tells whether the guest of a definition starts by UEFI.
func IsUEFI(def *xmltree.Node) bool {
	return def.Get("os").Attr("firmware") == "efi" || def.Get("os", "loader").Attr("type") == "pflash"
}

// readFirmware understands both ways to say UEFI: by feature, and by the files that libvirt chose for it.
func readFirmware(def *xmltree.Node, vm *resource.VM, _ *Context) {
	if !IsUEFI(def) {
		vm.Firmware = "bios"
		return
	}
	secure := def.Get("os", "loader").Attr("secure") == "yes"
	for _, f := range def.Get("os", "firmware").All("feature") {
		if f.Attr("name") == "secure-boot" {
			secure = f.Attr("enabled") == "yes"
		}
	}
	vm.Firmware, vm.SecureBoot = "uefi", &secure
}

// writeFirmware lets libvirt choose the firmware's files by features, and system management mode with them. Left alone it
// prefers a build with secure boot, which refuses what is not signed.
func writeFirmware(def *xmltree.Node, vm *resource.VM, c *Context) error {
	osNode := def.Ensure("os")
	for _, chosen := range []string{"loader", "nvram", "firmware"} {
		osNode.Drop(chosen)
	}
	def.Get("features").Drop("smm")
	osNode.Set("firmware", "")
	if !c.uefi(vm) {
		return nil
	}
	osNode.Set("firmware", "efi")
	features := osNode.Ensure("firmware")
	if vm.SecureBoot != nil && *vm.SecureBoot {
		features.Add(xmltree.New("feature", "enabled", "yes", "name", "secure-boot"), xmltree.New("feature", "enabled", "yes", "name", "enrolled-keys"))
		return nil
	}
	features.Add(xmltree.New("feature", "enabled", "no", "name", "secure-boot"))
	return nil
}

// hostCPUs are the CPU modes that name no model.
var hostCPUs = []string{"host-model", "host-passthrough", "maximum"}

func readCPU(def *xmltree.Node, vm *resource.VM, _ *Context) {
	cpu := def.Get("cpu")
	vm.CPU = cpu.Attr("mode")
	if vm.CPU == "custom" || vm.CPU == "" {
		vm.CPU = cpu.Get("model").Text()
	}
}

// writeCPU changes the model. Features, topology, NUMA cells and caches stay, as far as the new mode can have them. By
// default a guest gets all that works: the host's model with kvm, all that can be emulated without.
func writeCPU(def *xmltree.Node, vm *resource.VM, _ *Context) error {
	want := vm.CPU
	if want == "" {
		if want = "maximum"; def.Attr("type") == "kvm" {
			want = "host-model"
		}
	}
	cpu := def.Ensure("cpu")
	direct := want == "host-passthrough" || want == "maximum"
	if !direct {
		cpu.Set("migratable", "")
		if cpu.Get("cache").Attr("mode") == "passthrough" {
			cpu.Drop("cache")
		}
	}
	if !slices.Contains(hostCPUs, want) {
		cpu.Set("mode", "custom")
		if cpu.Attr("match") == "" {
			cpu.Set("match", "exact")
		}
		cpu.Ensure("model").SetText(want)
		return nil
	}
	cpu.Set("mode", want)
	cpu.Set("match", "")
	cpu.Drop("vendor")
	if model := cpu.Get("model"); direct || model.Attr("fallback") == "" && model.Attr("vendor_id") == "" {
		cpu.Drop("model")
	} else {
		model.SetText("")
	}
	return nil
}
