package planner

import (
	"slices"
	"strings"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
)

// identify gives an object that will be adopted the identity that it has on its host, where the files leave that to vmplan:
// its UUID, the MACs of its nics, and the volumes that are its own disks.
func (p *planner) identify(o *object) {
	if o.desired == nil || o.record != nil || o.stored() || !o.managed() || p.byLocation[o.destination] != o {
		return
	}
	live := p.liveAt(o.destination)
	if live == nil || live.Resource.Kind() != o.kind || !p.importable(o, live) && !p.isOurs(o, live) {
		return
	}
	o.desired = resource.Clone(o.desired)
	switch want := o.desired.(type) {
	case *resource.Pool:
		want.UUID = live.Resource.(*resource.Pool).UUID
	case *resource.Network:
		want.UUID = live.Resource.(*resource.Network).UUID
	case *resource.VM:
		p.identifyVM(o, want, live.Resource.(*resource.VM))
	}
}

func (p *planner) identifyVM(o *object, want, live *resource.VM) {
	want.UUID = live.UUID
	for i := range want.NICs {
		nic, has := &want.NICs[i], live.NIC(want.NICs[i].Label)
		if has != nil && has.MAC != "" && nic.MAC == resource.DefaultMAC(p.in.State.Lineage, o.addr, nic.Label, 0) {
			p.reserveFor(o, nic.MAC, has.MAC)
			nic.MAC = has.MAC
		}
	}
	for i := range want.Disks {
		disk, has := &want.Disks[i], live.Disk(want.Disks[i].Label)
		if vol := p.objects[disk.Volume]; has != nil && has.Source != "" && vol != nil && vol.record == nil && vol.addr.Owner() == o.addr {
			if p.rebind(vol, has.Source) {
				disk.Source = has.Source
			}
		}
	}
}

// reserveFor changes the reservations of networks to the MAC that an adopted guest has.
func (p *planner) reserveFor(o *object, planned, has string) {
	for _, n := range p.sorted {
		lan, ok := n.desired.(*resource.Network)
		if !ok || n.destination.host != o.destination.host || !slices.ContainsFunc(lan.Reservations, func(r resource.Reservation) bool { return r.MAC == planned }) {
			continue
		}
		lan = resource.Clone(lan)
		for i := range lan.Reservations {
			if lan.Reservations[i].MAC == planned {
				lan.Reservations[i].MAC = has
			}
		}
		n.desired = lan
	}
}

// rebind makes the volume that is attached to an adopted vm its disk, and tells whether it can be that.
func (p *planner) rebind(o *object, source string) bool {
	vol, ok := o.desired.(*resource.Volume)
	pool, file, found := strings.Cut(source, "/")
	if !ok || !found || pool == "" {
		return false
	}
	goal := location{o.destination.host, volumeKey(source)}
	if taken := p.byLocation[goal]; taken != nil && taken != o {
		return false
	}
	if p.byLocation[o.destination] == o {
		delete(p.byLocation, o.destination)
	}
	vol = resource.Clone(vol)
	vol.PoolName, vol.File = pool, file
	o.desired, o.destination = vol, goal
	p.byLocation[goal] = o
	return true
}

// findUnrecorded finds the live object of one that is not recorded: what an import block names, what has its mark or UUID, a
// disk of such a vm, or what is not managed at all. Objects of others are not taken for it.
func (p *planner) findUnrecorded(o *object) {
	if o.desired == nil || o.record != nil {
		return
	}
	live := p.liveAt(o.destination)
	pool, _ := o.desired.(*resource.Pool)
	switch {
	case live == nil || o.managed() && p.byLocation[o.destination] != o:
	case !o.managed() || p.importable(o, live) || p.isOurs(o, live) || p.attachedToOwner(o) || pool != nil && pool.Implicit:
		o.live, o.location = live, o.destination
	}
}

// importable tells whether an import block names the object, and no other project owns what it names.
func (p *planner) importable(o *object, live *drivers.Object) bool {
	_, ok := p.imports[o.addr]
	return ok && (live.Mark == nil || live.Mark.Released || live.Mark.Lineage == p.in.State.Lineage)
}

// attachedToOwner tells whether the volume belongs to a vm that is on the host, and is attached to it there.
func (p *planner) attachedToOwner(o *object) bool {
	owner := p.objects[o.addr.Owner()]
	if o.addr.Part == "" || owner == nil || owner.live == nil {
		return false
	}
	vm, ok := owner.live.Resource.(*resource.VM)
	return ok && slices.ContainsFunc(vm.Disks, func(d resource.Disk) bool { return d.Source == resource.VolumeID(o.desired) })
}

// isOurs tells whether a live object that is not recorded was created by this project for this address.
func (p *planner) isOurs(o *object, live *drivers.Object) bool {
	if live.Mark != nil {
		return live.Mark.Lineage == p.in.State.Lineage && live.Mark.Addr == o.addr
	}
	id := uuidOf(o.desired)
	return id != "" && id == uuidOf(live.Resource)
}

// isForeign tells whether what is live where an object is recorded is not that object.
func (p *planner) isForeign(o *object, live *drivers.Object) bool {
	if o.stored() {
		return false
	}
	if live.Mark != nil {
		return live.Mark.Lineage != p.in.State.Lineage
	}
	a, b := uuidOf(o.recorded), uuidOf(live.Resource)
	return a != "" && b != "" && a != b
}

// owner is who a live object must belong to when a step changes it: this project, at this address, or whoever marked it when the
// plan may take it from there. live may be nil.
func (in *Input) owner(addr resource.Addr, live *drivers.Object) drivers.Owner {
	o := drivers.Owner{Lineage: in.State.Lineage, Addr: addr}
	if live == nil || live.Mark == nil {
		return o
	}
	if m := live.Mark; m.Released || m.Lineage == o.Lineage {
		if m.Lineage != o.Lineage || m.Addr != addr {
			o.Found = m
		}
	}
	return o
}
