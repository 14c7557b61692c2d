package config

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"vmplan.dev/vmplan/config/catalogue"
	"vmplan.dev/vmplan/config/internal/complete"
	"vmplan.dev/vmplan/config/resource"
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
		complete.Volume(o, r, e.origin(o))
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

// origin gives what the volumes and disks of an object are made from.
func (e *evaluator) origin(o *object) complete.Origin {
	from := complete.Origin{DiskFormat: e.defaultsOf(o).DiskFormat, Image: e.imageAt}
	from.Where = func(a resource.Addr, path string) string { return place(e.byID[a.String()].at(path)) }
	if vm, ok := o.res.(*resource.VM); ok {
		if t := e.byID[vm.Instancetype]; t != nil {
			from.Sizes = ", from " + t.title()
		}
	}
	return from
}

func (e *evaluator) completeVM(o *object, vm *resource.VM) {
	if vm.IsManaged() {
		pref := e.hardware(o.scope, vm)
		complete.VM(o, vm, pref, e.origin(o), o.block.origins != nil)
	}
}
