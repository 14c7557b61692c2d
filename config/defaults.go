package config

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"vmplan.dev/vmplan/config/catalogue"
	"vmplan.dev/vmplan/config/internal/complete"
	"vmplan.dev/vmplan/config/resource"
)

// Texts of the language that are compared with.
const (
	autoAddress = "auto"
	rootDisk    = "root"
)

// complete gives an object the defaults that follow from it and from what it refers to, so that references to it see them,
// and checks it alone.
func (e *evaluator) complete(o *object) {
	switch r := o.res.(type) {
	case *resource.Host:
		r.Name = r.Label()
	case *resource.Pool:
		complete.Pool(o, r, e.defaultsOf(o).OwnFolders)
	case *resource.Network:
		complete.Network(o, r)
	case *resource.Image:
		e.completeImage(o, r)
	case *resource.Volume:
		e.completeVolume(o, r)
	case *resource.VM:
		e.completeVM(o, r)
	}
}

func (e *evaluator) completeImage(o *object, img *resource.Image) {
	e.completeOrigin(o, img)
	e.completeOS(o, img)
	if img.Source == "" || o.bad["source"] {
		return
	}
	scheme, _, isURL := strings.Cut(img.Source, "://")
	schemes := e.project.opts.Schemes
	_, err := url.Parse(img.Source)
	switch {
	case isURL && err != nil && strings.ContainsAny(img.Source, "@?"):
		e.rep.addFirst(mistake(o.at("source"), "Bad URL", "%s is no URL. In a password write %%23 for #, %%25 for %%, %%2F for / and %%40 for @.", resource.Redact(img.Source)))
		o.fail("source")
	case resource.HasLogin(img.Source) && strings.HasPrefix(scheme, "oci"):
		e.rep.addFirst(mistake(o.at("source"), "Password in a URL", "Plans would show it and the state would record it. Log in with docker login or podman login: their logins are used."))
		o.fail("source")
	case isURL && schemes != nil && !slices.Contains(schemes, scheme):
		e.rep.addFirst(mistake(o.at("source"), "Unknown image source", "%q begins with %s://. Images come from paths, from names such as debian:12, and from %s.", resource.Redact(img.Source), scheme, strings.Join(schemes, "://, ")+"://"))
		o.fail("source")
	case catalogue.IsName(img.Source):
		e.inCatalogue(o, img)
	case !isURL && !filepath.IsAbs(img.Source):
		img.Source = e.fromRoot(o.scope, img.Source)
	}
	if sum := img.Checksum; sum != "" && !o.bad["checksum"] && !goodChecksum(sum) {
		e.rep.addFirst(mistake(o.at("checksum"), "Bad checksum", "%q is neither sha256:HEX nor sha512:HEX nor the URL of a file of sums.", resource.Redact(sum)))
		o.fail("checksum")
	}
	img.Anonymous = o.scope.mod.closed() && isURL && !o.scope.mod.inline.trusts(img.Source)
	resource.SealLocations(img, e.prior.Salt)
	if isSum(img.Checksum) && !img.FullSource.IsZero() {
		// The sum says which file it is, whatever its URL is signed with today.
		img.FullSource = img.FullSource.As(resource.NewSecret(img.Source, e.prior.Salt))
	}
}

// inCatalogue reports a name that stands for nothing.
func (e *evaluator) inCatalogue(o *object, img *resource.Image) {
	_, err := e.project.catalogue.Find(img.Source)
	if err == nil {
		return
	}
	detail := sentence(err.Error()) + "."
	if unknown := (*catalogue.UnknownError)(nil); errors.As(err, &unknown) {
		detail += didYouMean(unknown.Name, e.project.catalogue.Names()) +
			fmt.Sprintf(" vmplan image list --catalogue shows what there is, and files *%s of the project add to it. A file is written with its folder: ./%s.", catalogueSuffix, img.Source)
	}
	e.rep.addFirst(mistake(o.at("source"), "Unknown image name", "%s", detail))
	o.fail("source")
}

// fromRoot makes a path that is relative to the folder of a module relative to the project's.
func (e *evaluator) fromRoot(sc *scope, path string) string {
	if sc.parent == nil {
		return path
	}
	rel, err := filepath.Rel(e.project.root.dir, filepath.Join(sc.mod.dir, path))
	if err != nil {
		return path
	}
	return filepath.ToSlash(rel)
}

func goodChecksum(sum string) bool {
	_, err := url.Parse(sum)
	return strings.Contains(sum, "://") && err == nil || isSum(sum)
}

func (e *evaluator) completeVolume(o *object, v *resource.Volume) {
	if !v.IsManaged() {
		return
	}
	complete.OrElse(&v.Format, e.defaultsOf(o).DiskFormat)
	complete.OrElse(&v.OnDelete, "delete")
	e.checkRoom(o, "size", v.Image, &v.Size)
	e.checkClone(o, "", disk{v.Clone, v.CloneMode, v.Image, v.Format})
	if v.Size == 0 && v.Image.IsZero() && v.Clone.IsZero() && !o.bad["size"] && !o.bad["image"] && !o.bad["clone"] {
		e.rep.addFirst(mistake(o.block.header, "Missing attribute", "%s needs size. Only a volume that starts as an overlay of an image or as a clone, or one with managed = false, can do without.", o.addr))
		o.fail("size")
	}
	if v.Format == "raw" && !v.Image.IsZero() {
		e.rep.addFirst(mistake(o.at("format"), "Raw overlay", "%s is an overlay of %s, and the raw format cannot hold one. Leave format out, or image.", o.addr, v.Image))
	}
}

