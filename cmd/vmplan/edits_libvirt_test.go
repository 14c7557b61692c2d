//go:build !nolibvirt

package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"vmplan.dev/vmplan/config/resource"
)

// Half of what people do they do by virsh, the other half by programs that use the API; and what can be done to a running guest
// and to its definition, they do to both or to one of them.

func byVirsh(e handEdit) bool { return e.way < 3 }

// scope is what an edit is made to.
func scope(e handEdit) (libvirt.DomainModificationImpact, []string) {
	switch {
	case !e.running || e.way%3 == 2:
		return libvirt.DOMAIN_AFFECT_CONFIG, []string{"--config"}
	case e.way%3 == 1:
		return libvirt.DOMAIN_AFFECT_LIVE, []string{"--live"}
	}
	return libvirt.DOMAIN_AFFECT_CONFIG | libvirt.DOMAIN_AFFECT_LIVE, []string{"--config", "--live"}
}

func (g libvirtGround) edit(e handEdit) error {
	switch o := e.object.(type) {
	case nil:
		if e.what == addVM {
			return g.defineVM(e, fmt.Sprintf("<domain type='%s'><name>%s</name><memory unit='MiB'>16</memory><os><type>hvm</type></os></domain>", g.kind(), e.part))
		}
		text := fmt.Sprintf("<network><name>%s</name></network>", e.part)
		if byVirsh(e) {
			_, err := g.virsh(text, "net-define", "/dev/stdin")
			return err
		}
		n, err := g.conn.NetworkDefineXML(text)
		if err != nil {
			return err
		}
		return n.Free()
	case *resource.VM:
		return g.editVM(o, e)
	case *resource.Network:
		return g.editNetwork(o, e)
	case *resource.Pool:
		return g.editPool(o, e)
	case *resource.Volume:
		if byVirsh(e) {
			return g.run("vol-delete", "--pool", o.PoolName, o.File)
		}
		return g.onPool(o.PoolName, func(p *libvirt.StoragePool) error {
			vol, err := p.LookupStorageVolByName(o.File)
			if err != nil {
				return err
			}
			defer vol.Free()
			return vol.Delete(0)
		})
	}
	return fmt.Errorf("nobody knows how to do this: %s", e)
}

func (g libvirtGround) run(args ...string) error {
	_, err := g.virsh("", args...)
	return err
}

func (g libvirtGround) defineVM(e handEdit, text string) error {
	if byVirsh(e) {
		_, err := g.virsh(text, "define", "/dev/stdin")
		return err
	}
	d, err := g.conn.DomainDefineXML(text)
	if err != nil {
		return err
	}
	return d.Free()
}

// onVM does e to a vm, in one of two ways.
func (g libvirtGround) onVM(e handEdit, api func(*libvirt.Domain) error, virsh ...string) error {
	if byVirsh(e) {
		return g.run(virsh...)
	}
	d, err := g.conn.LookupDomainByName(e.object.Base().Name)
	if err != nil {
		return err
	}
	defer d.Free()
	return api(d)
}

func (g libvirtGround) onNetwork(e handEdit, api func(*libvirt.Network) error, virsh ...string) error {
	if byVirsh(e) {
		return g.run(virsh...)
	}
	n, err := g.conn.LookupNetworkByName(e.object.Base().Name)
	if err != nil {
		return err
	}
	defer n.Free()
	return api(n)
}

func (g libvirtGround) onPool(name string, api func(*libvirt.StoragePool) error) error {
	p, err := g.conn.LookupStoragePoolByName(name)
	if err != nil {
		return err
	}
	defer p.Free()
	return api(p)
}

// withFlag sets autostart the other way.
func withFlag(now *bool, args ...string) []string {
	if now != nil && *now {
		args = append(args, "--disable")
	}
	return args
}

