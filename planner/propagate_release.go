package planner

import (
	"fmt"
	"strings"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/state"
)

// keepPoolUsedByOthers releases the host's default pool, which no file declares, when guests of others have disks in it. A
// pool that the files declare is refused to be deleted then, like everything that others use.
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

// releaseRequired releases what an object that stays on the host depends on.
func (p *planner) releaseRequired(o *object) {
	released := o.action == ActionRelease || o.action == ActionNone && o.record != nil && o.record.Status == state.StatusReleased
	if o.desired == nil && o.live != nil && released {
		p.releaseRequiredBy(o, o)
	}
}

// releaseRequiredBy releases what o depends on, and what that depends on, unless the files still have it.
func (p *planner) releaseRequiredBy(o, stays *object) {
	if o.record == nil {
		return
	}
	for _, a := range o.record.DependsOn {
		n := p.objects[a]
		if n != nil && n.action == ActionDelete {
			n.action = ActionRelease
			n.cause = fmt.Sprintf("%s stays on the host and needs it", stays.addr)
			p.releaseRequiredBy(n, stays)
		}
	}
}