func (e *evaluator) completeVM(o *object, vm *resource.VM) {
	if !vm.IsManaged() {
		return
	}
	pref := e.hardware(o.scope, vm)
	e.checkMinimum(o, vm)
	if vm.Running == nil && !o.nulls["running"] && !o.bad["running"] {
		complete.OrTrue(&vm.Running)
	}
	complete.OrElse(&vm.ShutdownTimeout, resource.Duration(time.Minute))
	complete.OrElse(&vm.OnDelete, "cascade")
	if r := vm.Ready; r != nil {
		complete.OrElse(&r.Timeout, resource.Duration(5*time.Minute))
		if r.SSH != nil {
			complete.OrElse(&r.SSH.Port, 22)
		}
	}
	if t := vm.TPM; t != nil {
		complete.OrElse(&t.Version, "2.0")
	}
	if g := vm.Graphics; g != nil {
		complete.OrElse(&g.Type, "vnc")
		complete.OrElse(&g.Listen, "127.0.0.1")
	}
	if !vm.Image.IsZero() {
		o.rootFirst(vm)
	}
	for i := range vm.Disks {
		e.completeDisk(o, vm, i, pref)
	}
	for i := range vm.NICs {
		complete.NIC(o, &vm.NICs[i], pref.NICModel)
	}
	complete.CheckVM(o, vm)
}

// rootFirst puts the disk for the image before the others: where there are none and, in a vm that is made from an appliance,
// also before volumes.
func (o *object) rootFirst(vm *resource.VM) {
	i := slices.IndexFunc(vm.Disks, func(d resource.Disk) bool { return d.Label == rootDisk })
	switch {
	case len(vm.Disks) > 0 && (o.block.origins == nil || vm.Disks[0].Volume.IsZero()):
	case i < 0:
		vm.Disks = append([]resource.Disk{{Label: rootDisk}}, vm.Disks...)
	default:
		root := vm.Disks[i]
		vm.Disks = append([]resource.Disk{root}, slices.Delete(vm.Disks, i, i+1)...)
	}
}

func (e *evaluator) completeDisk(o *object, vm *resource.VM, i int, pref Preference) {
	d := &vm.Disks[i]
	path := "disk." + d.Label
	complete.OrElse(&d.Bus, pref.DiskBus)
	complete.OrElse(&d.Device, "disk")
	if d.Device == "cdrom" {
		complete.OrTrue(&d.ReadOnly)
		if d.Bus == "virtio" && o.block.ranges[path+".bus"].Empty() {
			d.Bus = "sata"
		}
	}
	if o.bad[path+".volume"] || o.bad[path+".image"] || o.bad[path+".clone"] || o.bad["image"] || o.bad[path+".size"] {
		return
	}
	owned := d.Size != 0 || d.Format != "" || d.OnDelete != "" || !d.Pool.IsZero() || !d.Image.IsZero() || !d.Clone.IsZero()
	switch {
	case !d.Volume.IsZero() && owned:
		e.rep.addFirst(mistake(o.at(path), "Disk owned and not", "disk %q uses %s, whose block says size, format, pool, image and on_delete. Take these out here, or take volume out for a disk that the vm owns.", d.Label, d.Volume))
	case !d.Volume.IsZero():
		if i == 0 && !vm.Image.IsZero() {
			e.rep.addFirst(mistake(o.at(path), "Image not used", "%s has an image, which would lie under its first disk %q, but that is %s. Set image on the volume instead of the vm, or put a disk of the vm's own first.", o.addr, d.Label, d.Volume))
		}
	default:
		if i == 0 && !vm.Image.IsZero() && !d.Image.IsZero() && d.Image != vm.Image {
			e.rep.addFirst(mistake(o.at(path+".image"), "Two images", "The first disk of %s is made from its image, %s, and disk %q names %s. Keep one of the two.", o.addr, vm.Image, d.Label, d.Image))
		}
		if i == 0 && d.Clone.IsZero() {
			complete.OrElse(&d.Image, vm.Image)
		}
		e.checkRoom(o, path+".size", d.Image, &d.Size)
		complete.OrElse(&d.Format, e.defaultsOf(o).DiskFormat)
		complete.OrElse(&d.OnDelete, "delete")
		e.checkClone(o, path+".", disk{d.Clone, d.CloneMode, d.Image, d.Format})
		switch {
		case !d.Clone.IsZero():
		case d.Size == 0 && d.Image.IsZero() && i == 0:
			e.rep.addFirst(mistake(o.at(path), "Disk without size", "The first disk %q of %s has neither size nor image, so there is nothing to make it from. Set image on the vm, or size for an empty disk, or volume.", d.Label, o.addr))
			o.fail(path)
		case d.Size == 0 && d.Image.IsZero():
			e.rep.addFirst(mistake(o.at(path), "Disk without size", "disk %q needs size, or image, or volume for one with a block of its own.", d.Label))
			o.fail(path)
		case d.Format == "raw" && !d.Image.IsZero():
			e.rep.addFirst(mistake(o.at(path+".format"), "Raw overlay", "disk %q is an overlay of %s, and the raw format cannot hold one. Leave format out.", d.Label, d.Image))
		}
	}
}