func (g libvirtGround) editVM(vm *resource.VM, e handEdit) error {
	switch e.what {
	case plugForeign:
		if err := g.run("vol-create-as", theirPool, e.part, "1M", "--format", "raw"); err != nil {
			return err
		}
	case setTitle, setDescription:
		return g.editText(vm, e)
	case flipAutostart:
		return g.onVM(e, func(d *libvirt.Domain) error { return d.SetAutostart(*flipped(vm.Autostart)) },
			withFlag(vm.Autostart, "autostart", vm.Name)...)
	case flipPower, undefine:
		return g.editPower(vm, e)
	case setVCPUs:
		n := vm.VCPUs + 1
		if n > vm.MaxVCPUs {
			n = 1
		}
		return g.onVM(e, func(d *libvirt.Domain) error { return d.SetVcpusFlags(uint(n), libvirt.DOMAIN_VCPU_CONFIG) },
			"setvcpus", vm.Name, fmt.Sprint(n), "--config")
	}
	switch {
	case !e.running:
		return g.editDevices(vm, e)
	case e.what == flipLink:
		return g.flipCable(vm, e)
	}
	return g.editGuest(vm, e)
}

// editPower starts a vm or switches it off, and may undefine it then.
func (g libvirtGround) editPower(vm *resource.VM, e handEdit) error {
	if e.running {
		if err := g.onVM(e, (*libvirt.Domain).Destroy, "destroy", vm.Name); err != nil || e.what == flipPower {
			return err
		}
	}
	if e.what == flipPower {
		return g.onVM(e, (*libvirt.Domain).Create, "start", vm.Name)
	}
	return g.onVM(e, (*libvirt.Domain).Undefine, "undefine", vm.Name)
}

func (g libvirtGround) editText(vm *resource.VM, e handEdit) error {
	flags, options := scope(e)
	kind := libvirt.DOMAIN_METADATA_DESCRIPTION
	if e.what == setTitle {
		kind = libvirt.DOMAIN_METADATA_TITLE
		options = append(options, "--title")
	}
	return g.onVM(e, func(d *libvirt.Domain) error { return d.SetMetadata(kind, "by hand", "", "", flags) },
		append(append([]string{"desc", vm.Name}, options...), "by hand")...)
}

// flipCable pulls or plugs in the cable of a running guest's NIC.
func (g libvirtGround) flipCable(vm *resource.VM, e handEdit) error {
	d, err := g.definition(vm)
	if err != nil {
		return err
	}
	nic := nicOf(d, e.part)
	flipLinkOf(nic)
	nic.Address = nil // which the guest may have otherwise than its definition
	text, err := nic.Marshal()
	if err != nil {
		return err
	}
	flags, options := scope(e)
	if byVirsh(e) {
		_, err := g.virsh(text, append([]string{"update-device", vm.Name, "/dev/stdin"}, options...)...)
		return err
	}
	return g.onVM(e, func(d *libvirt.Domain) error {
		return d.UpdateDeviceFlags(text, libvirt.DomainDeviceModifyFlags(flags))
	})
}

func (g libvirtGround) definition(vm *resource.VM) (*libvirtxml.Domain, error) {
	text, err := g.virsh("", "dumpxml", "--inactive", vm.Name)
	if err != nil {
		return nil, err
	}
	d := &libvirtxml.Domain{}
	return d, d.Unmarshal(text)
}

// foreignTarget names a foreign disk of the vm as none of its others is named.
func (g libvirtGround) foreignTarget(bus string, vm *resource.VM) string {
	g.foreign[vm.Name]++
	return fmt.Sprintf("%s%c", bus, 'z'+1-g.foreign[vm.Name])
}

// nicOf gives the NIC that vmplan calls by the label.
func nicOf(d *libvirtxml.Domain, label string) *libvirtxml.DomainInterface {
	for i := range d.Devices.Interfaces {
		if nic := &d.Devices.Interfaces[i]; nic.Alias != nil && nic.Alias.Name == "ua-nic-"+label {
			return nic
		}
	}
	return nil
}

func flipLinkOf(nic *libvirtxml.DomainInterface) {
	if nic.Link != nil && nic.Link.State == "down" {
		nic.Link = nil
	} else {
		nic.Link = &libvirtxml.DomainInterfaceLink{State: "down"}
	}
}

