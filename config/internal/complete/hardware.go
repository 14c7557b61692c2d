package complete

import "vmplan.dev/vmplan/config/resource"

// Hardware is what the size and the models of a vm come from.
type Hardware struct {
	Image        *resource.Image // that the vm starts with, or nil
	Instancetype *Instancetype   // that the vm or its image names, or nil
	Preferences  []*Preference   // the project's default, then the one that the vm or its image names; later ones count first
}

// Complete fills in size and models of a vm. What counts, first to last: the vm's own block, or the instance's and then its
// appliance's; the instancetype and the preference that the vm names; those that its image names, or the preference for the
// image's operating system; what the image needs at least; the default preference and the built-in defaults.
func (h Hardware) Complete(vm *resource.VM) Preference {
	img := h.Image
	if img == nil {
		img = &resource.Image{}
	}
	if t := h.Instancetype; t != nil {
		OrElse(&vm.VCPUs, t.VCPUs)
		OrElse(&vm.Memory, t.Memory)
		if t.MaxVCPUs >= vm.VCPUs {
			OrElse(&vm.MaxVCPUs, t.MaxVCPUs)
		}
		if t.MaxMemory >= vm.Memory {
			OrElse(&vm.MaxMemory, t.MaxMemory)
		}
	}
	OrElse(&vm.VCPUs, max(DefaultVCPUs, img.MinVCPUs))
	OrElse(&vm.Memory, max(defaultMemory, img.MinMemory))
	pref := BuiltinPreferences[DefaultPreference]
	for _, p := range h.Preferences {
		pref = p.Over(pref)
	}
	OrElse(&vm.Machine, pref.Machine)
	OrElse(&vm.Firmware, pref.Firmware)
	OrElse(&vm.CPU, pref.CPU)
	if vm.SecureBoot == nil && vm.Firmware == UEFI {
		vm.SecureBoot = pref.SecureBoot
	}
	return pref
}

// checkMinimum refuses a vm with less than its image needs.
func checkMinimum(src Source, vm *resource.VM, from Origin) {
	img := from.Image(vm.Image)
	if img == nil {
		return
	}
	if vm.Memory < img.MinMemory && !src.Wrong("memory") {
		from.tooSmall(src, vm.Addr, "memory", vm.Memory.String(), img, "min_memory", img.MinMemory.String())
	}
	if vm.VCPUs < img.MinVCPUs && !src.Wrong("vcpus") {
		from.tooSmall(src, vm.Addr, "vcpus", resource.Format(vm.VCPUs), img, "min_vcpus", resource.Format(img.MinVCPUs))
	}
}
