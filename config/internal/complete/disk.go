package complete

import (
	"slices"

	"vmplan.dev/vmplan/config/resource"
)

// completeDisk completes and checks the disk of a vm at an index.
func completeDisk(src Source, vm *resource.VM, i int, pref Preference, from Origin) {
	d := &vm.Disks[i]
	path := "disk." + d.Label
	OrElse(&d.Bus, pref.DiskBus)
	OrElse(&d.Device, "disk")
	if d.Device == "cdrom" {
		OrTrue(&d.ReadOnly)
		if d.Bus == "virtio" && !src.Written(path+".bus") {
			d.Bus = "sata"
		}
	}
	if src.Wrong(path+".volume") || src.Wrong(path+".image") || src.Wrong(path+".clone") || src.Wrong("image") || src.Wrong(path+".size") {
		return
	}
	owned := d.Size != 0 || d.Format != "" || d.OnDelete != "" || !d.Pool.IsZero() || !d.Image.IsZero() || !d.Clone.IsZero()
	switch {
	case !d.Volume.IsZero() && owned:
		src.Mistake(path, "Disk owned and not", "disk %q uses %s, whose block says size, format, pool, image and on_delete. Take these out here, or take volume out for a disk that the vm owns.", d.Label, d.Volume)
	case !d.Volume.IsZero():
		if i == 0 && !vm.Image.IsZero() {
			src.Mistake(path, "Image not used", "%s has an image, which would lie under its first disk %q, but that is %s. Set image on the volume instead of the vm, or put a disk of the vm's own first.", vm.Addr, d.Label, d.Volume)
		}
	default:
		if i == 0 && !vm.Image.IsZero() && !d.Image.IsZero() && d.Image != vm.Image {
			src.Mistake(path+".image", "Two images", "The first disk of %s is made from its image, %s, and disk %q names %s. Keep one of the two.", vm.Addr, vm.Image, d.Label, d.Image)
		}
		if i == 0 && d.Clone.IsZero() {
			OrElse(&d.Image, vm.Image)
		}
		from.checkRoom(src, vm.Addr, path+".size", d.Image, &d.Size)
		OrElse(&d.Format, from.DiskFormat)
		OrElse(&d.OnDelete, "delete")
		checkClone(src, path+".", disk{d.Clone, d.CloneMode, d.Image, d.Format})
		switch {
		case !d.Clone.IsZero():
		case d.Size == 0 && d.Image.IsZero() && i == 0:
			src.Mistake(path, "Disk without size", "The first disk %q of %s has neither size nor image, so there is nothing to make it from. Set image on the vm, or size for an empty disk, or volume.", d.Label, vm.Addr)
			src.Fail(path)
		case d.Size == 0 && d.Image.IsZero():
			src.Mistake(path, "Disk without size", "disk %q needs size, or image, or volume for one with a block of its own.", d.Label)
			src.Fail(path)
		case d.Format == "raw" && !d.Image.IsZero():
			src.Mistake(path+".format", "Raw overlay", "disk %q is an overlay of %s, and the raw format cannot hold one. Leave format out.", d.Label, d.Image)
		}
	}
}

// rootFirst puts the disk for the image before the others: where there are none and, in the instance of an appliance,
// also before volumes.
func rootFirst(vm *resource.VM, instance bool) {
	i := slices.IndexFunc(vm.Disks, func(d resource.Disk) bool { return d.Label == RootDisk })
	switch {
	case len(vm.Disks) > 0 && (!instance || vm.Disks[0].Volume.IsZero()):
	case i < 0:
		vm.Disks = append([]resource.Disk{{Label: RootDisk}}, vm.Disks...)
	default:
		root := vm.Disks[i]
		vm.Disks = append([]resource.Disk{root}, slices.Delete(vm.Disks, i, i+1)...)
	}
}
