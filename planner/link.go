package planner

import (
	"fmt"
	"slices"
	"strings"

	"vmplan.dev/vmplan/drivers"
)

// link ties the steps of different objects together.
func (p *planner) link() {
	clear(p.dependOnReplaced) // since then, more vms may be replaced
	for _, o := range p.sorted {
		p.linkForward(o)
		p.linkBack(o)
		p.linkMove(o)
		p.linkTriggered(o)
		o.linkDisks()
		p.linkCopies(o)
	}
	for _, o := range p.sorted {
		p.startAfterFailedCopy(o)
	}
	for _, old := range p.leftovers {
		p.linkUsers(old.deleted, old, old.dependents)
		p.linkFormerBase(old)
	}
	for _, o := range p.sorted {
		p.linkFormerBase(o)
		if o.predecessor != nil && len(o.steps) > 0 {
			o.steps[o.preamble].after(o.predecessor.updated)
		}
		if o.restoredFrom != nil && len(o.steps) > 0 && len(o.restoredFrom.steps) > 0 {
			o.restoredFrom.steps[0].after(o.steps[0])
		}
		if occupant := p.departingOccupant(o); occupant != nil {
			o.arrivalStep().after(occupant.departureFrom())
		}
	}
	p.linkHosts()
}

// linkForward has the steps that create, change or start the object wait for what it depends on.
func (p *planner) linkForward(o *object) {
	ups := o.bringUpSteps()
	if len(ups) == 0 || o.action == ActionRelease {
		return
	}
	first := ups[0]
	_, marks := first.Op.Op.(*drivers.SetMark)
	for _, n := range o.requires {
		switch {
		case slices.Contains(n.copiedBy, o): // see linkLent
		case o.action == ActionUpdate && !uses(o.planned, n.destination.key):
			first.preferAfter(n.lastStep()) // depends_on, of one that is there already
		case marks && (!o.adopt || n.action == ActionReplace && n.record != nil):
			// A mark needs nothing, and may be made before the guest is stopped so that what it depends on can be replaced. Only
			// what is taken over by being attached must be recorded before.
			if len(ups) > 1 {
				ups[1].after(n.lastStep())
			}
		default:
			first.after(n.lastStep())
		}
	}
}

// bringUpSteps lists the steps that bring the object up.
func (o *object) bringUpSteps() []*step {
	return slices.DeleteFunc(slices.Clone(o.steps), func(s *step) bool {
		switch s.Op.Op.(type) {
		case *drivers.Create, *drivers.Copy, *drivers.Build, *drivers.Update, *drivers.SetMark, *drivers.Start, *drivers.WaitReady:
			return false
		}
		return true
	})
}

// linkBack has the steps that stop or delete the object wait for what uses it and, when it comes back, for all that can be
// prepared before: so a download that fails does not find the old object gone already.
func (p *planner) linkBack(o *object) {
	if len(o.steps) == o.preamble {
		return
	}
	head := o.steps[o.preamble]
	if o.action == ActionRelease && o.record != nil {
		// What it depends on first: otherwise an interrupted run could find that used by nobody it knows.
		for _, a := range o.record.DependsOn {
			if n := p.objects[a]; n != nil && n.action == ActionRelease && len(n.steps) > 0 {
				head.after(n.steps[len(n.steps)-1])
			}
		}
		return
	}
	switch {
	case o.action == ActionDelete, o.action == ActionReplace && !o.createBeforeDelete:
		p.linkUsers(head, o, o.dependents)
	case o.stopped == nil:
		return
	default:
		head = o.stopped
	}
	if o.desired == nil {
		return
	}
	for _, n := range o.requires {
		p.linkEarly(head, n)
		if n.action == ActionReplace && !n.createBeforeDelete {
			for _, nn := range n.requires {
				p.linkEarly(head, nn)
			}
		}
	}
}

func (p *planner) linkEarly(head *step, n *object) {
	again := n.action == ActionReplace && !n.createBeforeDelete
	if !again && !p.willDependOnReplaced(n) {
		head.preferAfter(n.lastStep())
	}
}

// linkUsers has s, which deletes o, wait until those that use o are gone or no longer use it.
func (p *planner) linkUsers(s *step, o *object, dependents []*object) {
	for _, u := range dependents {
		s.after(p.departureStep(u, o))
	}
	for _, u := range p.users(o) {
		s.after(p.departureStep(u, o))
	}
}

// departureStep is the step after which u no longer uses what o is now; nil when there is none to wait for.
func (p *planner) departureStep(u, o *object) *step {
	switch u.action {
	case ActionDelete:
		return u.deleted
	case ActionCreate:
		if u.halfBuiltOn(o) {
			return u.created
		}
	case ActionReplace:
		if u.predecessor == o {
			return nil
		}
		return u.departureFrom()
	case ActionUpdate:
		switch {
		case u.live == nil || u.location.host != o.location.host:
			return nil
		case u.predecessor != nil:
			return u.departureFrom()
		case u.unprotected != nil && !uses(u.after, o.location.key):
			return u.unprotected // until then it may come back
		case uses(u.after, o.location.key):
			return u.stopped
		case slices.Contains(u.requires, o):
			return nil
		case u.stopped != nil && (u.updated == nil || !uses(u.live.Resource, o.location.key)):
			return u.stopped
		case uses(u.live.Resource, o.location.key), u.live.Running != nil && uses(u.live.Running, o.location.key):
			return u.updated
		}
	}
	return nil
}

// departureFrom is the step that takes the object from its location.
func (o *object) departureFrom() *step {
	switch {
	case o.predecessor != nil:
		return o.predecessor.deleted // nil when that is postponed
	case o.renamed():
		return o.renameStep()
	}
	return o.deleted
}

// arrivalStep is the step that brings the object to its destination.
func (o *object) arrivalStep() *step {
	if o.renamed() {
		return o.renameStep()
	}
	return o.bringUpSteps()[0]
}

// renameStep is the first of the updates, which gives the object its new name.
func (o *object) renameStep() *step {
	for _, s := range o.steps {
		if _, ok := s.Op.Op.(*drivers.Update); ok {
			return s
		}
	}
	return nil
}

// linkHosts puts the record of a host before all other steps on it, and its removal after them.
func (p *planner) linkHosts() {
	needed := map[*step]bool{}
	for _, s := range p.steps {
		for _, d := range s.deps {
			needed[d] = needed[d] || d.Host == s.Host
		}
	}
	ends := map[string][]*step{}
	for _, s := range p.steps {
		if h := p.hosts[s.Host]; h != nil && len(s.deps) == 0 && !s.last {
			s.after(h.recordStep)
		}
		if !needed[s] && !s.last {
			ends[s.Host] = append(ends[s.Host], s)
		}
	}
	for _, s := range p.steps {
		if s.last {
			s.deps = ends[s.Host]
		}
	}
}

// order writes the steps into the plan, each behind all it depends on.
func (p *planner) order() {
	steps, cycle := p.graph.order()
	if cycle != nil {
		p.refuseCycle(cycle)
	}
	p.plan.Steps = steps
}

// refuseCycle reports steps that wait for each other.
func (p *planner) refuseCycle(cycle []*step) {
	ids := make([]string, len(cycle))
	for i, s := range cycle {
		ids[i] = s.ID
	}
	p.addFinding(Finding{
		Severity: SeverityError, Addr: cycle[0].Addr, Summary: "there is no order to do this in", Detail: fmt.Sprintf(
			"Each of these waits for the next: %s. Apply the change in two parts, for example with --target.", strings.Join(ids, " → ")),
	})
}