// editDevices changes the definition.
func (g libvirtGround) editDevices(vm *resource.VM, e handEdit) error {
	d, err := g.definition(vm)
	if err != nil {
		return err
	}
	disks, nics := len(d.Devices.Disks), len(d.Devices.Interfaces)
	switch e.what {
	case setMemory:
		kib := uint64((vm.Memory - 16*resource.MiB) / resource.KiB)
		return g.onVM(e, func(d *libvirt.Domain) error { return d.SetMemoryFlags(kib, libvirt.DOMAIN_MEM_CONFIG) },
			"setmem", vm.Name, fmt.Sprintf("%dKiB", kib), "--config")
	case unplugDisk:
		d.Devices.Disks = slices.DeleteFunc(d.Devices.Disks, func(disk libvirtxml.DomainDisk) bool {
			return disk.Alias != nil && disk.Alias.Name == "ua-disk-"+e.part
		})
		if len(d.Devices.Disks) == disks {
			return fmt.Errorf("%s has no such disk", vm.Name)
		}
	case plugForeign:
		path, err := g.virsh("", "vol-path", "--pool", theirPool, e.part)
		if err != nil {
			return err
		}
		d.Devices.Disks = append(d.Devices.Disks, libvirtxml.DomainDisk{
			Device: "disk", Driver: &libvirtxml.DomainDiskDriver{Name: "qemu", Type: "raw"},
			Source: &libvirtxml.DomainDiskSource{File: &libvirtxml.DomainDiskSourceFile{File: strings.TrimSpace(path)}},
			Target: &libvirtxml.DomainDiskTarget{Dev: g.foreignTarget("vd", vm), Bus: "virtio"},
		})
	case unplugNIC:
		d.Devices.Interfaces = slices.DeleteFunc(d.Devices.Interfaces, func(nic libvirtxml.DomainInterface) bool {
			return nic.Alias != nil && nic.Alias.Name == "ua-nic-"+e.part
		})
		if len(d.Devices.Interfaces) == nics {
			return fmt.Errorf("%s has no such nic", vm.Name)
		}
	case flipLink:
		flipLinkOf(nicOf(d, e.part))
	case setModel:
		nic := nicOf(d, e.part)
		nic.Model.Type = map[string]string{"virtio": "rtl8139", "e1000": "virtio"}[nic.Model.Type]
		nic.Address = nil
	}
	text, err := d.Marshal()
	if err != nil {
		return err
	}
	return g.defineVM(e, text)
}

func (g libvirtGround) editNetwork(n *resource.Network, e handEdit) error {
	update := func(command libvirt.NetworkUpdateCommand, verb, host string) error {
		return g.onNetwork(e, func(net *libvirt.Network) error {
			return net.Update(command, libvirt.NETWORK_SECTION_IP_DHCP_HOST, -1, host, libvirt.NETWORK_UPDATE_AFFECT_LIVE|libvirt.NETWORK_UPDATE_AFFECT_CONFIG)
		}, "net-update", n.Name, verb, "ip-dhcp-host", host, "--live", "--config")
	}
	switch e.what {
	case dropHost:
		return update(libvirt.NETWORK_UPDATE_COMMAND_DELETE, "delete", fmt.Sprintf("<host mac='%s'/>", e.part))
	case addHost:
		i, _ := strconv.Atoi(e.part)
		host := fmt.Sprintf("<host mac='52:54:00:99:00:%02x' ip='%s.%d'/>", i, n.CIDR[:strings.LastIndex(n.CIDR, ".")], 160+i)
		return update(libvirt.NETWORK_UPDATE_COMMAND_ADD_LAST, "add", host)
	case stop:
		return g.onNetwork(e, (*libvirt.Network).Destroy, "net-destroy", n.Name)
	}
	return g.onNetwork(e, func(net *libvirt.Network) error { return net.SetAutostart(*flipped(n.Autostart)) },
		withFlag(n.Autostart, "net-autostart", n.Name)...)
}

func (g libvirtGround) editPool(p *resource.Pool, e handEdit) error {
	switch {
	case e.what == stop && byVirsh(e):
		return g.run("pool-destroy", p.Name)
	case e.what == stop:
		return g.onPool(p.Name, (*libvirt.StoragePool).Destroy)
	case byVirsh(e):
		return g.run(withFlag(p.Autostart, "pool-autostart", p.Name)...)
	}
	return g.onPool(p.Name, func(pool *libvirt.StoragePool) error { return pool.SetAutostart(*flipped(p.Autostart)) })
}
