package planner

import (
	"fmt"
	"slices"
	"strings"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/state"
)

// spread lets the fates of objects act on those around them: what lies in a pool or upon an image goes with it, what a
// released vm stands on stays with it, guests are off while what they use is made anew.
func (p *planner) spread() {
	for _, o := range p.sorted {
		if o.fate == fateReplace {
			p.spreadReplace(o)
		}
		p.leaveToOthers(o)
	}
	for _, o := range p.sorted {
		released := o.fate == fateNone && o.rec != nil && o.rec.Status == state.StatusReleased
		if o.want == nil && o.live != nil && (o.fate == fateRelease || released) {
			p.spreadRelease(o, o)
		}
	}
	for _, o := range p.sorted {
		if o.fate == fateReplace && o.stored() && o.at != o.goal {
			o.deferred = !p.isShaky(o)
		}
	}
	for _, o := range p.sorted {
		if o.fate == fateReplace && !o.deferred || o.fate == fateDelete && o.kind == resource.KindVolume {
			p.spreadOff(o)
		}
	}
	p.lend()
	for _, o := range p.sorted {
		o.shaky = unknown
		p.decidePower(o)
		o.lendAgain()
	}
	for _, o := range p.sorted {
		p.postpone(o)
	}
}

// leaveToOthers keeps the host's pool default, which no file declares, when guests of others have disks in it by now. A pool
// that the files declare is refused to be deleted then, as all is that others use.
func (p *planner) leaveToOthers(o *object) {
	pool, ok := o.was.(*resource.Pool)
	if !ok || !pool.Implicit || o.fate != fateDelete {
		return
	}
	for _, user := range o.live.Users {
		if p.atPlace[place{o.at.host, user}] == nil {
			o.fate, o.retain = fateRelease, true
			o.cause = fmt.Sprintf("%s uses it, which is not of this project", strings.Replace(user, "/", " ", 1))
			return
		}
	}
}

// spreadReplace replaces what cannot outlive the object: the bits in a pool, the overlays of an image that keeps its place.
// Objects are visited in the order of their kinds, so that this reaches all.
func (p *planner) spreadReplace(o *object) {
	if o.kind != resource.KindPool && (!o.stored() || o.at != o.goal) {
		return
	}
	for _, l := range o.leans {
		if l.fate == fateKeep && l.stored() && uses(l.was0(), o.at.key) && l.at.host == o.at.host {
			p.replaceWith(l, o)
			p.spreadReplace(l)
		}
	}
}

// replaceWith replaces l, as o that it stands on is.
func (p *planner) replaceWith(l, o *object) {
	l.fate, l.cause = fateReplace, fmt.Sprintf("%s is replaced", o.addr)
	l.fields, l.guest, l.pending = nil, nil, nil
	if l.wish != nil {
		l.want, l.goal = l.wish, place{l.goal.host, resource.Key(l.wish)}
	}
	p.compareReplaced(l)
}

// was0 is what the object is now: recorded, or live when it is taken back.
func (o *object) was0() resource.Resource {
	if o.was != nil {
		return o.was
	}
	return o.live.Resource
}

// spreadRelease releases what an object that stays on the host stands on, unless the files still have it.
func (p *planner) spreadRelease(o, stays *object) {
	if o.rec == nil {
		return
	}
	for _, a := range o.rec.DependsOn {
		n := p.objects[a]
		if n != nil && n.fate == fateDelete {
			n.fate = fateRelease
			n.cause = fmt.Sprintf("%s is left as it is, and stands on it", stays.addr)
			p.spreadRelease(n, stays)
		}
	}
}

type tristate uint8

const (
	unknown tristate = iota
	yes
	no
)

// isShaky tells whether anything that the object will stand on is deleted before it is made anew: then nothing may wait for
// the object before that deletion.
func (p *planner) isShaky(o *object) bool {
	if o.shaky == unknown {
		o.shaky = no // a circle is found when the steps are ordered
		for _, n := range o.needs {
			if o.madeFrom(n) {
				continue
			}
			if n.fate == fateReplace && !(n.stored() && n.at != n.goal) || p.isShaky(n) {
				o.shaky = yes
			}
		}
	}
	return o.shaky == yes
}

// spreadOff sees to the vms that use what goes. Hosts do not delete a volume that a vm's definition has, nor a network that a
// guest is on: what is made anew under the same name takes the vm with it, or the guest off for a while. So does a volume
// that the guest would let go of only when it next starts.
func (p *planner) spreadOff(o *object) {
	for _, u := range p.users(o) {
		if u.kind != resource.KindVM || u.fate != fateKeep {
			continue
		}
		still := uses(u.after, o.at.key)
		switch {
		case still && o.fate == fateReplace && o.stored():
			p.replaceWith(u, o)
		case u.bounce != "" || !u.on():
		case !still && o.fate == fateDelete && p.stages(u) && u.clings(o.at.key):
			o.fate, o.postponed = fateNone, true
		case still && o.fate == fateReplace:
			u.bounce = fmt.Sprintf("%s is replaced", o.addr)
		case !still && u.clings(o.at.key):
			u.bounce = fmt.Sprintf("%s is deleted", o.addr)
		}
	}
}

// clings tells whether the guest goes on using what has the key after all that can be given to it while it runs.
func (o *object) clings(key string) bool {
	guest := o.live.Running
	if guest == nil {
		guest = o.live.Resource
	}
	if !o.on() || o.stop || !uses(guest, key) {
		return false
	}
	guest = resource.Clone(guest)
	for _, c := range o.changes {
		if o.impacts[c.Path].Impact <= drivers.ImpactLive {
			resource.Keep(guest, o.after, c.Path)
		}
	}
	for _, c := range o.guest {
		resource.Keep(guest, o.after, c.Path)
	}
	return o.impact < drivers.ImpactRestart && uses(guest, key)
}

// postpone leaves an old seed where it is as long as a guest runs with it, and the old base of an image as long as disks stay
// upon it: some later plan deletes it.
func (p *planner) postpone(o *object) {
	if o.yielded != nil {
		o.postponed = slices.ContainsFunc(p.users(o.yielded), func(u *object) bool { return p.holds(u, o.yielded) })
		return
	}
	if o.kind == resource.KindVolume || !o.stored() || o.fate != fateDelete && !o.deferred {
		return
	}
	held := func(u *object) bool { return p.holds(u, o) }
	if o.postponed = p.outlivesSuccessor(o) || slices.ContainsFunc(p.users(o), held); o.postponed && o.fate == fateDelete {
		o.fate = fateNone
	}
}

// holds tells whether u goes on using what o is now after this plan.
func (p *planner) holds(u, o *object) bool {
	switch u.kind {
	case resource.KindVM:
		return (u.fate == fateKeep || u.fate == fateNone) && u.live != nil && u.clings(o.at.key)
	case resource.KindVolume:
		return p.holdsBase(u, o)
	case resource.KindImage: // its half build, which this plan does not go on with
		return u.fate == fateNone
	}
	return false
}

// users gives the objects known to the plan that use o on the host. The vms of a pool stand on it by their volumes.
func (p *planner) users(o *object) []*object {
	if o.live == nil || o.kind == resource.KindPool {
		return nil
	}
	var out []*object
	for _, key := range o.live.Users {
		if u := p.atPlace[place{o.at.host, key}]; u != nil && u != o {
			out = append(out, u)
		}
	}
	return out
}
