//go:build !nolibvirt

package libvirt

import (
	"fmt"
	"strings"

	"libvirt.org/go/libvirtxml"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
)

const (
	agentChannel = "org.qemu.guest_agent.0"
	// sparePorts is how many devices can be plugged in while the guest runs, on machines with PCI Express.
	sparePorts = 6
)

// domainSpec is what a domain's XML is written from.
type domainSpec struct {
	vm    *resource.VM
	mark  *drivers.Mark
	facts *hostFacts
	test  bool
	files map[string]diskFile // by disk label
	log   string              // path of the serial log; empty for none
}

// diskFile is the volume behind a disk.
type diskFile struct{ path, format string }

// domainXML writes the definition of a normalised vm.
func domainXML(s domainSpec) (string, error) {
	vm := s.vm
	def := libvirtxml.Domain{
		Name: vm.Name, UUID: vm.UUID, Title: vm.Title, Description: vm.Description,
		Memory:        &libvirtxml.DomainMemory{Value: uint(vm.MaxMemory / resource.KiB), Unit: "KiB"},
		CurrentMemory: &libvirtxml.DomainCurrentMemory{Value: uint(vm.Memory / resource.KiB), Unit: "KiB"},
		VCPU:          &libvirtxml.DomainVCPU{Value: uint(vm.MaxVCPUs), Current: currentVCPUs(vm)},
		Clock:         &libvirtxml.DomainClock{Offset: "utc"},
		OnPoweroff:    "destroy", OnReboot: "restart", OnCrash: "destroy",
	}
	def.Metadata = s.metadata()
	var err error
	if def.Type, err = s.domainType(); err != nil {
		return "", err
	}
	arch, machine := s.arch(), s.machine()
	def.OS = &libvirtxml.DomainOS{Type: &libvirtxml.DomainOSType{Arch: arch, Machine: machine, Type: "hvm"}}
	setFirmware(&def, s.uefi(), vm, arch)
	def.CPU = s.cpu(def.Type)
	def.Devices, err = s.devices(machine)
	if err != nil {
		return "", err
	}
	return def.Marshal()
}

// metadata is what libvirt keeps for us without looking at it: whose the vm is, and its port forwards.
func (s *domainSpec) metadata() *libvirtxml.DomainMetadata {
	text := ""
	if s.mark != nil {
		text = markNode(s.mark).String()
	}
	if n := forwardsNode(s.vm); n != nil {
		text += n.String()
	}
	if text == "" {
		return nil
	}
	return &libvirtxml.DomainMetadata{XML: text}
}

func currentVCPUs(vm *resource.VM) uint {
	if vm.VCPUs == vm.MaxVCPUs {
		return 0
	}
	return uint(vm.VCPUs)
}

// domainType is kvm where that works, unless the vm says otherwise.
func (s *domainSpec) domainType() (string, error) {
	want := s.vm.DomainType
	if want == "" {
		if len(s.facts.DomainTypes) == 0 {
			return "", fmt.Errorf("domain_type: %w: the host has neither kvm nor emulation for %s", drivers.ErrUnsupported, s.facts.Arch)
		}
		want = s.facts.DomainTypes[0]
		if s.arch() != s.facts.Arch && !s.test {
			want = "qemu" // another architecture can only be emulated
		}
	}
	if t := s.facts.virt[want]; t != "" {
		return t, nil
	}
	return want, nil // libvirt knows best why it has no such type
}

func (s *domainSpec) arch() string {
	if s.vm.Arch != "" {
		return s.vm.Arch
	}
	return s.facts.Arch
}

// machine is q35 on x86 and virt on ARM and RISC-V; elsewhere libvirt's default.
func (s *domainSpec) machine() string {
	switch arch := s.arch(); {
	case s.vm.Machine != "" || s.test:
		return s.vm.Machine
	case isX86(arch):
		return "q35"
	case arch == "aarch64" || arch == "riscv64" || arch == "armv7l":
		return "virt"
	}
	return ""
}

// uefi tells whether the guest starts by UEFI; where there is no BIOS it does unless told otherwise.
func (s *domainSpec) uefi() bool {
	if s.vm.Firmware == "" {
		return !isX86(s.arch())
	}
	return s.vm.Firmware == "uefi"
}

func isX86(arch string) bool { return arch == "x86_64" || arch == "i686" }

// setFirmware lets libvirt choose the firmware's files by features. Left alone it prefers a build with secure boot, which
// refuses what is not signed.
func setFirmware(def *libvirtxml.Domain, uefi bool, vm *resource.VM, arch string) {
	if isX86(arch) || uefi {
		def.Features = &libvirtxml.DomainFeatureList{ACPI: &libvirtxml.DomainFeature{}}
		if isX86(arch) {
			def.Features.APIC = &libvirtxml.DomainFeatureAPIC{}
		}
	}
	if !uefi {
		return
	}
	def.OS.Firmware = "efi"
	def.OS.FirmwareInfo = &libvirtxml.DomainOSFirmwareInfo{Features: firmwareFeatures(vm)}
}

