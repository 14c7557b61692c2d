package planner

import (
	"fmt"
	"slices"
	"strings"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/state"
)

// propagate lets what happens to objects act on those around them: what lies in a pool or upon an image goes with it, what a
// released vm stands on stays with it, guests are off while what they use is made anew.
func (p *planner) propagate() {
	for _, o := range p.sorted {
		if o.action == ActionReplace {
			p.propagateReplace(o)
		}
		p.keepPoolUsedByOthers(o)
	}
	for _, o := range p.sorted {
		released := o.action == ActionNone && o.record != nil && o.record.Status == state.StatusReleased
		if o.desired == nil && o.live != nil && (o.action == ActionRelease || released) {
			p.propagateRelease(o, o)
		}
	}
	for _, o := range p.sorted {
		if o.action == ActionReplace && o.stored() && o.location != o.destination {
			o.createBeforeDelete = !p.willDependOnReplaced(o)
		}
	}
	for _, o := range p.sorted {
		if o.action == ActionReplace && !o.createBeforeDelete || o.action == ActionDelete && o.kind == resource.KindVolume {
			p.spreadRestart(o)
		}
	}
	p.findCopyDowntimes()
	for _, o := range p.sorted {
		o.dependsOnReplaced = unknown
		p.decidePower(o)
		o.decideSecondDowntime()
	}
	for _, o := range p.sorted {
		p.postpone(o)
	}
}

// keepPoolUsedByOthers keeps the host's pool default, which no file declares, when guests of others have disks in it by now. A pool
// that the files declare is refused to be deleted then, as all is that others use.
func (p *planner) keepPoolUsedByOthers(o *object) {
	pool, ok := o.recorded.(*resource.Pool)
	if !ok || !pool.Implicit || o.action != ActionDelete {
		return
	}
	for _, user := range o.live.Users {
		if p.byLocation[location{o.location.host, user}] == nil {
			o.action, o.retain = ActionRelease, true
			o.cause = fmt.Sprintf("%s uses it, which is not of this project", strings.Replace(user, "/", " ", 1))
			return
		}
	}
}

// propagateReplace replaces what cannot outlive the object: the bits in a pool, the overlays of an image that keeps its place.
// Objects are visited in the order of their kinds, so that this reaches all.
func (p *planner) propagateReplace(o *object) {
	if o.kind != resource.KindPool && (!o.stored() || o.location != o.destination) {
		return
	}
	for _, l := range o.dependents {
		if l.action == ActionUpdate && l.stored() && uses(l.current(), o.location.key) && l.location.host == o.location.host {
			p.replaceWith(l, o)
			p.propagateReplace(l)
		}
	}
}

// replaceWith replaces l, as o that it stands on is.
func (p *planner) replaceWith(l, o *object) {
	l.action, l.cause = ActionReplace, fmt.Sprintf("%s is replaced", o.addr)
	again := comparison{planned: l.planned}
	if l.renameWaits {
		again.planned = l.desired
	}
	l.comparison = again
	p.compareReplaced(l)
}

// current is what the object is now: recorded, or live when it is taken back.
func (o *object) current() resource.Resource {
	if o.recorded != nil {
		return o.recorded
	}
	return o.live.Resource
}

// propagateRelease releases what an object that stays on the host stands on, unless the files still have it.
func (p *planner) propagateRelease(o, stays *object) {
	if o.record == nil {
		return
	}
	for _, a := range o.record.DependsOn {
		n := p.objects[a]
		if n != nil && n.action == ActionDelete {
			n.action = ActionRelease
			n.cause = fmt.Sprintf("%s is left as it is, and stands on it", stays.addr)
			p.propagateRelease(n, stays)
		}
	}
}

type tristate uint8

const (
	unknown tristate = iota
	yes
	no
)

// willDependOnReplaced tells whether anything that the object will stand on is deleted before it is made anew: then nothing may wait for
// the object before that deletion.
func (p *planner) willDependOnReplaced(o *object) bool {
	if o.dependsOnReplaced == unknown {
		o.dependsOnReplaced = no // a circle is found when the steps are ordered
		for _, n := range o.requires {
			if o.madeFrom(n) {
				continue
			}
			if n.action == ActionReplace && !(n.stored() && n.location != n.destination) || p.willDependOnReplaced(n) {
				o.dependsOnReplaced = yes
			}
		}
	}
	return o.dependsOnReplaced == yes
}

// spreadRestart sees to the vms that use what goes. Hosts do not delete a volume that a vm's definition has, nor a network that a
// guest is on: what is made anew under the same name takes the vm with it, or the guest off for a while. So does a volume
// that the guest would let go of only when it next starts.
func (p *planner) spreadRestart(o *object) {
	for _, u := range p.users(o) {
		if u.kind != resource.KindVM || u.action != ActionUpdate {
			continue
		}
		still := uses(u.after, o.location.key)
		switch {
		case still && o.action == ActionReplace && o.stored():
			p.replaceWith(u, o)
		case u.restartReason != "" || !u.isOn():
		case !still && o.action == ActionDelete && p.stagesChanges(u) && u.keepsUntilStop(o.location.key):
			o.action, o.deletePostponed = ActionNone, true
		case still && o.action == ActionReplace:
			u.restartReason = fmt.Sprintf("%s is replaced", o.addr)
		case !still && u.keepsUntilStop(o.location.key):
			u.restartReason = fmt.Sprintf("%s is deleted", o.addr)
		}
	}
}

// keepsUntilStop tells whether the guest goes on using what has the key after all that can be given to it while it runs.
func (o *object) keepsUntilStop(key string) bool {
	guest := o.live.Running
	if guest == nil {
		guest = o.live.Resource
	}
	if !o.isOn() || o.stop || !uses(guest, key) {
		return false
	}
	guest = resource.Clone(guest)
	for _, c := range o.changes {
		if o.impacts[c.Path].Impact <= drivers.ImpactLive {
			resource.Keep(guest, o.after, c.Path)
		}
	}
	for _, c := range o.guestChanges {
		resource.Keep(guest, o.after, c.Path)
	}
	return o.impact < drivers.ImpactRestart && uses(guest, key)
}

// postpone leaves an old seed where it is as long as a guest runs with it, and the old base of an image as long as disks stay
// upon it: some later plan deletes it.
func (p *planner) postpone(o *object) {
	if o.displaced != nil {
		o.deletePostponed = slices.ContainsFunc(p.users(o.displaced), func(u *object) bool { return p.keepsUsing(u, o.displaced) })
		return
	}
	if o.kind == resource.KindVolume || !o.stored() || o.action != ActionDelete && !o.createBeforeDelete {
		return
	}
	held := func(u *object) bool { return p.keepsUsing(u, o) }
	if o.deletePostponed = p.outlivesSuccessor(o) || slices.ContainsFunc(p.users(o), held); o.deletePostponed && o.action == ActionDelete {
		o.action = ActionNone
	}
}

// keepsUsing tells whether u goes on using what o is now after this plan.
func (p *planner) keepsUsing(u, o *object) bool {
	switch u.kind {
	case resource.KindVM:
		return (u.action == ActionUpdate || u.action == ActionNone) && u.live != nil && u.keepsUntilStop(o.location.key)
	case resource.KindVolume:
		return p.keepsUsingBase(u, o)
	case resource.KindImage: // its half build, which this plan does not go on with
		return u.action == ActionNone
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
		if u := p.byLocation[location{o.location.host, key}]; u != nil && u != o {
			out = append(out, u)
		}
	}
	return out
}
