package complete

import "vmplan.dev/vmplan/config/resource"

// OverlayMode is the clone_mode that makes a copy-on-write disk over what is cloned.
const OverlayMode = "overlay"

// Origin is what volumes and disks are made from, and what is known of it.
type Origin struct {
	DiskFormat string                                    // where no format is written
	Image      func(resource.Addr) *resource.Image       // nil when there is none at the address
	Where      func(a resource.Addr, path string) string // where a field of another object is written: "main.hcl:3"
	Sizes      string                                    // what a vm's sizes come from where its block does not set them: `, from instancetype.small`
}

// Volume completes and checks a volume.
func Volume(src Source, v *resource.Volume, from Origin) {
	if !v.IsManaged() {
		return
	}
	OrElse(&v.Format, from.DiskFormat)
	OrElse(&v.OnDelete, "delete")
	from.checkRoom(src, v.Addr, "size", v.Image, &v.Size)
	checkClone(src, "", disk{v.Clone, v.CloneMode, v.Image, v.Format})
	if v.Size == 0 && v.Image.IsZero() && v.Clone.IsZero() && !src.Wrong("size") && !src.Wrong("image") && !src.Wrong("clone") {
		src.Mistake("", "Missing attribute", "%s needs size. Only a volume that starts as an overlay of an image or as a clone, or one with managed = false, can do without.", v.Addr)
		src.Fail("size")
	}
	if v.Format == "raw" && !v.Image.IsZero() {
		src.Mistake("format", "Raw overlay", "%s is an overlay of %s, and the raw format cannot hold one. Leave format out, or image.", v.Addr, v.Image)
	}
}

// disk is what counts about a volume, or a disk that a vm owns, when it is made from another.
type disk struct {
	clone  resource.Addr
	mode   string
	image  resource.Addr
	format string
}

func checkClone(src Source, prefix string, d disk) {
	switch {
	case src.Wrong(prefix + "clone"):
	case d.clone.IsZero() && d.mode != "":
		src.Mistake(prefix+"clone_mode", "Mode without clone", "clone_mode says how to clone, and there is nothing to clone. Add clone = …, or take it out.")
	case !d.clone.IsZero() && !d.image.IsZero():
		src.Mistake(prefix+"image", "Both clone and image", "clone says to start with what %s holds, image to start with %s. Keep one of the two.", d.clone, d.image)
	case d.mode == OverlayMode && d.format == "raw":
		src.Mistake(prefix+"format", "Raw overlay", "clone_mode = \"overlay\" makes an overlay of %s, and the raw format cannot hold one. Leave format out, or clone_mode.", d.clone)
	}
}

// CheckCloneMode checks the clone_mode of a vm that is no clone.
func CheckCloneMode(src Source, mode string) { checkClone(src, "", disk{mode: mode}) }

// checkRoom gives the size of a disk that is made from an image, and refuses one that is too small.
func (from Origin) checkRoom(src Source, of resource.Addr, path string, image resource.Addr, size *resource.Size) {
	img := from.Image(image)
	if img == nil || src.Wrong(path) {
		return
	}
	OrElse(size, img.MinDisk)
	if *size < img.MinDisk {
		from.tooSmall(src, of, path, size.String(), img, "min_disk", img.MinDisk.String())
	}
}

// tooSmall says that a field is below what an image needs, and where both are written.
func (from Origin) tooSmall(src Source, of resource.Addr, path, has string, img *resource.Image, min, needs string) {
	sizes := from.Sizes
	if src.Written(path) {
		sizes = ""
	}
	src.Mistake(path, "Less than the image needs", "%s has %s = %s%s, and %s needs at least %s (%s). Give it more, or lower %s there.", of, path, has, sizes, img.Addr, needs, from.Where(img.Addr, min), min)
	src.Fail(path)
}
