package config

import (
	"strings"

	"vmplan.dev/vmplan/config/catalogue"
	"vmplan.dev/vmplan/config/internal/complete"
	"vmplan.dev/vmplan/config/resource"
)

// hardware fills in size and models of a vm. What counts, first to last: the vm's own block, or the instance's and then its
// appliance's; the instancetype and the preference that the vm names; those that its image names, or the preference for the
// image's operating system; what the image needs at least; the default preference and the built-in defaults.
func (e *evaluator) hardware(sc *scope, vm *resource.VM) Preference {
	img := &resource.Image{}
	if o := e.imageObject(vm.Image); o != nil {
		img = o.res.(*resource.Image)
	}
	complete.OrElse(&vm.Instancetype, img.Instancetype)
	complete.OrElse(&vm.Preference, img.Preference)
	if o := e.byID[vm.Instancetype]; o != nil {
		t := o.value.(*Instancetype)
		complete.OrElse(&vm.VCPUs, t.VCPUs)
		complete.OrElse(&vm.Memory, t.Memory)
		if t.MaxVCPUs >= vm.VCPUs {
			complete.OrElse(&vm.MaxVCPUs, t.MaxVCPUs)
		}
		if t.MaxMemory >= vm.Memory {
			complete.OrElse(&vm.MaxMemory, t.MaxMemory)
		}
	}
	complete.OrElse(&vm.VCPUs, max(defaultVCPUs, img.MinVCPUs))
	complete.OrElse(&vm.Memory, max(defaultMemory, img.MinMemory))

	pref := builtinPreferences[defaultPreference]
	for _, id := range []string{sc.preferenceID(defaultPreference), vm.Preference} {
		if o := e.byID[id]; o != nil {
			pref = o.value.(*Preference).over(pref)
		}
	}
	complete.OrElse(&vm.Machine, pref.Machine)
	complete.OrElse(&vm.Firmware, pref.Firmware)
	complete.OrElse(&vm.CPU, pref.CPU)
	if vm.SecureBoot == nil && vm.Firmware == complete.UEFI {
		vm.SecureBoot = pref.SecureBoot
	}
	return pref
}

// imageObject gives the image at a, or nil.
func (e *evaluator) imageObject(a resource.Addr) *object {
	if a.IsZero() {
		return nil
	}
	return e.byID[a.String()]
}

// over gives p with what it leaves open taken from base.
func (p Preference) over(base Preference) Preference {
	complete.OrElse(&p.Machine, base.Machine)
	complete.OrElse(&p.Firmware, base.Firmware)
	complete.OrElse(&p.CPU, base.CPU)
	complete.OrElse(&p.DiskBus, base.DiskBus)
	complete.OrElse(&p.NICModel, base.NICModel)
	if p.SecureBoot == nil {
		p.SecureBoot = base.SecureBoot
	}
	return p
}

// preferenceID gives the id of the preference called name: a block that the scope sees, or the built-in one. It is empty when
// there is none, or several.
func (sc *scope) preferenceID(name string) string {
	r := reference{root: string(kindPreference), name: name}
	in := sc.sees(r)
	if in == nil {
		if isBuiltin(r.String()) {
			return builtinPrefix + r.String()
		}
		return ""
	}
	b := in.mod.blocks.byName[r.String()]
	if objects, ok := in.decodeBlock(b, b.header); ok && b.repeat.single() {
		return objects[0].id
	}
	return ""
}

// completeOS chooses the preference for the operating system of an image that names none.
func (e *evaluator) completeOS(o *object, img *resource.Image) {
	if img.OS == "" && catalogue.IsName(img.Source) {
		if guess := strings.NewReplacer(":", "", "@", "-").Replace(img.Source); osFamily(guess) != "" {
			img.OS = guess
		}
	}
	if img.OS == "" || img.Preference != "" || o.bad["preference"] || o.bad["os"] {
		return
	}
	for _, name := range []string{img.OS, osFamily(img.OS)} {
		if id := o.scope.preferenceID(name); name != "" && id != "" {
			img.Preference = id
			return
		}
	}
	e.rep.addFirst(mistake(o.at("os"), "Unknown operating system", "No preference is known for %q.%s Name one yourself (preference = preference.linux), or declare preference %q { … }.", img.OS, didYouMean(strings.TrimRight(img.OS, "0123456789.-"), osNames()), img.OS))
}

// checkMinimum refuses a vm with less than its image needs.
func (e *evaluator) checkMinimum(o *object, vm *resource.VM) {
	image := e.imageObject(vm.Image)
	if image == nil {
		return
	}
	img := image.res.(*resource.Image)
	if vm.Memory < img.MinMemory && !o.bad["memory"] {
		e.tooSmall(o, "memory", vm.Memory.String(), image, "min_memory", img.MinMemory.String())
	}
	if vm.VCPUs < img.MinVCPUs && !o.bad["vcpus"] {
		e.tooSmall(o, "vcpus", resource.Format(vm.VCPUs), image, "min_vcpus", resource.Format(img.MinVCPUs))
	}
}

// checkRoom gives the size of a disk that is made from an image, and refuses one that is too small.
func (e *evaluator) checkRoom(o *object, path string, from resource.Addr, size *resource.Size) {
	image := e.imageObject(from)
	if image == nil || o.bad[path] {
		return
	}
	img := image.res.(*resource.Image)
	complete.OrElse(size, img.MinDisk)
	if *size < img.MinDisk {
		e.tooSmall(o, path, size.String(), image, "min_disk", img.MinDisk.String())
	}
}

// tooSmall says that a field is below what an image needs, and where both are written.
func (e *evaluator) tooSmall(o *object, path, has string, image *object, min, needs string) {
	at, from := o.at(path), ""
	if vm, ok := o.res.(*resource.VM); ok && !writtenAt(o.block.ranges, path) {
		if t := e.byID[vm.Instancetype]; t != nil {
			from = ", from " + t.title()
		}
	}
	e.rep.addFirst(mistake(at, "Less than the image needs", "%s has %s = %s%s, and %s needs at least %s (%s). Give it more, or lower %s there.", o.addr, path, has, from, image.addr, needs, place(image.at(min)), min))
	o.fail(path)
}

// title is what messages call an instancetype or preference.
func (o *object) title() string {
	text := string(o.addr.Kind) + "." + o.addr.Name + o.addr.Key
	if o.block == nil {
		return text + " (built in)"
	}
	return text + " (" + place(o.block.header) + ")"
}
