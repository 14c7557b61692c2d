package sim

import (
	"fmt"
	"net"
	"net/netip"
	"path"
	"strings"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
)

// rules are the pure part of the driver.
type rules struct{}

var _ drivers.Rules = rules{}

// machineAliases are machine types that stand for others.
var machineAliases = map[string]string{"q35": "pc-q35-7.2", "pc": "pc-i440fx-7.2"}

// Normalize implements drivers.Rules. Objects that are not managed are brought to canonical form and get no defaults.
func (rules) Normalize(r resource.Resource) (resource.Resource, error) {
	r = resource.Clone(r)
	defaults := r.Base().IsManaged()
	switch r := r.(type) {
	case *resource.Pool:
		if r.Type != "" && r.Type != "dir" {
			return nil, unsupported("type", "there are only pools of type dir")
		}
		if defaults {
			normalizePool(r)
		}
	case *resource.Network:
		canonicalNetwork(r)
		if defaults {
			defaultNetwork(r)
		}
		return r, checkNetwork(r)
	case *resource.Volume:
		if defaults {
			setDefault(&r.Format, "qcow2")
		}
	case *resource.VM:
		canonicalVM(r)
		if defaults {
			defaultVM(r)
		}
		return r, checkVM(r)
	}
	return r, nil
}

func unsupported(field, why string) error {
	return &drivers.FieldError{Path: field, Err: fmt.Errorf("%s: %w", why, drivers.ErrUnsupported)}
}

func normalizePool(p *resource.Pool) {
	setDefault(&p.Type, "dir")
	setFlag(&p.Autostart, true)
	if p.Path != "" {
		p.Path = path.Clean(p.Path)
	}
}

func canonicalNetwork(n *resource.Network) {
	if prefix, err := netip.ParsePrefix(n.CIDR); err == nil {
		n.CIDR = prefix.Masked().String()
	}
	for i := range n.Reservations {
		n.Reservations[i].MAC = canonicalMAC(n.Reservations[i].MAC)
	}
}

func defaultNetwork(n *resource.Network) {
	setDefault(&n.Mode, "nat")
	setFlag(&n.Autostart, true)
	if n.Mode == "bridge" {
		return
	}
	setFlag(&n.DHCP, n.CIDR != "")
	if prefix, err := netip.ParsePrefix(n.CIDR); err == nil && *n.DHCP && prefix.Addr().Is4() {
		setDefault(&n.DHCPStart, prefix.Addr().Next().Next().String())
		setDefault(&n.DHCPEnd, lastAddr(prefix))
	}
}

// lastAddr is the last address of an IPv4 range that a guest can have.
func lastAddr(p netip.Prefix) string {
	a := p.Addr().As4()
	for bit := p.Bits(); bit < 32; bit++ {
		a[bit/8] |= 0x80 >> (bit % 8)
	}
	return netip.AddrFrom4(a).Prev().String()
}

func checkNetwork(n *resource.Network) error {
	if n.Mode == "bridge" && n.DHCP != nil && *n.DHCP {
		return unsupported("dhcp", "the host answers no DHCP on a network of mode bridge")
	}
	for _, h := range n.DNSHosts {
		if addr, err := netip.ParseAddr(h.Address); err != nil || addr.String() != h.Address {
			return unsupported("dns_host."+h.Name+".address", fmt.Sprintf("%q is no IP address, or not written in the usual way", h.Address))
		}
	}
	if n.Mode == "bridge" && len(n.DNSHosts) > 0 {
		return unsupported("dns_host", "the host answers no DNS on a network of mode bridge")
	}
	if n.Mode == "bridge" && len(n.Reservations) > 0 {
		return unsupported("reservation", "the host answers no DHCP on a network of mode bridge")
	}
	return nil
}

func canonicalVM(vm *resource.VM) {
	for alias, full := range machineAliases {
		if vm.Machine == full {
			vm.Machine = alias
		}
	}
	for i := range vm.NICs {
		vm.NICs[i].MAC = canonicalMAC(vm.NICs[i].MAC)
		setFlag(&vm.NICs[i].User, false)
	}
}

// defaultVM leaves to the host what depends on it: architecture, domain type and with it the CPU.
func defaultVM(vm *resource.VM) {
	setDefault(&vm.VCPUs, 1)
	setDefault(&vm.MaxVCPUs, vm.VCPUs)
	setDefault(&vm.Memory, resource.GiB)
	setDefault(&vm.MaxMemory, vm.Memory)
	setDefault(&vm.Machine, "q35")
	setDefault(&vm.Firmware, "bios")
	setFlag(&vm.SecureBoot, false)
	setFlag(&vm.Autostart, false)
	for i := range vm.Disks {
		d := &vm.Disks[i]
		setDefault(&d.Device, "disk")
		setDefault(&d.Bus, map[string]string{"disk": "virtio", "cdrom": "sata"}[d.Device])
		setFlag(&d.ReadOnly, d.Device == "cdrom")
	}
	for i := range vm.NICs {
		n := &vm.NICs[i]
		setDefault(&n.Model, "virtio")
		setFlag(&n.Link, true)
		for j := range n.PortForwards {
			setDefault(&n.PortForwards[j].Protocol, "tcp")
			setDefault(&n.PortForwards[j].Address, "127.0.0.1")
		}
	}
	if vm.TPM != nil {
		setDefault(&vm.TPM.Version, "2.0")
	}
	if g := vm.Graphics; g != nil {
		setDefault(&g.Type, "vnc")
		setDefault(&g.Listen, "127.0.0.1")
	}
}

func checkVM(vm *resource.VM) error {
	if vm.SecureBoot != nil && *vm.SecureBoot && vm.Firmware != "uefi" {
		return unsupported("secure_boot", `it needs firmware = "uefi"`)
	}
	if vm.VCPUs > vm.MaxVCPUs && vm.MaxVCPUs > 0 {
		return unsupported("max_vcpus", fmt.Sprintf("it is less than vcpus (%d)", vm.VCPUs))
	}
	if vm.Memory > vm.MaxMemory && vm.MaxMemory > 0 {
		return unsupported("max_memory", fmt.Sprintf("it is less than memory (%s)", vm.Memory))
	}
	for _, d := range vm.Disks {
		if d.Bus == "ide" && (vm.Machine == "q35" || strings.HasPrefix(vm.Machine, "pc-q35-")) {
			return unsupported("disk."+d.Label+".bus", `a machine of type q35 has no IDE; write sata, or machine = "pc"`)
		}
		if d.Bus == "virtio" && d.Device == "cdrom" {
			return unsupported("disk."+d.Label+".bus", "a cdrom cannot be on virtio; write sata or scsi")
		}
	}
	return nil
}

func canonicalMAC(mac string) string {
	if hw, err := net.ParseMAC(mac); err == nil {
		return hw.String()
	}
	return strings.ToLower(mac)
}

func setFlag(field **bool, value bool) {
	if *field == nil {
		*field = &value
	}
}
