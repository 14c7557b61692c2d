package planner

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
)

// summarise writes down what the steps amount to, per object.
func (p *planner) summarise() {
	var changed, unchanged []*object
	for _, o := range p.sorted {
		if len(o.pending) > 0 && !o.stop && !o.start {
			p.plan.Pending = append(p.plan.Pending, o.change(Change{
				Action: ActionUpdate, Impact: drivers.ImpactNextBoot, Cause: "waits for the guest's next start", Fields: o.pending,
			}))
		}
		switch {
		case len(o.steps) > 0 && o.action != ActionNone:
			changed = append(changed, o)
		case o.stays():
			unchanged = append(unchanged, o)
		}
	}
	p.plan.Changes = slices.Grow(p.plan.Changes, len(changed)) // those of hosts are in it
	for _, o := range changed {
		p.plan.Changes = append(p.plan.Changes, p.summary(o))
	}
	p.plan.Unchanged = make([]Change, len(unchanged))
	for i, o := range unchanged {
		c := o.change(Change{Action: ActionNone, Impact: drivers.ImpactRecord})
		c.Before.Resource = o.asItIs()
		c.After = c.Before
		p.plan.Unchanged[i] = c
	}
	p.noteTouched()
	byAddr := func(a, b Change) int { return resource.Compare(a.Addr, b.Addr) }
	slices.SortStableFunc(p.plan.Changes, byAddr) // those of hosts stand in front
	slices.SortStableFunc(p.plan.Drift, byAddr)
	slices.SortStableFunc(p.plan.Findings, func(a, b Finding) int {
		return cmp.Or(resource.Compare(a.Addr, b.Addr), cmp.Compare(a.Severity, b.Severity), strings.Compare(a.Path, b.Path),
			strings.Compare(a.Summary, b.Summary), strings.Compare(a.Detail, b.Detail))
	})
}

// stays tells whether the plan looked at the object and leaves it as it is: not when it is refused.
func (o *object) stays() bool {
	if o.live == nil || o.desired == nil || !o.selected {
		return false
	}
	pool, ok := o.planned.(*resource.Pool)
	return o.action == ActionUpdate || o.action == ActionNone && (!o.managed() || ok && pool.Implicit)
}

// asItIs is the live object, with what only vmplan knows of it as recorded, or as the files say when nothing is; nil when it is
// not on its host.
func (o *object) asItIs() resource.Resource {
	if o.before != nil || o.live == nil {
		return o.before
	}
	known := o.recorded
	if known == nil {
		known = o.planned
	}
	before, _ := resource.Overlay(known, known, o.liveResource())
	return before
}

// whole gives the object as it is and as the plan leaves it, as Change has it.
func (p *planner) whole(o *object) (before, after resource.Resource) {
	before = o.asItIs()
	switch o.action {
	case ActionCreate, ActionReplace:
		after = o.planned
	case ActionUpdate:
		after = o.after
	case ActionRelease, ActionForget:
		if o.action == ActionForget {
			before = o.recorded
		}
		// The files may go on to refer to an object that they do not manage.
		if live := p.liveAt(o.destination); o.desired != nil && live != nil {
			_, after = resource.Overlay(o.desired, nil, o.asModel(live, o.desired))
		}
	}
	return before, after
}