func firmwareFeatures(vm *resource.VM) []libvirtxml.DomainOSFirmwareFeature {
	if vm.SecureBoot != nil && *vm.SecureBoot {
		return []libvirtxml.DomainOSFirmwareFeature{{Enabled: "yes", Name: "secure-boot"}, {Enabled: "yes", Name: "enrolled-keys"}}
	}
	return []libvirtxml.DomainOSFirmwareFeature{{Enabled: "no", Name: "secure-boot"}}
}

// cpu gives the guest all that works: the host's model with kvm, all that can be emulated without.
func (s *domainSpec) cpu(domainType string) *libvirtxml.DomainCPU {
	switch cpu := s.vm.CPU; {
	case cpu == "host-model" || cpu == "host-passthrough" || cpu == "maximum":
		return &libvirtxml.DomainCPU{Mode: cpu}
	case cpu != "":
		return &libvirtxml.DomainCPU{Mode: "custom", Match: "exact", Model: &libvirtxml.DomainCPUModel{Value: cpu}}
	case domainType == "kvm":
		return &libvirtxml.DomainCPU{Mode: "host-model"}
	}
	return &libvirtxml.DomainCPU{Mode: "maximum"}
}

func (s *domainSpec) devices(machine string) (*libvirtxml.DomainDeviceList, error) {
	vm := s.vm
	d := &libvirtxml.DomainDeviceList{
		Channels: []libvirtxml.DomainChannel{{
			Source: &libvirtxml.DomainChardevSource{UNIX: &libvirtxml.DomainChardevSourceUNIX{}},
			Target: &libvirtxml.DomainChannelTarget{VirtIO: &libvirtxml.DomainChannelTargetVirtIO{Name: agentChannel}},
		}},
		Serials: []libvirtxml.DomainSerial{{
			Source: &libvirtxml.DomainChardevSource{Pty: &libvirtxml.DomainChardevSourcePty{}},
			Target: &libvirtxml.DomainSerialTarget{Port: new(uint(0))},
		}},
		MemBalloon: &libvirtxml.DomainMemBalloon{Model: "virtio"},
		RNGs: []libvirtxml.DomainRNG{{
			Model:   "virtio",
			Backend: &libvirtxml.DomainRNGBackend{Random: &libvirtxml.DomainRNGBackendRandom{Device: "/dev/urandom"}},
		}},
		Controllers: s.controllers(machine),
	}
	if s.log != "" {
		d.Serials[0].Log = &libvirtxml.DomainChardevLog{File: s.log, Append: "off"}
	}
	targets := newTargets()
	for i, disk := range vm.Disks {
		file, ok := s.files[disk.Label]
		if !ok {
			return nil, fmt.Errorf("disk %s: no file is known for %q", disk.Label, disk.Source)
		}
		dev, err := targets.next(disk.Bus)
		if err != nil {
			return nil, fmt.Errorf("disk %s: %w", disk.Label, err)
		}
		d.Disks = append(d.Disks, diskXML(&disk, file, dev, i == 0))
	}
	for _, nic := range vm.NICs {
		d.Interfaces = append(d.Interfaces, nicXML(&nic))
	}
	if vm.TPM != nil {
		d.TPMs = []libvirtxml.DomainTPM{tpmXML(vm.TPM)}
	}
	if vm.Graphics != nil {
		d.Graphics = []libvirtxml.DomainGraphic{graphicsXML(vm.Graphics)}
		d.Videos = []libvirtxml.DomainVideo{{Model: libvirtxml.DomainVideoModel{Type: "vga"}}}
		if !s.test {
			d.Inputs = []libvirtxml.DomainInput{{Type: "tablet", Bus: "usb"}}
		}
	}
	return d, nil
}

// controllers are those that hot-plugging needs to be there before: a SCSI controller and free PCI Express ports. libvirt
// adds the others itself.
func (s *domainSpec) controllers(machine string) []libvirtxml.DomainController {
	if s.test {
		return nil
	}
	list := []libvirtxml.DomainController{{Type: "scsi", Index: new(uint(0)), Model: "virtio-scsi"}}
	if family := machineFamily(machine); family != "q35" && family != "virt" {
		return list
	}
	// Each of these devices takes a port: SCSI, serial channel, balloon, random numbers, USB, and what the files ask for.
	used := 5 + len(s.vm.Disks) + len(s.vm.NICs)
	list = append(list, libvirtxml.DomainController{Type: "pci", Index: new(uint(0)), Model: "pcie-root"})
	for i := range used + sparePorts {
		list = append(list, libvirtxml.DomainController{Type: "pci", Index: new(uint(i + 1)), Model: "pcie-root-port"})
	}
	return list
}

