package planner

import (
	"fmt"
	"slices"
	"strings"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/state"
)

// buildsImage gives the image that this plan makes from another disk, or nil.
func (o *object) buildsImage() *resource.Image {
	img, ok := o.planned.(*resource.Image)
	if !ok || img.From.IsZero() || o.action != ActionCreate && o.action != ActionReplace {
		return nil
	}
	return img
}

// madeFrom tells whether the object is an image that is copied from the other, or from its disk. Only what an interrupted run left of it
// depends on that: see halfBuiltOn.
func (o *object) madeFrom(other *object) bool {
	for _, r := range []resource.Resource{o.desired, o.recorded} {
		img, ok := r.(*resource.Image)
		if ok && !img.From.IsZero() && (img.From == other.addr || img.Origin == other.volumeID()) {
			return true
		}
	}
	return false
}

// unfinished tells whether building the image was interrupted: what that left on the host is deleted with the image, even when
// the image itself was never there.
func (o *object) unfinished() bool {
	img, ok := o.recorded.(*resource.Image)
	return ok && img.Builds() && o.live == nil && o.record.Status != state.StatusReady && o.record.Status != state.StatusReleased
}

// emitBuild adds what comes before an image can be created from a build: the copy, and the guest that works on it.
func (p *planner) emitBuild(o *object, impact drivers.Impact) {
	img := o.buildsImage()
	if img == nil || !img.Builds() {
		return
	}
	var first *step
	if img.Copies() {
		first = p.step(o, drivers.NewCopy(img), o.destination.host, impact)
		first.KeepRecord = true
		o.copied = first
	}
	s := p.step(o, drivers.NewBuild(img, p.mark(o, false)), o.destination.host, impact)
	s.KeepRecord = true
	if first == nil {
		first = s
	}
	first.Intent = o.newRecord(img, state.StatusCreating, "")
}

// whyRebuilt says what makes an image another than it was.
func whyRebuilt(was, want *resource.Image) string {
	switch {
	case was.Pin.Version() != want.Pin.Version() && want.From.IsZero():
		return "the lock file holds another version of it"
	case want.From.IsZero() || was.From.IsZero():
		return "its source or checksum changed"
	}
	var causes []string
	for _, c := range resource.Diff(was, want) {
		if cause := causeOf(c.Path); cause != "" && !slices.Contains(causes, cause) {
			causes = append(causes, cause)
		}
	}
	const most = 3
	switch n := len(causes); {
	case n == 0:
		return "its name or place on the host changes"
	case n > most:
		causes = append(causes[:most:most], fmt.Sprintf("%d more changes", n-most))
	}
	return strings.Join(causes, ", ")
}

// causeOf says for people what the change of an image's field is.
func causeOf(path string) string {
	part := strings.SplitN(path, ".", 3)
	switch {
	case part[0] == "origin" || part[0] == "origin_backing":
		return "its base moved"
	case path == "format":
		return "its format changed"
	case part[0] == "seal" && len(part) > 2:
		number, _, _ := strings.Cut(part[2], ".")
		return fmt.Sprintf("seal run %s changed", number)
	case part[0] == "seal" || part[0] == "build" && len(part) < 3:
		return part[0] + " changed"
	case part[0] != "build":
		return ""
	case part[1] == "command":
		number, _, _ := strings.Cut(part[2], ".")
		return fmt.Sprintf("run step %s changed", number)
	}
	file := part[2]
	for _, field := range []string{".content", ".executable", ".link"} {
		file = strings.TrimSuffix(file, field)
	}
	return fmt.Sprintf("file %s changed", file)
}
