package config

import (
	"slices"
	"strings"

	"vmplan.dev/vmplan/config/internal/complete"
	"vmplan.dev/vmplan/config/resource"
)

// inherit fills in what a vm that is a clone leaves open, with what the vm that it is made from has; not with what that is
// known by. It comes before anything is decided about the clone.
func (e *evaluator) inherit(o *object) {
	vm, ok := o.res.(*resource.VM)
	if ok && vm.Clone.IsZero() && vm.CloneMode != "" && !o.bad["clone"] {
		complete.CheckCloneMode(o, vm.CloneMode)
	}
	if !ok || vm.Clone.IsZero() {
		return
	}
	source := e.byID[vm.Clone.String()]
	from, ok := source.res.(*resource.VM)
	if !ok {
		return
	}
	complete.OrElse(&vm.Host, from.Host)
	switch {
	case !from.IsManaged():
		e.rep.addFirst(mistake(o.at("clone"), "Clone of what is not managed", "%s has managed = false, so vmplan does not know what it is made of. Import it (vmplan import), or clone its disks one by one: disk \"root\" { clone = volume.NAME }.", vm.Clone))
		o.fail("clone")
		o.fail("image")
		return
	case !vm.Image.IsZero():
		e.rep.addFirst(mistake(o.at("image"), "Both clone and image", "%s is made from %s, disks and all, so there is nothing for %s to be under. Keep one of the two.", o.addr, vm.Clone, vm.Image))
		o.fail("image")
		return
	}
	model := e.cloneModel(o, from)
	resource.Inherit(vm, model)
	if vm.MaxMemory < vm.Memory && o.block.ranges["max_memory"].Empty() {
		vm.MaxMemory = 0
	}
	if vm.MaxVCPUs < vm.VCPUs && o.block.ranges["max_vcpus"].Empty() {
		vm.MaxVCPUs = 0
	}
}

// cloneModel is what a clone takes over from a vm: all but what that is known by, and whether it runs.
func (e *evaluator) cloneModel(o *object, from *resource.VM) *resource.VM {
	vm := o.res.(*resource.VM)
	model := resource.Clone(from)
	model.Meta, model.UUID, model.Running = resource.Meta{}, "", nil
	model.Image, model.Clone, model.CloneMode = resource.Addr{}, resource.Addr{}, ""
	if vm.Instancetype != "" { // chosen here, so that its sizes count
		model.VCPUs, model.MaxVCPUs, model.Memory, model.MaxMemory = 0, 0, 0, 0
	}
	if vm.Preference != "" {
		model.Machine, model.Firmware, model.CPU, model.SecureBoot = "", "", "", nil
	}
	if model.CloudInit != nil {
		model.CloudInit.Hostname = ""
	}
	for i := range model.NICs {
		n := &model.NICs[i]
		n.MAC = ""
		if n.Address != "" {
			n.Address = complete.AutoAddress
		}
		if own := vm.NIC(n.Label); own != nil && (own.Bridge != "" || !own.Network.IsZero()) {
			n.Network, n.Source, n.Bridge, n.Address = resource.Addr{}, "", "", ""
		}
	}
	model.Disks = slices.DeleteFunc(model.Disks, func(d resource.Disk) bool {
		own := vm.Disk(d.Label)
		return own != nil && (!own.Volume.IsZero() || !own.Image.IsZero() || !own.Clone.IsZero())
	})
	for i := range model.Disks {
		e.cloneDisk(from, &model.Disks[i], vm.CloneMode)
	}
	return model
}

// cloneDisk makes a clone's disk of one that the vm has. What no guest may write to is used by both.
func (e *evaluator) cloneDisk(from *resource.VM, d *resource.Disk, mode string) {
	if !d.Volume.IsZero() && complete.IsTrue(d.ReadOnly) {
		return
	}
	d.Image, d.Clone, d.CloneMode = resource.Addr{}, from.Addr.WithPart(diskPart+d.Label), mode
	if shared := e.byID[d.Volume.String()]; shared != nil && !d.Volume.IsZero() {
		v := shared.res.(*resource.Volume)
		d.Size, d.Format, d.Pool, d.Volume = v.Size, v.Format, v.Pool, resource.Addr{}
	}
	if mode == complete.OverlayMode {
		d.Format = ""
	}
}

// inherited tells whether a vm takes over the field at path from what it is a clone of.
func (e *evaluator) inherited(vm *resource.VM, path string) bool {
	source := e.byID[vm.Clone.String()]
	if source == nil || vm.Clone.IsZero() {
		return false
	}
	from, _ := source.res.(*resource.VM)
	return from != nil && slices.ContainsFunc(resource.Fields(from), func(f resource.Field) bool {
		return f.Path == path && f.Class != resource.ClassPower && path != "name" && !strings.HasSuffix(path, ".mac")
	})
}

// clones finds the volumes that others are made from, once all of them have their places.
func (p *placement) clones(set *resource.Set) {
	for _, o := range p.objects {
		v, ok := o.res.(*resource.Volume)
		if !ok || v.Clone.IsZero() {
			continue
		}
		own := *v // expressions see what is written
		p.cloned(o, "clone", &own, set)
		set.Add(&own)
	}
	for _, r := range p.extra {
		if v, ok := r.(*resource.Volume); ok && !v.Clone.IsZero() {
			o := p.byID[v.Addr.Owner().String()]
			p.cloned(o, v.Addr.Part+".clone", v, set)
		}
	}
}

// cloned points v, which field path of o says is a clone, at the volume that it is made from.
func (p *placement) cloned(o *object, path string, v *resource.Volume, set *resource.Set) {
	mode := v.CloneMode
	v.CloneMode = ""
	if p.target(o, path, v.Clone.Owner()) == nil {
		return
	}
	id := p.contentAt(v.Clone, set)
	if source := p.byID[v.Clone.Owner().String()]; id == "" && !source.res.Base().IsManaged() {
		p.rep.addFirst(mistake(o.at(path), "Disk of an unmanaged vm", "%s has managed = false, so it is not known where its disk lies. Declare that as volume \"NAME\" { managed = false }, and clone the volume.", v.Clone.Owner()))
	}
	if id == "" {
		return // what is wrong with that has been said
	}
	if mode == complete.OverlayMode {
		v.Backing = id
	} else {
		v.CopyOf = id
	}
}

// contentAt gives the VolumeID of the volume, or of the disk of a vm, at an address.
func (p *placement) contentAt(a resource.Addr, set *resource.Set) string {
	label, isDisk := strings.CutPrefix(a.Part, diskPart)
	if !isDisk {
		if o := p.byID[a.String()]; o != nil {
			return resource.VolumeID(o.res)
		}
		return ""
	}
	vm, ok := set.Get(a.Owner()).(*resource.VM)
	if !ok || vm.Disk(label) == nil {
		return ""
	}
	return vm.Disk(label).Source
}