// diskXML writes a disk. Its label is its alias, by which it is found again, and its serial, by which the guest finds it.
func diskXML(disk *resource.Disk, file diskFile, dev string, boot bool) libvirtxml.DomainDisk {
	d := libvirtxml.DomainDisk{
		Device: disk.Device,
		Driver: &libvirtxml.DomainDiskDriver{Name: "qemu", Type: file.format, Cache: disk.Cache, Discard: "unmap"},
		Source: &libvirtxml.DomainDiskSource{File: &libvirtxml.DomainDiskSourceFile{File: file.path}},
		Target: &libvirtxml.DomainDiskTarget{Dev: dev, Bus: disk.Bus},
		Serial: disk.Label,
		Alias:  &libvirtxml.DomainAlias{Name: aliasDisk + disk.Label},
	}
	if disk.ReadOnly != nil && *disk.ReadOnly {
		d.ReadOnly, d.Driver.Discard = &libvirtxml.DomainDiskReadOnly{}, ""
	}
	if boot {
		d.Boot = &libvirtxml.DomainDeviceBoot{Order: 1}
	}
	return d
}

func nicXML(nic *resource.NIC) libvirtxml.DomainInterface {
	n := libvirtxml.DomainInterface{
		MAC:    &libvirtxml.DomainInterfaceMAC{Address: nic.MAC},
		Source: &libvirtxml.DomainInterfaceSource{},
		Model:  &libvirtxml.DomainInterfaceModel{Type: nic.Model},
		Alias:  &libvirtxml.DomainAlias{Name: aliasNIC + nic.Label},
	}
	if nic.MAC == "" {
		n.MAC = nil
	}
	switch {
	case isUser(nic):
		n.Source.User = &libvirtxml.DomainInterfaceSourceUser{}
	case nic.Bridge != "":
		n.Source.Bridge = &libvirtxml.DomainInterfaceSourceBridge{Bridge: nic.Bridge}
	default:
		n.Source.Network = &libvirtxml.DomainInterfaceSourceNetwork{Network: nic.Source}
	}
	if nic.Link != nil && !*nic.Link {
		n.Link = &libvirtxml.DomainInterfaceLink{State: "down"}
	}
	if b := nic.Bandwidth; b != nil {
		n.Bandwidth = &libvirtxml.DomainInterfaceBandwidth{Inbound: rateXML(b.Inbound), Outbound: rateXML(b.Outbound)}
	}
	return n
}

func isUser(nic *resource.NIC) bool { return nic.User != nil && *nic.User }

func rateXML(r *resource.Rate) *libvirtxml.DomainInterfaceBandwidthParams {
	if r == nil {
		return nil
	}
	p := &libvirtxml.DomainInterfaceBandwidthParams{Average: &r.Average}
	if r.Peak != 0 {
		p.Peak = &r.Peak
	}
	if r.Burst != 0 {
		p.Burst = &r.Burst
	}
	return p
}

func tpmXML(t *resource.TPM) libvirtxml.DomainTPM {
	return libvirtxml.DomainTPM{Model: t.Model, Backend: &libvirtxml.DomainTPMBackend{Emulator: &libvirtxml.DomainTPMBackendEmulator{Version: t.Version}}}
}

func graphicsXML(g *resource.Graphics) libvirtxml.DomainGraphic {
	port, auto := g.Port, ""
	if port == 0 {
		port, auto = -1, "yes"
	}
	listen := []libvirtxml.DomainGraphicListener{{Address: &libvirtxml.DomainGraphicListenerAddress{Address: g.Listen}}}
	if g.Type == "spice" {
		return libvirtxml.DomainGraphic{Spice: &libvirtxml.DomainGraphicSpice{Port: port, AutoPort: auto, Listeners: listen}}
	}
	return libvirtxml.DomainGraphic{VNC: &libvirtxml.DomainGraphicVNC{Port: port, AutoPort: auto, Listeners: listen}}
}

// targets hands out the names that libvirt wants disks to have; nobody refers to a disk by them.
type targets struct{ taken map[string]bool }

func newTargets() *targets { return &targets{map[string]bool{}} }

var targetPrefixes = map[string]string{"virtio": "vd", "scsi": "sd", "sata": "sd", "usb": "sd", "ide": "hd"}

func (t *targets) next(bus string) (string, error) {
	prefix := targetPrefixes[bus]
	if prefix == "" {
		return "", fmt.Errorf("there is no bus %q", bus)
	}
	for i := range 26 * 27 {
		name := string(rune('a' + i%26))
		if i >= 26 {
			name = string(rune('a'+i/26-1)) + name
		}
		if dev := prefix + name; !t.taken[dev] {
			t.taken[dev] = true
			return dev, nil
		}
	}
	return "", fmt.Errorf("there are too many %s disks", bus)
}

// splitSource takes a disk's source "pool/file" apart; ok is false for a path or anything else outside pools.
func splitSource(source string) (pool, file string, ok bool) {
	pool, file, ok = strings.Cut(source, "/")
	return pool, file, ok && pool != ""
}
