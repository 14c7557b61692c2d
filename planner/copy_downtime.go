package planner

import (
	"cmp"
	"fmt"
	"slices"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/state"
)

// copySource is what the plan copies a volume or an image from.
type copySource struct {
	key   string // of the volume that is copied
	what  string // that volume, for people
	path  string // the field that asks for the copy
	cause string // why guests are off for it
}

// copiesFrom gives what the plan copies the object from; ok tells whether it does.
func (o *object) copiesFrom() (l copySource, ok bool) {
	if o.action != ActionCreate && o.action != ActionReplace {
		return copySource{}, false
	}
	switch want := o.planned.(type) {
	case *resource.Volume:
		return copySource{
			key: volumeKey(cmp.Or(want.Backing, want.CopyOf)), what: want.Clone.String(), path: "clone",
			cause: fmt.Sprintf("is off while %s is copied to %s", want.Clone, o.addr),
		}, !want.Clone.IsZero()
	case *resource.Image:
		return copySource{
			key: volumeKey(want.Origin), what: fmt.Sprintf("what %s is made from", o.addr), path: "from",
			cause: fmt.Sprintf("%s is made from its disk", o.addr),
		}, !want.From.IsZero() && want.From.Kind != resource.KindImage
	}
	return copySource{}, false
}

// stopForCopies finds the vms whose guests write to what the object is copied from. Those that run are off meanwhile, if their
// files allow that.
func (p *planner) stopForCopies(o *object) {
	l, ok := o.copiesFrom()
	if !ok {
		return
	}
	for _, u := range p.writersOf(location{o.destination.host, l.key}) {
		u.copiedBy = append(u.copiedBy, o)
		p.scheduleDowntime(u, o, l)
	}
}

// writersOf lists the vms that have the volume as a disk, as planned or as they are, and may write to it.
func (p *planner) writersOf(volume location) []*object {
	if p.diskWriters == nil {
		p.diskWriters = map[location][]*object{}
		for _, o := range p.sorted {
			if o.kind == resource.KindVM {
				p.addDiskWriter(o)
			}
		}
	}
	return p.diskWriters[volume]
}

func (p *planner) addDiskWriter(o *object) {
	add := func(host string, r resource.Resource) {
		vm, ok := r.(*resource.VM)
		if !ok {
			return
		}
		for i := range vm.Disks {
			at := location{host, volumeKey(vm.Disks[i].Source)}
			if writes(vm, at.key) && !slices.Contains(p.diskWriters[at], o) {
				p.diskWriters[at] = append(p.diskWriters[at], o)
			}
		}
	}
	if o.planned != nil {
		add(o.destination.host, o.planned)
	}
	if o.live != nil {
		add(o.location.host, o.live.Resource)
		add(o.location.host, o.live.Running)
	}
}

// scheduleDowntime has the guest of u shut down while o is copied from its disk.
func (p *planner) scheduleDowntime(u, o *object, l copySource) {
	switch why := p.whyNoDowntime(u); {
	case !u.isOn() || u.action == ActionDelete || u.action == ActionReplace:
	case why != "":
		p.refuseAt(o, l.path, "what is to be copied is in use", fmt.Sprintf(
			"%s runs and writes to %s, so a copy of it would be inconsistent, and the plan does not shut the guest down for it: %s. Shut it down first: vmplan stop '%s'.", u.addr, l.what, why, u.addr))
	case u.restartReason == "" && (o.kind != resource.KindImage || !u.neverSeenReady()):
		u.restartReason = l.cause
	}
}

// whyNoDowntime says why the plan must not shut the guest down for a while; empty when it may.
func (p *planner) whyNoDowntime(u *object) string {
	switch {
	case u.action == ActionNone && !u.managed():
		return "it is not managed"
	case u.action == ActionNone:
		return "it does not take part in this plan"
	case u.action == ActionRelease:
		return "it is released"
	case u.action == ActionUpdate && p.stagesChanges(u):
		return `it has update = "stage"`
	}
	return ""
}

// neverSeenReady tells whether the vm has not been seen ready since it was made.
func (o *object) neverSeenReady() bool { return o.recordedPower() == state.PowerStarting }

