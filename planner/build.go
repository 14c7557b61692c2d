package planner

import (
	"fmt"
	"slices"
	"strings"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/state"
)

// lending is what a vm has to do with images that are made from its disk.
type lending struct {
	lends []*object // the images: its guest is off while they are copied
	// again: its guest comes up in this plan and only then has on its disk what the files want, so it is shut down for the copy
	// and started once more.
	again bool
	rest  *step // it is off for the copy
	wake  *step // and started again
	// takers are the steps that copy from its disks while it is off.
	takers []*step
}

// builds gives the image that is made of another disk by this plan, or nil.
func (o *object) builds() *resource.Image {
	img, ok := o.want.(*resource.Image)
	if !ok || img.From.IsZero() || o.fate != fateCreate && o.fate != fateReplace {
		return nil
	}
	return img
}

// madeFrom tells whether the object is an image that is copied from the other, or from its disk. Only what a dead run left of it
// stands upon that: see halfBuiltOn.
func (o *object) madeFrom(other *object) bool {
	for _, r := range []resource.Resource{o.want, o.was} {
		img, ok := r.(*resource.Image)
		if ok && !img.From.IsZero() && (img.From == other.addr || img.Origin == other.volumeID()) {
			return true
		}
	}
	return false
}

// volumeID is that of what the object is, or else is to be; empty for one that is no storage volume.
func (o *object) volumeID() string {
	switch {
	case !o.stored():
		return ""
	case o.want != nil:
		return resource.VolumeID(o.want)
	}
	return resource.VolumeID(o.was)
}

// unfinished tells whether building the image was cut short: what it left on the host goes when the image is deleted, also where
// the image itself was never there.
func (o *object) unfinished() bool {
	img, ok := o.was.(*resource.Image)
	return ok && img.Builds() && o.live == nil && o.rec.Status != state.StatusReady && o.rec.Status != state.StatusReleased
}

// lend finds the vms whose disks images are made from. Those that run are off for a while.
func (p *planner) lend() {
	for _, o := range p.sorted {
		img := o.builds()
		if img == nil || img.From.Kind == resource.KindImage {
			continue
		}
		key := string(resource.KindVolume) + "/" + img.Origin
		for _, u := range p.sorted {
			if u.kind != resource.KindVM || !u.has(o.goal.host, key) {
				continue
			}
			u.lends = append(u.lends, o)
			if !u.on() || u.fate == fateDelete || u.fate == fateReplace {
				continue
			}
			switch why := p.mayNotRest(u); {
			case why != "":
				p.refuseAt(o, "from", "what is to be copied is in use", fmt.Sprintf(
					"%s runs and writes to what %s is made from, so a copy would be torn, and the plan does not shut the guest down for it: %s. Shut it down first: vmplan stop '%s'.", u.addr, o.addr, why, u.addr))
			case u.bounce == "" && !u.fresh():
				u.bounce = fmt.Sprintf("%s is made from its disk", o.addr)
			}
		}
	}
}

// has tells whether the vm, as it is wanted or as it is, has the disk and may write to it.
func (o *object) has(host, key string) bool {
	return o.want != nil && o.goal.host == host && writes(o.want, key) ||
		o.live != nil && o.at.host == host && writes(o.live.Resource, key)
}

// fresh tells whether the vm has not been seen ready since it was made.
func (o *object) fresh() bool { return o.recordedPower() == state.PowerStarting }

// lendAgain settles which guests come up before they are shut down for an image, once their power is decided.
func (p *planner) lendAgain(o *object) {
	switch {
	case len(o.lends) == 0:
	case o.fate == fateCreate, o.fate == fateReplace:
		o.again = o.start
	case o.fate == fateKeep:
		o.again = o.fresh() && (o.start || o.on() && !o.stop)
	}
}

// emitBuild adds what comes before an image can be made of what was built: the copy, and the guest that works on it.
func (p *planner) emitBuild(o *object, impact drivers.Impact) {
	img := o.builds()
	if img == nil || !img.Builds() {
		return
	}
	var first *step
	if img.Copies() {
		first = p.step(o, drivers.NewCopy(img), o.goal.host, impact)
		first.KeepRecord = true
		o.taken = first
	}
	s := p.step(o, drivers.NewBuild(img, p.mark(o, false)), o.goal.host, impact)
	s.KeepRecord = true
	if first == nil {
		first = s
	}
	first.Intent = o.recorded(img, state.StatusCreating, "")
}

// emitLend shuts a vm that has just come up down once more, so that an image can be made from its disk, and starts it again.
func (p *planner) emitLend(o *object) {
	if !o.again {
		return
	}
	record, vm := o.want, o.want.(*resource.VM)
	if o.fate == fateKeep {
		record, vm = o.record, o.after.(*resource.VM)
	}
	off := p.step(o, drivers.NewStop(vm, false), o.goal.host, drivers.ImpactLive)
	off.Record = o.recorded(record, state.StatusReady, state.PowerStarting)
	intent := *off.Record // that it is to come back must not be lost
	off.Intent = &intent
	off.Cause = fmt.Sprintf("%s is made from its disk", o.lends[0].addr)
	first := len(o.steps)
	p.emitUp(o, vm, record, true)
	o.rest, o.wake = off, o.steps[first]
	for _, s := range o.steps[first:] {
		s.Cause = off.Cause
	}
}

// linkLent lets an image's copy be made while the guests that have the disk are off.
func (p *planner) linkLent(u *object) {
	off, on := u.between()
	for _, o := range u.lends {
		if o.taken == nil {
			continue
		}
		o.taken.after(off)
		on.after(o.taken)
		if on != nil {
			u.takers = append(u.takers, o.taken)
		}
	}
}

// wakeAnyway starts a guest that was shut down for copies also when one of them fails: it waits for nothing else of theirs.
func (p *planner) wakeAnyway(u *object) {
	if len(u.takers) == 0 {
		return
	}
	off, on := u.between()
	s := p.step(u, on.Op.Op, on.Host, drivers.ImpactLive)
	u.steps = u.steps[:len(u.steps)-1] // nothing of the vm waits for it
	record := *on.Record
	s.Record, s.deps, s.saves = &record, nil, u.takers
	s.after(off)
	s.Cause = "what it was off for has failed"
}

// between gives the steps between which the vm is off, if it comes up in this plan; else the first is its last.
func (o *object) between() (off, on *step) {
	switch {
	case o.again:
		return o.rest, o.wake
	case o.fate == fateDelete:
		return o.off, nil
	case o.up == nil:
		return o.done(), nil
	}
	if i := slices.Index(o.steps, o.up); i > 0 {
		off = o.steps[i-1]
	}
	return off, o.up
}

// whyRebuilt says what makes an image another than it was.
func whyRebuilt(was, want *resource.Image) string {
	switch {
	case was.Revision != want.Revision && want.From.IsZero():
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
