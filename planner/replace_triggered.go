package planner

import (
	"fmt"
	"slices"
	"strings"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/state"
)

// replaceTriggered replaces what says replace_triggered_by of something that this plan changes. One may trigger the next.
func (p *planner) replaceTriggered() {
	var waiting []*object
	for _, o := range p.sorted {
		if o.action == ActionUpdate && !o.adopt && len(p.triggersOf(o)) > 0 {
			waiting = append(waiting, o)
		}
	}
	for again := true; again; {
		again = false
		waiting = slices.DeleteFunc(waiting, func(o *object) bool {
			for _, t := range p.triggersOf(o) {
				if by := p.changedByTrigger(t); by != nil {
					p.replaceWith(o, by)
					o.cause, o.trigger = fmt.Sprintf("%s changes", t), by
					again = true
					return true
				}
			}
			return false
		})
	}
}

// triggersOf lists what replaces the object. With a vm go the disks that it owns, unless they are to be retained.
func (p *planner) triggersOf(o *object) []string {
	by := o.planned
	if vol, ok := by.(*resource.Volume); ok && o.addr.Part != "" && vol.OnDelete != "retain" {
		if owner := p.objects[o.addr.Owner()]; owner != nil && owner.desired != nil && owner.record != nil {
			by = owner.planned
		}
	}
	if l := by.Base().Lifecycle; l != nil {
		return l.ReplaceTriggeredBy
	}
	return nil
}

// changedByTrigger gives what changes of what a trigger names: an object, all instances of a block, or a field of these.
func (p *planner) changedByTrigger(t string) *object {
	name, field := t, ""
	for {
		if a, err := resource.ParseAddr(name); err == nil {
			if named := p.instances(a); len(named) > 0 {
				i := slices.IndexFunc(named, func(o *object) bool { return o.changesIn(field) })
				if i < 0 {
					return nil
				}
				return named[i]
			}
		}
		dot := strings.LastIndexByte(name, '.')
		if dot < 0 {
			return nil
		}
		name, field = name[:dot], strings.TrimSuffix(name[dot+1:]+"."+field, ".")
	}
}

// changesIn tells whether the plan replaces an existing object, or changes a field of it. Repairs, and what only the record
// differs in, do not count.
func (o *object) changesIn(field string) bool {
	switch {
	case o.action == ActionReplace && field == "":
		return true
	case o.action != ActionReplace && o.action != ActionUpdate || o.recorded == nil || o.toRecord == nil:
		return false
	}
	return slices.ContainsFunc(resource.Diff(o.recorded, o.toRecord), func(c resource.Change) bool {
		if field == "" {
			return c.Class == resource.ClassHost
		}
		return c.Path == field || strings.HasPrefix(c.Path, field+".")
	})
}

// emitTriggered records that the object is about to be deleted before what triggers that changes: otherwise an interrupted run
// would leave no trace of it.
func (p *planner) emitTriggered(o *object) {
	if o.trigger == nil || o.action != ActionReplace {
		return
	}
	s := p.step(o, drivers.NewRecord(o.recorded), o.location.host, drivers.ImpactRecord)
	s.Record = o.recordNow()
	s.Record.Status = state.StatusDeleting
	if o.kind == resource.KindVM {
		s.Record.Power = o.nextPower()
	}
	o.preamble = len(o.steps)
}

// linkTriggered has what triggers a replacement wait until that is recorded.
func (p *planner) linkTriggered(o *object) {
	if o.trigger != nil && o.preamble > 0 && len(o.trigger.steps) > o.trigger.preamble {
		o.trigger.steps[o.trigger.preamble].after(o.steps[o.preamble-1])
	}
}