// summary is what the plan does to the object.
func (p *planner) summary(o *object) Change {
	c := o.change(Change{Action: o.action, Cause: o.cause, MovedFrom: o.movedFrom})
	c.Before.Resource, c.After.Resource = p.whole(o)
	switch o.action {
	case ActionCreate:
		c.Impact = drivers.ImpactLive
		c.Fields = allFields(o.planned, drivers.ImpactLive, false)
	case ActionReplace:
		c.Impact, c.Fields = o.replaceImpact(), o.allChanges()
		if o.kind == resource.KindSeed && o.createBeforeDelete {
			c.Action = ActionUpdate
		}
		for i := range c.Fields {
			c.Fields[i].Impact = min(c.Fields[i].Impact, c.Impact)
		}
		c.Loses, c.Keeps = o.lossesOf(), append(p.keptBase(o), p.foreignVolumesIn(o)...)
	case ActionDelete:
		c.Impact = drivers.ImpactDestroy
		if o.isReplacedLeftover() {
			c.Impact = drivers.ImpactLive
		}
		c.Fields = allFields(o.recorded, drivers.ImpactDestroy, true)
		c.Loses, c.Keeps = o.lossesOf(), p.foreignVolumesIn(o)
	case ActionRelease:
		c.Impact = drivers.ImpactRecord
		c.Keeps = o.keptOnHost()
	case ActionForget:
		c.Impact = drivers.ImpactRecord
	case ActionUpdate:
		o.summariseKept(&c)
	}
	if moved := fmt.Sprintf("moved from %s", o.movedFrom); !o.movedFrom.IsZero() && c.Cause != moved {
		c.Cause += ", " + moved
	}
	switch {
	case o.stop && o.start:
		c.Power = "restart"
	case o.stop:
		c.Power = "stop"
	case o.start:
		c.Power = "start"
	}
	return c
}

// allChanges are the changed fields, with what a guest takes up because the plan starts it.
func (o *object) allChanges() []FieldChange {
	out := slices.Clone(o.fields)
	if o.ruleChange != nil {
		out = append(out, *o.ruleChange)
	}
	if o.stop || o.start {
		for _, f := range o.pending {
			f.Impact = drivers.ImpactRestart
			out = append(out, f)
		}
	}
	return out
}

func (o *object) summariseKept(c *Change) {
	c.Impact, c.Fields = o.impact, o.allChanges()
	if o.kind == resource.KindVM {
		o.softenImpact(c)
	}
	if len(o.guestChanges) > 0 || o.wait || o.inactive {
		c.Impact = max(c.Impact, drivers.ImpactLive)
	}
	switch {
	case o.adopt:
		c.Action = ActionAdopt
	case o.restartCause != "" && len(o.changes)+len(o.guestChanges) == 0 && !o.mustRecord():
		c.Cause = o.restartCause
	case len(c.Fields) > 0:
	case o.restoreUnfinished():
		c.Action, c.Cause = ActionRestore, o.cause
	case o.stop:
		c.Action, c.Cause = ActionStop, o.powerCause
	case o.start || o.wait:
		c.Action, c.Cause = ActionStart, o.powerCause
	case o.powerUnrecorded && !o.mustRecord():
		c.Cause = o.powerCause
	case o.hasProtectSnapshot() && !o.mustRecord():
		c.Cause = "a snapshot that protected an earlier change is no longer needed"
	}
	if len(o.protectedSteps) > 0 {
		c.Cause += ", protected by a snapshot"
	}
	switch {
	case o.stop:
		c.Impact = drivers.ImpactRestart
	case o.start, o.restoreUnfinished():
		c.Impact = max(c.Impact, drivers.ImpactLive)
	}
	if o.restoreUnfinished() {
		c.Loses = writtenSince(o.before.(*resource.VM))
	}
}

// softenImpact says of a vm that is off, or goes off for good, that its changes take effect at once.
func (o *object) softenImpact(c *Change) {
	switch {
	case o.stop && o.start: // what would wait for the next start need not wait
		for i := range c.Fields {
			if c.Fields[i].Impact == drivers.ImpactNextBoot {
				c.Fields[i].Impact = drivers.ImpactRestart
			}
		}
		return
	case o.isOn() && !o.stop:
		return
	}
	c.Impact = min(c.Impact, drivers.ImpactLive)
	for i := range c.Fields {
		c.Fields[i].Impact = min(c.Fields[i].Impact, drivers.ImpactLive)
	}
}

// keptOnHost names what stays on the host.
func (o *object) keptOnHost() []string {
	if vol, ok := o.current().(*resource.Volume); ok {
		return []string{fmt.Sprintf("%s (%s) as %s", o.lossName(), vol.Size, nameOf(vol))}
	}
	return []string{fmt.Sprintf("%s %s", o.kind, nameOf(o.current()))}
}
