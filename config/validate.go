package config

import (
	"net/netip"
	"slices"

	"github.com/hashicorp/hcl/v2"

	"vmplan.dev/vmplan/config/internal/complete"
	"vmplan.dev/vmplan/config/resource"
)

// check looks at the finished objects together. What could not be decoded is left out.
func (p *placement) check() {
	objects := slices.SortedFunc(slices.Values(p.objects), func(a, b *object) int { return resource.Compare(a.addr, b.addr) })
	p.checkNames(objects)
	p.checkRanges(objects)
	p.checkPaths(objects)
	vms := p.vms()
	p.checkMACs(vms)
	p.checkForwards(vms)
	p.checkAddresses(vms)
	p.checkVolumeUse(vms)
	p.checkTriggered(objects)
}

// owner gives the object that r is or is part of.
func (p *placement) owner(r resource.Resource) *object { return p.byID[r.Base().Addr.Owner().String()] }

// checkNames refuses two objects that are one on their host.
func (p *placement) checkNames(objects []*object) {
	type place struct{ host, key string }
	seen, clashes := map[place]resource.Resource{}, map[resource.Addr]bool{}
	look := func(r resource.Resource) {
		o, meta := p.owner(r), r.Base()
		if meta.Host == "" || clashes[meta.Addr.Owner()] || o == nil || o.bad["name"] || len(resource.VolumeID(r)) == 1 {
			return
		}
		at := place{meta.Host, resource.Key(r)}
		if first := seen[at]; first != nil {
			clashes[meta.Addr] = true // so will its disks
			p.rep.addFirst(mistake(o.at(pathOf(meta.Addr, "name")), "Name used twice", "%s and %s would both be %s %q on host.%s. Give one of them another name = ….", first.Base().Addr, meta.Addr, r.Kind(), nameOn(r), meta.Host))
			return
		}
		seen[at] = r
	}
	for _, o := range objects {
		if o.addr.Kind != resource.KindHost {
			look(o.res)
		}
	}
	for _, r := range p.extra {
		look(r)
	}
}

func nameOn(r resource.Resource) string {
	if id := resource.VolumeID(r); id != "" {
		return id
	}
	return r.Base().Name
}

// pathOf is the field to blame for an object or a part of it.
func pathOf(a resource.Addr, field string) string {
	if a.Part != "" {
		return a.Part
	}
	return field
}

// checkRanges refuses networks of one host whose ranges overlap: the host could not route to both.
func (p *placement) checkRanges(objects []*object) {
	type ranged struct {
		o *object
		p netip.Prefix
	}
	byHost := map[string][]ranged{}
	for _, o := range objects {
		net, ok := o.res.(*resource.Network)
		if !ok || net.Mode == complete.ModeBridge || !net.IsManaged() {
			continue
		}
		prefix, err := netip.ParsePrefix(net.CIDR)
		if err != nil || net.Host == "" {
			continue
		}
		byHost[net.Host] = append(byHost[net.Host], ranged{o, prefix})
	}
	for _, host := range sortedKeys(byHost) {
		all := byHost[host]
		// Sorted, a range can overlap only with what comes right before it or what that is in.
		slices.SortStableFunc(all, func(a, b ranged) int { return a.p.Addr().Compare(b.p.Addr()) })
		for i, widest := 1, 0; i < len(all); i++ {
			if all[widest].p.Overlaps(all[i].p) {
				first, second := all[widest], all[i]
				if resource.Compare(second.o.addr, first.o.addr) < 0 {
					first, second = second, first
				}
				p.rep.addFirst(mistake(second.o.at("cidr"), "Ranges overlap", "%s (%s) and %s (%s) are both on host.%s, which could not tell their guests apart. Choose another cidr for one.", second.o.addr, second.p, first.o.addr, first.p, host))
			}
			if complete.Broadcast(all[widest].p).Less(complete.Broadcast(all[i].p)) {
				widest = i
			}
		}
	}
}

// checkPaths refuses two pools in one folder.
func (p *placement) checkPaths(objects []*object) {
	type folder struct{ host, path string }
	seen := map[folder]*object{}
	for _, o := range objects {
		pool, ok := o.res.(*resource.Pool)
		if !ok || pool.Path == "" || pool.Host == "" || !pool.IsManaged() || o.bad["path"] {
			continue
		}
		at := folder{pool.Host, pool.Path}
		if first := seen[at]; first != nil {
			p.rep.addFirst(mistake(o.at("path"), "Folder used twice", "%s and %s are both in %s on host.%s, and would take each other's volumes for their own. Choose another path for one.", first.addr, o.addr, pool.Path, pool.Host))
			continue
		}
		seen[at] = o
	}
}

// nicPlace is a nic for messages.
type nicPlace struct {
	o     *object
	label string
}

func (n nicPlace) String() string { return n.o.addr.String() + ".nic." + n.label }

func (n nicPlace) at(field string) hcl.Range { return n.o.at("nic." + n.label + "." + field) }

