//go:build !nolibvirt

package libvirt

import (
	"fmt"
	"net/netip"
	"path"
	"regexp"
	"strings"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/libvirt/internal/definition"
)

// Defaults that do not depend on the host.
const (
	defaultMemory = resource.GiB
	defaultListen = "127.0.0.1"
)

// Normalize implements drivers.Driver.
func (d *driver) Normalize(r resource.Resource) (resource.Resource, error) {
	r = resource.Clone(r)
	var err error
	switch r := r.(type) {
	case *resource.Pool:
		err = normalizePool(r)
	case *resource.Network:
		err = normalizeNetwork(r)
	case *resource.Volume:
		if r.Format == "" {
			r.Format = "qcow2"
		}
		r.Size = roundUp(r.Size, resource.KiB) // libvirt tells qemu-img the size in KiB
	case *resource.VM:
		err = normalizeVM(r)
	}
	if err == nil && strings.ContainsAny(r.Base().Name, "/\n") {
		err = unsupported("name", "%q has a character that libvirt does not take in names", r.Base().Name)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.Base().Addr, err)
	}
	return r, nil
}

func unsupported(field, format string, args ...any) error {
	return &drivers.FieldError{Path: field, Err: fmt.Errorf("%w: %s", drivers.ErrUnsupported, fmt.Sprintf(format, args...))}
}

func roundUp(s, unit resource.Size) resource.Size { return (s + unit - 1) / unit * unit }

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func normalizePool(p *resource.Pool) error {
	setDefault(&p.Type, "dir")
	if p.Type != "dir" && p.IsManaged() {
		return unsupported("type", "only pools of type dir can be made")
	}
	if p.Path != "" {
		p.Path = path.Clean(p.Path)
	}
	if p.IsManaged() && !p.Implicit {
		setDefault(&p.Autostart, new(true))
	}
	return nil
}

func normalizeNetwork(n *resource.Network) error {
	if len(n.Bridge) > 15 {
		return unsupported("bridge", "%q is longer than the 15 characters of a device's name", n.Bridge)
	}
	if !n.IsManaged() {
		return nil
	}
	setDefault(&n.Autostart, new(true))
	setDefault(&n.Mode, "nat")
	for _, h := range n.DNSHosts {
		if addr, err := netip.ParseAddr(h.Address); err != nil || addr.String() != h.Address {
			return unsupported("dns_host."+h.Name+".address", "%q is no IP address, or not written in the usual way", h.Address)
		}
	}
	if n.Mode == "bridge" {
		if len(n.DNSHosts) > 0 {
			return unsupported("dns_host", "the host answers no DNS on a network of mode bridge")
		}
		if n.MTU != 0 {
			return unsupported("mtu", "a network of mode bridge has that of its bridge")
		}
		setDefault(&n.DHCP, new(false))
		return nil
	}
	setDefault(&n.DHCP, new(true))
	for i := range n.Reservations {
		n.Reservations[i].MAC = strings.ToLower(n.Reservations[i].MAC)
	}
	prefix, err := netip.ParsePrefix(n.CIDR)
	if err != nil || !prefix.Addr().Is4() {
		return unsupported("cidr", "%q is no IPv4 range", n.CIDR)
	}
	prefix = prefix.Masked()
	n.CIDR = prefix.String()
	if *n.DHCP {
		if prefix.Bits() > 30 {
			return unsupported("cidr", "%s has no room for guests", n.CIDR)
		}
		setDefault(&n.DHCPStart, prefix.Addr().Next().Next().String())
		setDefault(&n.DHCPEnd, lastHost(prefix).String())
	}
	return nil
}

// lastHost is the address before the broadcast address.
func lastHost(p netip.Prefix) netip.Addr {
	b := p.Addr().As4()
	for bit := p.Bits(); bit < 32; bit++ {
		b[bit/8] |= 1 << (7 - bit%8)
	}
	return netip.AddrFrom4(b).Prev()
}

func normalizeVM(vm *resource.VM) error {
	setDefault(&vm.VCPUs, 1)
	setDefault(&vm.MaxVCPUs, vm.VCPUs)
	if vm.MaxVCPUs < vm.VCPUs {
		return unsupported("max_vcpus", "%d is less than vcpus, %d", vm.MaxVCPUs, vm.VCPUs)
	}
	// QEMU takes memory in whole MiB; libvirt rounds up when the guest starts.
	setDefault(&vm.Memory, defaultMemory)
	vm.Memory = roundUp(vm.Memory, resource.MiB)
	setDefault(&vm.MaxMemory, vm.Memory)
	vm.MaxMemory = roundUp(vm.MaxMemory, resource.MiB)
	if vm.MaxMemory < vm.Memory {
		return unsupported("max_memory", "%s is less than memory, %s", vm.MaxMemory, vm.Memory)
	}
	// Which firmware is the default depends on the host's architecture; see definition.Host.
	if vm.Firmware == "uefi" {
		setDefault(&vm.SecureBoot, new(false))
	} else {
		vm.SecureBoot = nil
	}
	setDefault(&vm.Autostart, new(false))
	if g := vm.Graphics; g != nil {
		setDefault(&g.Type, "vnc")
		setDefault(&g.Listen, defaultListen)
	}
	if vm.TPM != nil {
		setDefault(&vm.TPM.Version, "2.0")
	}
	for i := range vm.Disks {
		if err := normalizeDisk(&vm.Disks[i]); err != nil {
			return err
		}
	}
	for i := range vm.NICs {
		n := &vm.NICs[i]
		if err := checkLabel("nic", n.Label); err != nil {
			return err
		}
		n.MAC = strings.ToLower(n.MAC)
		setDefault(&n.Model, "virtio")
		setDefault(&n.Link, new(true))
		setDefault(&n.User, new(false))
		definition.NormalizeBandwidth(n)
		for j := range n.PortForwards {
			setDefault(&n.PortForwards[j].Protocol, "tcp")
			setDefault(&n.PortForwards[j].Address, defaultListen)
		}
	}
	return nil
}

func normalizeDisk(disk *resource.Disk) error {
	if err := checkLabel("disk", disk.Label); err != nil {
		return err
	}
	if sata := disk.Bus == "sata" || disk.Bus == "ide"; sata && disk.ReadOnly != nil && *disk.ReadOnly {
		setDefault(&disk.Device, "cdrom") // QEMU has no read-only disks on these
	}
	setDefault(&disk.Device, "disk")
	if disk.Device == "cdrom" {
		setDefault(&disk.Bus, "sata")
		if disk.Bus == "virtio" {
			return unsupported("disk."+disk.Label+".bus", "there is no virtio CD-ROM: use sata, scsi or usb, or leave device out")
		}
		disk.ReadOnly = new(true)
		return nil
	}
	setDefault(&disk.Bus, "virtio")
	setDefault(&disk.ReadOnly, new(false))
	if *disk.ReadOnly && (disk.Bus == "sata" || disk.Bus == "ide") {
		return unsupported("disk."+disk.Label+".read_only", "QEMU has no read-only %s disks: use virtio or scsi, or device = cdrom", disk.Bus)
	}
	return nil
}

var labelPattern = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// checkLabel holds labels to what a device alias may contain.
func checkLabel(block, label string) error {
	if !labelPattern.MatchString(label) {
		return unsupported(block, "label %q: libvirt takes letters, digits, _ and - in a device's name", label)
	}
	return nil
}
