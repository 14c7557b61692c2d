package planner

import (
	"strings"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/state"
)

// restore takes back what a replacement that was cut short has left behind, when the files have gone back to it as well. What
// had taken its place is left behind in turn.
func (p *planner) restore(o *object) bool {
	if !o.stored() || o.at == o.goal {
		return false
	}
	former, live := p.atPlace[o.goal], p.liveAt(o.goal)
	if former == nil || live == nil || former.want != nil || former.rec.Status != state.StatusDeleting || !former.leftBehindBy(o) {
		return false // one that is recorded as being made may be half there
	}
	if o.live != nil {
		o.yielded = p.behind(o)
	}
	o.former = former
	o.was = resource.Clone(former.was)
	o.was.Base().Addr = o.addr
	o.rec = &state.Record{Object: o.was, Status: state.StatusReady, DependsOn: former.rec.DependsOn}
	o.take(live, "the former one is wanted again")
	former.fate, former.cause = fateForget, "the former one is wanted again"
	return true
}

// leftBehindBy tells whether o is what an earlier replacement of by is about to delete.
func (o *object) leftBehindBy(by *object) bool {
	last := strings.LastIndex(o.addr.Part, ".")
	return mayBeHalf(o.rec) && isLeftBehind(o.addr) &&
		o.addr.Owner() == by.addr.Owner() && o.addr.Part[:max(last, 0)] == by.addr.Part
}