// checkMACs refuses a MAC that the files give to two nics of a host. Generated ones never collide.
func (p *placement) checkMACs(vms []*object) {
	type card struct{ host, mac string }
	seen := map[card]nicPlace{}
	eachNIC(vms, func(o *object, vm *resource.VM, nic *resource.NIC) {
		if nic.MAC == "" || vm.Host == "" {
			return
		}
		here, at := nicPlace{o, nic.Label}, card{vm.Host, nic.MAC}
		if first, taken := seen[at]; taken {
			p.rep.addFirst(mistake(here.at("mac"), "MAC used twice", "%s and %s have the MAC %s on host.%s. Leave mac out, and each gets one of its own that stays.", first, here, nic.MAC, vm.Host))
			return
		}
		seen[at] = here
	})
}

// checkForwards refuses a port of a host that is to lead to two guests.
func (p *placement) checkForwards(vms []*object) {
	type port struct {
		host, protocol string
		number         int
	}
	type taker struct {
		at, address string
	}
	seen := map[port][]taker{}
	eachNIC(vms, func(o *object, vm *resource.VM, nic *resource.NIC) {
		for _, f := range nic.PortForwards {
			at, path := port{vm.Host, f.Protocol, f.HostPort}, "nic."+nic.Label+".port_forward."+f.Name
			here := taker{o.addr.String() + "." + path, f.Address}
			for _, first := range seen[at] {
				if first.address == f.Address || first.address == anyAddress || f.Address == anyAddress {
					p.rep.addFirst(mistake(o.at(path), "Port used twice", "%s and %s both take %s port %d of host.%s. Choose another host_port for one.", first.at, here.at, f.Protocol, f.HostPort, vm.Host))
					break
				}
			}
			seen[at] = append(seen[at], here)
		}
	})
}

const anyAddress = "0.0.0.0"

// checkAddresses refuses addresses that cannot be on their network, or are there twice.
func (p *placement) checkAddresses(vms []*object) {
	type spot struct {
		network resource.Addr
		address netip.Addr
	}
	seen := map[spot]nicPlace{}
	eachNIC(vms, func(o *object, vm *resource.VM, nic *resource.NIC) {
		path := "nic." + nic.Label + ".address"
		net := p.network(nic.Network)
		if nic.Address == "" || net == nil || o.bad[path] || p.byID[nic.Network.String()].bad["cidr"] {
			return
		}
		here := nicPlace{o, nic.Label}
		prefix, err := netip.ParsePrefix(net.CIDR)
		if err != nil {
			p.rep.addFirst(mistake(o.at(path), "Network without a range", "%s has no cidr, so nobody can tell whether %s fits. Set its cidr, or give this nic no address.", nic.Network, nic.Address))
			return
		}
		a, err := netip.ParseAddr(nic.Address)
		if why := complete.BadAddress(a, err, prefix); why != "" {
			first, last := complete.HostRange(prefix)
			p.rep.addFirst(mistake(o.at(path), "Bad address", "%q for nic %q of %s %s. %s has %s to %s for guests.", nic.Address, nic.Label, o.addr, why, nic.Network, first.Next(), last))
			return
		}
		if first, taken := seen[spot{nic.Network, a}]; taken {
			p.rep.addFirst(mistake(o.at(path), "Address given twice", "%s has the address %s on %s already, and %s asks for it too. Choose another, or write \"auto\" for the next free one.", first, a, nic.Network, here))
			return
		}
		seen[spot{nic.Network, a}] = here
	})
}

// checkVolumeUse refuses a volume that two vms would write to at once.
func (p *placement) checkVolumeUse(vms []*object) {
	type use struct {
		o        *object
		label    string
		readOnly bool
	}
	seen := map[resource.Addr]use{}
	for _, o := range vms {
		vm := o.res.(*resource.VM)
		for _, d := range vm.Disks {
			if d.Volume.IsZero() || d.Volume.Kind != resource.KindVolume {
				continue
			}
			here := use{o, d.Label, complete.IsTrue(d.ReadOnly)}
			first, used := seen[d.Volume]
			switch {
			case !used:
				seen[d.Volume] = here
			case first.o == o:
				p.rep.addFirst(mistake(o.at("disk."+d.Label+".volume"), "Volume used twice", "%s is disk %q of %s already.", d.Volume, first.label, o.addr))
			case first.readOnly && here.readOnly:
			case vm.Running != nil && !*vm.Running:
			case isStopped(first.o):
				seen[d.Volume] = here
			default:
				p.rep.addFirst(mistake(o.at("disk."+d.Label+".volume"), "Volume used twice", "%s is disk %q of %s already, and two running guests that write to one volume destroy its content. Give each its own volume, or set read_only = true on both disks, or running = false on one vm.", d.Volume, first.label, first.o.addr))
			}
		}
	}
}

func isStopped(o *object) bool {
	r := o.res.(*resource.VM).Running
	return r != nil && !*r
}
