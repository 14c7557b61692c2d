package planner

import (
	"fmt"
	"slices"
	"strings"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/state"
)

// compare finds the differences of an object that is wanted and there, and whether they need a replacement.
func (p *planner) compare(o *object) {
	p.keepOrigin(o)
	ignored := ignoredPaths(o)
	if p.keepsOldBase(o) {
		ignored = append(slices.Clone(ignored), "backing")
	}
	name := p.postponeRename(o)
	live := o.liveResource()
	o.before, o.after = resource.Overlay(o.planned, o.recorded, live)
	for _, path := range ignored {
		resource.Keep(o.after, o.before, path)
	}
	o.toRecord = p.recordOf(o, ignored)
	o.changes = hostChanges(resource.Diff(o.before, o.after))
	p.assessImpacts(o)
	recorded := o.compareRecord()
	if o.record != nil && o.record.Status == state.StatusReady && (len(o.changes) > 0 || o.recordChanged) {
		p.compareDrift(o, ignored, live)
	}
	p.compareGuest(o, ignored)
	o.pending = append(o.pending, name...)
	p.compareActive(o)
	switch {
	case o.impact == drivers.ImpactReplace:
		o.action, o.cause = ActionReplace, worstCause(o.fields)
	case o.cause != "":
	case o.restoreUnfinished():
		o.cause = "restoring it to what it was before a change was not finished"
	case o.record != nil && o.record.Status == state.StatusCreating:
		o.cause = "an earlier run was not finished"
	case o.inactive && len(o.changes) == 0:
		o.cause = "is not active on the host"
	case !recorded && len(o.changes)+len(o.guestChanges) > 0 && o.recorded != nil:
		o.cause = "changed outside of vmplan"
	case !o.movedFrom.IsZero() && len(o.fields) == 0:
		o.cause = fmt.Sprintf("moved from %s", o.movedFrom)
	case o.staleRefs && len(o.fields) == 0:
		o.cause = "what it refers to has moved"
	default:
		o.cause = "changed in the files"
	}
}

// compareReplaced does as much for an object that is replaced anyway: so that the plan can say what differs.
func (p *planner) compareReplaced(o *object) {
	o.toRecord = p.recordOf(o, nil)
	o.before, o.after = resource.Overlay(o.planned, o.recorded, o.liveResource())
	o.changes = hostChanges(resource.Diff(o.before, o.after))
	o.impact = drivers.ImpactReplace
	for _, c := range o.changes {
		o.fields = append(o.fields, fieldChanges(c, drivers.ImpactReplace, "")...)
	}
	o.compareRecord()
	if img, ok := o.planned.(*resource.Image); ok && !img.From.IsZero() {
		for i, f := range o.fields {
			if causeOf(f.Path) != "" { // other bits, although no host has a place for these fields
				o.fields[i].Impact = drivers.ImpactReplace
			}
		}
	}
}

// compareRecord notes what only the record has different from it should, and tells whether the files changed.
func (o *object) compareRecord() bool {
	if o.recorded == nil {
		return false
	}
	changed := map[string]bool{}
	for _, c := range o.changes {
		changed[c.Path] = true
	}
	diff := resource.Diff(o.recorded, o.toRecord)
	for _, c := range diff {
		if !changed[c.Path] {
			o.fields = append(o.fields, fieldChanges(c, drivers.ImpactRecord, "")...)
		}
	}
	o.recordChanged = len(diff) > 0 || o.record.Status != state.StatusReady || o.staleRefs || o.record.Restoring != "" && o.isOn()
	return len(diff) > 0
}

// compareDrift lists what somebody else changed: what was recorded against what is live.
func (p *planner) compareDrift(o *object, ignored []string, live resource.Resource) {
	if o.stored() && live.Base().Name != o.recorded.Base().Name { // which no host knows
		live = resource.Clone(live)
		live.Base().Name = o.recorded.Base().Name
	}
	now, then := resource.Overlay(o.recorded, nil, live)
	for _, path := range ignored {
		resource.Keep(then, now, path)
	}
	var fields []FieldChange
	for _, c := range hostChanges(resource.Diff(then, now)) {
		fields = append(fields, fieldChanges(c, drivers.ImpactRecord, "")...)
	}
	if len(fields) > 0 {
		p.drift(o, Change{Action: ActionUpdate, Cause: "changed outside of vmplan", Fields: fields})
	}
}

// compareActive notices a network or pool that is defined but was stopped: what depends on it cannot start.
func (p *planner) compareActive(o *object) {
	if o.kind != resource.KindNetwork && o.kind != resource.KindPool || o.live.Power != drivers.PowerOff {
		return
	}
	o.inactive = true
	o.fields = append(o.fields, fieldChange("active", false, true, drivers.ImpactLive, ""))
	if o.record != nil && o.record.Status == state.StatusReady {
		p.drift(o, Change{Action: ActionUpdate, Cause: "changed outside of vmplan", Fields: []FieldChange{fieldChange("active", true, false, drivers.ImpactRecord, "")}})
	}
}

// recordOf is what will be recorded of the object: what is desired, with ignored fields as they were and what only doing
// could tell carried over.
func (p *planner) recordOf(o *object, ignored []string) resource.Resource {
	if img, ok := o.planned.(*resource.Image); ok && o.recorded != nil && o.location == o.destination {
		was := o.recorded.(*resource.Image)
		img = resource.Clone(img)
		if img.Digest == "" {
			img.Digest = was.Digest
		}
		if was.Pin != nil {
			img.Pin = was.Pin
		}
		o.planned = img
	}
	if len(ignored) == 0 || o.recorded == nil {
		return o.planned
	}
	out := resource.Clone(o.planned)
	for _, path := range ignored {
		resource.Keep(out, o.recorded, path)
	}
	return out
}

// assessImpacts asks the host's rules what the changes do.
func (p *planner) assessImpacts(o *object) {
	if len(o.changes) == 0 {
		return
	}
	o.impacts = impactsByPath(p.hosts[o.location.host].Rules.Impact(o.before, o.after))
	has := o.guestHas()
	for _, c := range o.changes {
		i, ok := o.impacts[c.Path]
		if !ok {
			i = drivers.FieldImpact{Impact: drivers.ImpactReplace, Note: "the driver does not say how to change this"}
		}
		if o.kind != resource.KindVM && i.Impact != drivers.ImpactReplace {
			i.Impact = min(i.Impact, drivers.ImpactLive)
		}
		i = p.applyUpdatePolicy(o, c.Path, i)
		if i.Impact > drivers.ImpactLive && i.Impact < drivers.ImpactReplace && has(c.Path) {
			i.Impact, i.Note = drivers.ImpactLive, "the running guest still has it so"
		}
		if o.live.Saved && inGuest(c.Path) {
			i.Note = strings.TrimPrefix(i.Note+"; the saved memory is discarded", "; ")
		}
		o.impacts[c.Path] = i
		o.fields = append(o.fields, fieldChanges(c, i.Impact, i.Note)...)
		o.impact = max(o.impact, i.Impact)
	}
}

func worstCause(fields []FieldChange) string {
	for _, f := range fields {
		if f.Impact != drivers.ImpactReplace {
			continue
		}
		if f.Note != "" {
			return fmt.Sprintf("%s cannot be changed in place: %s", f.Path, f.Note)
		}
		return fmt.Sprintf("%s cannot be changed in place", f.Path)
	}
	return ""
}
