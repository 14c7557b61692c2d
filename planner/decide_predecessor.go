package planner

import (
	"strings"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/state"
)

// takeBackPredecessor takes back what a replacement that was cut short has left behind, when the files have gone back to it as
// well. What had taken its place is left behind in turn. No later phase changes the facts of an object.
func (p *planner) takeBackPredecessor(o *object) {
	if !o.selected || !o.managed() || o.record == nil || !o.stored() || o.location == o.destination {
		return
	}
	former, live := p.byLocation[o.destination], p.liveAt(o.destination)
	if former == nil || live == nil || former.desired != nil || former.record.Status != state.StatusDeleting || !former.isLeftoverOf(o) {
		return // one that is recorded as being made may be half there
	}
	if o.live != nil {
		o.displaced = p.newLeftover(o)
	}
	o.restoredFrom = former
	o.recorded = resource.Clone(former.recorded)
	o.recorded.Base().Addr = o.addr
	o.record = &state.Record{Object: o.recorded, Status: state.StatusReady, DependsOn: former.record.DependsOn}
	o.live, o.location = live, o.destination
	former.action, former.cause = ActionForget, "the former one is wanted again"
}

// isLeftoverOf tells whether o is what an earlier replacement of by is about to delete.
func (o *object) isLeftoverOf(by *object) bool {
	last := strings.LastIndex(o.addr.Part, ".")
	return mayBeHalf(o.record) && isLeftBehind(o.addr) &&
		o.addr.Owner() == by.addr.Owner() && o.addr.Part[:max(last, 0)] == by.addr.Part
}