// decideSecondDowntime decides which guests are started before they are shut down for an image, once their power is decided.
func (o *object) decideSecondDowntime() {
	i := slices.IndexFunc(o.copiedBy, func(l *object) bool { return l.kind == resource.KindImage })
	if i < 0 {
		return
	}
	made := o.action == ActionCreate || o.action == ActionReplace
	if made && o.start || o.action == ActionUpdate && o.neverSeenReady() && (o.start || o.isOn() && !o.stop) {
		o.secondDowntimeFor = o.copiedBy[i]
	}
}

// emitSecondDowntime shuts a vm that has just started down again, so that an image can be made from its disk, and starts it
// afterwards.
func (p *planner) emitSecondDowntime(o *object) {
	if o.secondDowntimeFor == nil {
		return
	}
	record, vm := o.planned, o.planned.(*resource.VM)
	if o.action == ActionUpdate {
		record, vm = o.toRecord, o.after.(*resource.VM)
	}
	off := p.step(o, drivers.NewStop(vm, false), o.destination.host, drivers.ImpactLive)
	off.Record = o.newRecord(record, state.StatusReady, state.PowerStarting)
	intent := *off.Record // that it is to come back must not be lost
	off.Intent = &intent
	off.Cause = fmt.Sprintf("%s is made from its disk", o.secondDowntimeFor.addr)
	first := len(o.steps)
	p.emitUp(o, vm, record, true)
	o.secondStop, o.secondStart = off, o.steps[first]
	for _, s := range o.steps[first:] {
		s.Cause = off.Cause
	}
}

// linkCopies has copies made while the guests that have the disk are off.
func (p *planner) linkCopies(u *object) {
	off, on := u.downtime()
	for _, o := range u.copiedBy {
		if o.copied == nil {
			continue
		}
		o.copied.after(u.disksRestored)
		if u.stopped != nil || u.secondDowntimeFor != nil {
			o.copied.after(off)
		} else {
			o.copied.preferAfter(off) // it may be what the vm is changed for
		}
		on.after(o.copied)
		if on != nil {
			u.copySteps = append(u.copySteps, o.copied)
		}
	}
}

// startAfterFailedCopy starts a guest that was shut down for copies even when one of them fails: it depends on nothing else of
// theirs.
func (p *planner) startAfterFailedCopy(u *object) {
	if len(u.copySteps) == 0 {
		return
	}
	off, on := u.downtime()
	first, last := slices.Index(u.steps, off)+1, slices.Index(u.steps, on)
	s := p.step(u, on.Op.Op, on.Host, drivers.ImpactLive)
	u.steps = u.steps[:len(u.steps)-1] // nothing of the vm waits for it
	s.Cause = "what it was off for has failed"
	if changes := u.steps[first:last]; len(u.protectedSteps) == 0 && slices.ContainsFunc(changes, func(c *step) bool { return c.waitsFor(u.copySteps) }) {
		// The vm is changed for what is copied: without that, it comes up as it was.
		s.deps, s.rescues, s.KeepRecord = nil, slices.Concat(u.copySteps, changes), true
		s.after(off)
		return
	}
	record := *on.Record
	s.Record, s.deps, s.rescues = &record, nil, u.copySteps
	if last > 0 {
		s.after(u.steps[last-1])
	}
}

// downtime gives the steps between which the vm is off, if the plan starts it; else off is its last step.
func (o *object) downtime() (off, on *step) {
	switch {
	case o.secondDowntimeFor != nil:
		return o.secondStop, o.secondStart
	case o.stopped != nil:
		return o.stopped, o.started
	case o.started == nil:
		return o.lastStep(), nil
	}
	if i := slices.Index(o.steps, o.started); i > 0 {
		off = o.steps[i-1]
	}
	return off, o.started
}

// emitStart adds what brings a vm up, and down and up again where an image is made from it. vm is as the host has it by then,
// record what is recorded of it.
func (p *planner) emitStart(o *object, vm *resource.VM, record resource.Resource) {
	p.emitUp(o, vm, record, o.start)
	p.emitSecondDowntime(o)
}
