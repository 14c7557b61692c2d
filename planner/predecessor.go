package planner

import (
	"fmt"
	"strings"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/state"
)

// takeBackPredecessor restores the predecessor of a replacement that was interrupted, when the files want that one again. What
// had replaced it becomes the leftover. No later phase changes the facts of an object.
func (p *planner) takeBackPredecessor(o *object) {
	if !o.selected || !o.managed() || o.record == nil || !o.stored() || o.location == o.destination {
		return
	}
	former, live := p.byLocation[o.destination], p.liveAt(o.destination)
	if former == nil || live == nil || former.desired != nil || former.record.Status != state.StatusDeleting || !former.isLeftoverOf(o) {
		return // one that is recorded as being made may be half there
	}
	if o.live != nil {
		o.predecessor = p.newLeftover(o)
	}
	o.restoredFrom = former
	o.recorded = resource.Clone(former.recorded)
	o.recorded.Base().Addr = o.addr
	o.record = &state.Record{Object: o.recorded, Status: state.StatusReady, DependsOn: former.record.DependsOn}
	o.live, o.location = live, o.destination
	former.action, former.cause = ActionForget, "the former one is wanted again"
}

// isLeftoverOf tells whether o is the predecessor that an earlier replacement of by is about to delete.
func (o *object) isLeftoverOf(by *object) bool {
	last := strings.LastIndex(o.addr.Part, ".")
	return mayBeHalf(o.record) && isLeftBehind(o.addr) &&
		o.addr.Owner() == by.addr.Owner() && o.addr.Part[:max(last, 0)] == by.addr.Part
}

// keepPredecessor gives the old object of a replacement that is created first an address of its own. What takeBackPredecessor has
// displaced is recorded before anything else is done.
func (p *planner) keepPredecessor(o *object) {
	switch {
	case o.action == ActionReplace && o.createBeforeDelete:
		o.predecessor = p.newLeftover(o)
	case o.predecessor != nil:
		p.recordPredecessor(o.predecessor)
	}
}

// newLeftover gives what is replaced an address of its own, under which it is deleted once the new object is there. An
// interrupted run may have done that already.
func (p *planner) newLeftover(o *object) *object {
	addr := o.addr.WithPart(strings.TrimPrefix(o.addr.Part+"."+leftBehind, "."))
	for n := 2; p.objects[addr] != nil; n++ {
		if done := p.objects[addr]; done.record != nil && done.isLeftoverOf(o) && done.location == o.location {
			done.selected, done.action, done.cause, done.before = false, ActionNone, o.cause, done.asRecorded()
			return done
		}
		addr.Part = fmt.Sprintf("%s.%s-%d", o.addr.Part, leftBehind, n)
		addr.Part = strings.TrimPrefix(addr.Part, ".")
	}
	was := resource.Clone(o.current())
	was.Base().Addr = addr
	old := newObject(facts{
		addr: addr, kind: o.kind, recorded: was, live: o.live, location: o.location, dependents: o.dependents,
		record: &state.Record{Object: was, Status: state.StatusDeleting},
	})
	old.action, old.cause = ActionDelete, o.cause
	old.before = old.asRecorded()
	if o.record != nil {
		old.record.DependsOn = o.record.DependsOn
		if o.record.Status == state.StatusCreating {
			old.record.Status = state.StatusCreating // it may be half there, so it is not restored
		}
	}
	p.objects[addr] = old
	return old
}

// recordPredecessor records what is replaced under its own address, unless an interrupted run has done that.
func (p *planner) recordPredecessor(old *object) {
	if old.updated == nil && p.in.State.Records[old.addr] == nil {
		old.updated = p.step(old, drivers.NewRecord(old.recorded), old.location.host, drivers.ImpactRecord)
		old.updated.Record = old.record
	}
}

// emitPredecessor deletes what is replaced, unless a guest runs with it or disks depend on it.
func (p *planner) emitPredecessor(o *object) {
	old := o.predecessor
	if old == nil {
		return
	}
	p.recordPredecessor(old)
	if o.deletePostponed {
		return
	}
	p.leftovers = append(p.leftovers, old)
	p.emitDelete(old)
	old.deleted.Impact = o.replaceImpact()
}
