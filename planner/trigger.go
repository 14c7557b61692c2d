package planner

import (
	"fmt"
	"slices"
	"strings"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/state"
)

// trigger replaces what says replace_triggered_by of something that this plan changes. One may trigger the next.
func (p *planner) trigger() {
	var waiting []*object
	for _, o := range p.sorted {
		if o.fate == fateKeep && !o.adopt && len(p.triggersOf(o)) > 0 {
			waiting = append(waiting, o)
		}
	}
	for again := true; again; {
		again = false
		waiting = slices.DeleteFunc(waiting, func(o *object) bool {
			for _, t := range p.triggersOf(o) {
				if by := p.triggers(t); by != nil {
					p.replaceWith(o, by)
					o.cause, o.by = fmt.Sprintf("%s changes", t), by
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
	by := o.want
	if vol, ok := by.(*resource.Volume); ok && o.addr.Part != "" && vol.OnDelete != "retain" {
		if owner := p.objects[o.addr.Owner()]; owner != nil && owner.want != nil && owner.rec != nil {
			by = owner.want
		}
	}
	if l := by.Base().Lifecycle; l != nil {
		return l.ReplaceTriggeredBy
	}
	return nil
}

// triggers gives what changes of what a trigger names: an object, all instances of a block, or a field of these.
func (p *planner) triggers(t string) *object {
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

// changesIn tells whether the plan makes an object that is there, or a field of it, another than it was meant to be: what it
// repairs and what only the record differs in does not count.
func (o *object) changesIn(field string) bool {
	switch {
	case o.fate == fateReplace && field == "":
		return true
	case o.fate != fateReplace && o.fate != fateKeep || o.was == nil || o.record == nil:
		return false
	}
	return slices.ContainsFunc(resource.Diff(o.was, o.record), func(c resource.Change) bool {
		if field == "" {
			return c.Class == resource.ClassHost
		}
		return c.Path == field || strings.HasPrefix(c.Path, field+".")
	})
}

// emitTriggered records that the object is about to go before what triggers that changes: afterwards nothing would tell a run
// that follows one that was cut short.
func (p *planner) emitTriggered(o *object) {
	if o.by == nil || o.fate != fateReplace {
		return
	}
	s := p.step(o, drivers.NewRecord(o.was), o.at.host, drivers.ImpactRecord)
	s.Record = o.recordNow()
	s.Record.Status = state.StatusDeleting
	if o.kind == resource.KindVM {
		s.Record.Power = o.nextPower()
	}
	o.head = len(o.steps)
}

// linkTriggered has what triggers a replacement wait until that is recorded.
func (p *planner) linkTriggered(o *object) {
	if o.by != nil && o.head > 0 && len(o.by.steps) > o.by.head {
		o.by.steps[o.by.head].after(o.steps[o.head-1])
	}
}
