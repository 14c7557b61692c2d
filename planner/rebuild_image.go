package planner

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/state"
)

// whyOurImage tells why an image that nothing taken depends on is taken all the same, and as what: its file is named after the
// project's lineage, which is as good as a mark. Whether it is whole cannot be told.
func (b *rebuild) whyOurImage(img *resource.Image, at location) (string, state.Status) {
	switch build := (location{at.host, volumeKey(img.BuildID(b.in.Hosts[at.host].Rules.Defaults().DiskFormat))}); {
	case !ownImageName(img, img.File) || b.imports(img.Addr):
		return "", ""
	case img.Builds() && b.live(build) != nil:
		return "has the name that this project gives it, and is half built: the next apply builds it anew", state.StatusCreating
	}
	return fmt.Sprintf("has the name that this project gives it. Nothing recorded uses it; should it not be whole: vmplan apply --replace '%s'", img.Addr), state.StatusReady
}

// ownImageName tells whether the file is called as config calls the bases of an image: whatever they are made of.
func ownImageName(img *resource.Image, file string) bool {
	const digits = 8
	name, ok := strings.CutPrefix(file, img.Name+"-")
	sum, ending, dot := strings.Cut(name, ".")
	return ok && dot && ending != "" && len(sum) == digits && strings.Trim(sum, "0123456789abcdef") == ""
}

// imports tells whether the files take the object over by an import block: then its name is not one that config has given it.
func (b *rebuild) imports(a resource.Addr) bool {
	return slices.ContainsFunc(b.in.Imports, func(i resource.Import) bool { return i.To == a })
}

// bases names what taken volumes depend on and no file has: that of which image it was, and so whose it is, is not known any more.
func (b *rebuild) bases() {
	for _, addr := range slices.SortedFunc(maps.Keys(b.out.Records), resource.Compare) {
		rec := b.out.Records[addr]
		vol, ok := rec.Object.(*resource.Volume)
		if !ok || vol.Backing == "" {
			continue
		}
		at := location{vol.Host, volumeKey(vol.Backing)}
		if b.taken[at] || b.skipped[at] || b.live(at) == nil {
			continue
		}
		pool, file, _ := strings.Cut(vol.Backing, "/")
		base := &resource.Image{Meta: resource.Meta{Host: vol.Host}, PoolName: pool, File: file}
		for _, r := range b.wanted {
			if img, ok := r.(*resource.Image); ok && img.Host == vol.Host && ownImageName(img, file) {
				base.Addr = img.Addr.WithPart(leftBehind)
			}
		}
		b.skip(base, at, fmt.Sprintf(
			"%s needs it, and no file names it: it stays, even when nothing needs it any more. To make the disk independent of it: vmplan flatten '%s'", vol.Addr, vol.Addr))
	}
}
