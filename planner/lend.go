package planner

import (
	"cmp"
	"fmt"
	"slices"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/state"
)

// lending is what a vm has to do with what the plan copies from its disks: volumes and images.
type lending struct {
	lends []*object // what is copied: its guest is off meanwhile
	// again is an image for which its guest is shut down once more: it comes up in this plan, and only then has on its disk what the
	// files want.
	again *object
	rest  *step // it is off for that
	wake  *step // and started again
	// takers are the steps that copy from its disks while it is off.
	takers []*step
}

// loan is what the plan copies a volume or an image from.
type loan struct {
	key   string // of the volume that is copied
	what  string // that volume, for people
	path  string // the field that asks for the copy
	cause string // why guests are off for it
}

// borrows gives what the plan copies the object from; ok tells whether it does.
func (o *object) borrows() (l loan, ok bool) {
	if o.fate != fateCreate && o.fate != fateReplace {
		return loan{}, false
	}
	switch want := o.want.(type) {
	case *resource.Volume:
		return loan{
			key: volumeKey(cmp.Or(want.Backing, want.CopyOf)), what: want.Clone.String(), path: "clone",
			cause: fmt.Sprintf("is off while %s is copied to %s", want.Clone, o.addr),
		}, !want.Clone.IsZero()
	case *resource.Image:
		return loan{
			key: volumeKey(want.Origin), what: fmt.Sprintf("what %s is made from", o.addr), path: "from",
			cause: fmt.Sprintf("%s is made from its disk", o.addr),
		}, !want.From.IsZero() && want.From.Kind != resource.KindImage
	}
	return loan{}, false
}

func volumeKey(id string) string { return string(resource.KindVolume) + "/" + id }

// lend finds the vms whose guests write to what is copied. Those that run are off meanwhile, if their files allow that.
func (p *planner) lend() {
	var vms []*object
	for _, o := range p.sorted {
		if o.kind == resource.KindVM {
			vms = append(vms, o)
		}
	}
	for _, o := range p.sorted {
		l, ok := o.borrows()
		if !ok {
			continue
		}
		for _, u := range vms {
			if u.has(o.goal.host, l.key) {
				u.lends = append(u.lends, o)
				p.restFor(u, o, l)
			}
		}
	}
}

// restFor has the guest of u off while o is copied from its disk.
func (p *planner) restFor(u, o *object, l loan) {
	switch why := p.mayNotRest(u); {
	case !u.on() || u.fate == fateDelete || u.fate == fateReplace:
	case why != "":
		p.refuseAt(o, l.path, "what is to be copied is in use", fmt.Sprintf(
			"%s runs and writes to %s, so a copy of it would be torn, and the plan does not shut the guest down for it: %s. Shut it down first: vmplan stop '%s'.", u.addr, l.what, why, u.addr))
	case u.bounce == "" && (o.kind != resource.KindImage || !u.fresh()):
		u.bounce = l.cause
	}
}

// has tells whether the vm, as it is wanted or as it is, has the disk and may write to it.
func (o *object) has(host, key string) bool {
	return o.want != nil && o.goal.host == host && writes(o.want, key) ||
		o.live != nil && o.at.host == host && (writes(o.live.Resource, key) || writes(o.live.Running, key))
}

// writes tells whether the vm may write to the volume with that key.
func writes(r resource.Resource, key string) bool {
	vm, ok := r.(*resource.VM)
	return ok && slices.ContainsFunc(vm.Disks, func(d resource.Disk) bool {
		return volumeKey(d.Source) == key && (d.ReadOnly == nil || !*d.ReadOnly)
	})
}

// mayNotRest says why the plan must not shut the guest down for a while; empty when it may.
func (p *planner) mayNotRest(u *object) string {
	switch {
	case u.fate == fateNone && !u.managed():
		return "it is not managed"
	case u.fate == fateNone:
		return "it does not take part in this plan"
	case u.fate == fateRelease:
		return "it is released"
	case u.fate == fateKeep && p.stages(u):
		return `it has update = "stage"`
	}
	return ""
}

// fresh tells whether the vm has not been seen ready since it was made.
func (o *object) fresh() bool { return o.recordedPower() == state.PowerStarting }

// lendAgain settles which guests come up before they are shut down for an image, once their power is decided.
func (o *object) lendAgain() {
	i := slices.IndexFunc(o.lends, func(l *object) bool { return l.kind == resource.KindImage })
	if i < 0 {
		return
	}
	made := o.fate == fateCreate || o.fate == fateReplace
	if made && o.start || o.fate == fateKeep && o.fresh() && (o.start || o.on() && !o.stop) {
		o.again = o.lends[i]
	}
}

// emitLend shuts a vm that has just come up down once more, so that an image can be made from its disk, and starts it again.
func (p *planner) emitLend(o *object) {
	if o.again == nil {
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
	off.Cause = fmt.Sprintf("%s is made from its disk", o.again.addr)
	first := len(o.steps)
	p.emitUp(o, vm, record, true)
	o.rest, o.wake = off, o.steps[first]
	for _, s := range o.steps[first:] {
		s.Cause = off.Cause
	}
}

// linkLent lets copies be made while the guests that have the disk are off.
func (p *planner) linkLent(u *object) {
	off, on := u.between()
	for _, o := range u.lends {
		if o.taken == nil {
			continue
		}
		o.taken.after(u.whole)
		if u.off != nil || u.again != nil {
			o.taken.after(off)
		} else {
			o.taken.ratherAfter(off) // it may be what the vm is changed for
		}
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
	first, last := slices.Index(u.steps, off)+1, slices.Index(u.steps, on)
	s := p.step(u, on.Op.Op, on.Host, drivers.ImpactLive)
	u.steps = u.steps[:len(u.steps)-1] // nothing of the vm waits for it
	s.Cause = "what it was off for has failed"
	if changes := u.steps[first:last]; len(u.guarded) == 0 && slices.ContainsFunc(changes, func(c *step) bool { return c.waitsFor(u.takers) }) {
		// The vm is changed for what is copied: without that, it comes up as it was.
		s.deps, s.saves, s.KeepRecord = nil, slices.Concat(u.takers, changes), true
		s.after(off)
		return
	}
	record := *on.Record
	s.Record, s.deps, s.saves = &record, nil, u.takers
	if last > 0 {
		s.after(u.steps[last-1])
	}
}

// waitsFor tells whether s waits for one of the others. There may be circles yet.
func (s *step) waitsFor(others []*step) bool {
	seen := map[*step]bool{}
	var visit func(*step) bool
	visit = func(s *step) bool {
		return slices.ContainsFunc(s.deps, func(d *step) bool {
			if slices.Contains(others, d) {
				return true
			}
			again := seen[d]
			seen[d] = true
			return !again && visit(d)
		})
	}
	return visit(s)
}

// between gives the steps between which the vm is off, if it comes up in this plan; else the first is its last.
func (o *object) between() (off, on *step) {
	switch {
	case o.again != nil:
		return o.rest, o.wake
	case o.off != nil:
		return o.off, o.up
	case o.up == nil:
		return o.done(), nil
	}
	if i := slices.Index(o.steps, o.up); i > 0 {
		off = o.steps[i-1]
	}
	return off, o.up
}
