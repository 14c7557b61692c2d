package config

import (
	"net/netip"
	"slices"
	"strings"

	"vmplan.dev/vmplan/config/internal/complete"
	"vmplan.dev/vmplan/config/resource"
)

// Labels of what a vm owns.
const (
	diskPart  = "disk."
	seedPart  = "seed"
	seedLabel = "seed"
)

// expand replaces what a vm's block says in short by the objects that come of it: volumes for the disks it owns, a seed for
// cloud_init; and points disks and nics at what they use. Fields that are only input are cleared in the vm it gives; the
// one that expressions see stays as it is.
func (p *placement) expand(o *object, written *resource.VM) *resource.VM {
	vm := new(resource.VM)
	*vm = *written
	vm.Disks, vm.NICs = slices.Clone(written.Disks), slices.Clone(written.NICs)
	vm.Instancetype, vm.Preference, vm.Clone, vm.CloneMode = "", "", resource.Addr{}, ""
	if h := p.host(vm.Host); h != nil {
		vm.DomainType = h.DomainType
	}
	p.target(o, "image", vm.Image)
	var pools []*resource.Pool // of the disks that the vm owns
	for i := range vm.Disks {
		if pool := p.disk(o, vm, &vm.Disks[i]); pool != nil {
			pools = append(pools, pool)
		}
	}
	for i := range vm.NICs {
		p.nic(o, &vm.NICs[i])
	}
	if vm.CloudInit != nil {
		p.seed(o, vm, pools)
		vm.CloudInit = nil
	}
	return vm
}

// disk completes one disk, and gives the pool of the volume that it becomes if the vm owns it.
func (p *placement) disk(o *object, vm *resource.VM, d *resource.Disk) *resource.Pool {
	path := diskPart + d.Label
	if !d.Volume.IsZero() {
		if t := p.target(o, path+".volume", d.Volume); t != nil {
			d.Source = resource.VolumeID(t.res)
		}
		return nil
	}
	v, pool := p.ownDisk(o, vm, d)
	if v == nil {
		return nil
	}
	p.extra = append(p.extra, v)
	d.Size, d.Format, d.OnDelete, d.CloneMode = 0, "", "", ""
	d.Pool, d.Image, d.Clone = resource.Addr{}, resource.Addr{}, resource.Addr{}
	d.Volume, d.Source = v.Addr, resource.VolumeID(v)
	return pool
}

// ownDisk gives the volume that a disk which the vm owns becomes, and its pool; nil when that cannot be told.
func (p *placement) ownDisk(o *object, vm *resource.VM, d *resource.Disk) (*resource.Volume, *resource.Pool) {
	path := diskPart + d.Label
	pool := p.pool(o, path+".pool", vm.Addr.WithPart(path), d.Pool)
	if pool == nil || o.bad[path] {
		return nil, nil
	}
	v := &resource.Volume{
		Meta: p.part(vm, path, vm.Name+"-"+d.Label),
		Size: d.Size, Format: d.Format, Image: d.Image, Clone: d.Clone, CloneMode: d.CloneMode, OnDelete: d.OnDelete,
		Pool: pool.Addr, PoolName: pool.Name, File: vm.Name + "-" + d.Label + "." + d.Format,
	}
	if !d.Image.IsZero() {
		v.OnImageChange = vm.OnImageChange
	}
	p.useRecordedFile(v)
	v.Backing = p.backing(o, path+".image", d.Image)
	return v, pool
}

// part is the Meta of something that a vm owns. The vm's lifecycle holds for it too.
func (p *placement) part(vm *resource.VM, part, name string) resource.Meta {
	meta := resource.Meta{Addr: vm.Addr.WithPart(part), Host: vm.Host, Name: name}
	if was := p.prior.Objects[p.recordedAt(meta.Addr)]; was != nil && was.Base().Name != "" {
		meta.Name = was.Base().Name // also when the vm is called something else now
	}
	if l := vm.Lifecycle; l != nil {
		own := &resource.Lifecycle{PreventDestroy: l.PreventDestroy && part != seedPart}
		for _, field := range l.IgnoreChanges {
			if rest, ok := strings.CutPrefix(field, part+"."); ok {
				own.IgnoreChanges = append(own.IgnoreChanges, rest)
			} else if field == cloudInit && part == seedPart {
				own.IgnoreChanges = seedContent()
			}
		}
		if own.PreventDestroy || own.IgnoreChanges != nil {
			meta.Lifecycle = own
		}
	}
	return meta
}

func (p *placement) nic(o *object, n *resource.NIC) { p.connect(o, "nic."+n.Label+".network", n) }

// connect says where on the host the network is that field path of o puts the nic on.
func (p *placement) connect(o *object, path string, n *resource.NIC) {
	t := p.target(o, path, n.Network)
	if t == nil {
		return
	}
	net := t.res.(*resource.Network)
	if net.Mode == complete.ModeBridge {
		n.Bridge = net.Bridge
		return
	}
	n.Source = net.Name
}

// reserve writes the fixed addresses of nics into their networks.
func (p *placement) reserve(vms []*object) {
	names := map[resource.Addr]map[string]bool{}
	eachNIC(vms, func(o *object, vm *resource.VM, nic *resource.NIC) {
		t := p.byID[nic.Network.String()]
		if nic.Network.IsZero() || t == nil || nic.Address == "" || o.bad["nic."+nic.Label+".address"] {
			return
		}
		net := t.res.(*resource.Network)
		if !complete.Reserves(net) {
			if o.block.ranges["cloud_init"].Empty() {
				p.rep.addFirst(mistake(o.at("nic."+nic.Label+".address"), "Address cannot be given", "%s has no DHCP server of vmplan's, so the guest must be told its address, and that takes cloud-init. Add cloud_init {} to %s, or take the address out.", nic.Network, o.addr))
			}
			return
		}
		if names[nic.Network] == nil {
			names[nic.Network] = map[string]bool{}
		}
		// A DNS name stands for one address of a network: the first nic has it.
		name := complete.Hostname(vm)
		if names[nic.Network][name] {
			name = ""
		}
		names[nic.Network][name] = true
		net.Reservations = append(net.Reservations, resource.Reservation{MAC: nic.MAC, Address: nic.Address, Name: name})
	})
	for _, o := range p.objects {
		if net, ok := o.res.(*resource.Network); ok {
			slices.SortStableFunc(net.Reservations, func(a, b resource.Reservation) int { return compareAddresses(a.Address, b.Address) })
		}
	}
}

func compareAddresses(a, b string) int {
	x, _ := netip.ParseAddr(a)
	y, _ := netip.ParseAddr(b)
	return x.Compare(y)
}
