package planner

import (
	"fmt"
	"slices"
	"strings"

	"vmplan.dev/vmplan/config/resource"
)

// postponeDelete leaves an old seed on its host as long as a guest runs with it, and the old base of an image as long as disks
// depend on it: a later plan deletes them.
func (p *planner) postponeDelete(o *object) {
	if o.predecessor != nil {
		o.deletePostponed = slices.ContainsFunc(p.users(o.predecessor), func(u *object) bool { return p.keepsUsing(u, o.predecessor) })
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

// keepsUsing tells whether u still uses what o is now after this plan.
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

// keptBase says which base of a replaced image stays, and for whom.
func (p *planner) keptBase(o *object) []string {
	if !o.deletePostponed || o.kind != resource.KindImage || o.predecessor == nil {
		return nil
	}
	var names []string
	for _, u := range p.users(o.predecessor) {
		if p.keepsUsing(u, o.predecessor) {
			names = append(names, u.addr.String())
		}
	}
	slices.Sort(names)
	return []string{fmt.Sprintf("base %s, for %s", nameOf(o.predecessor.recorded), strings.Join(names, ", "))}
}
