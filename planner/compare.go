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
	ignored := ignoredPaths(o)
	name := p.stageName(o)
	live := o.liveResource()
	o.before, o.after = resource.Overlay(o.want, o.was, live)
	for _, path := range ignored {
		resource.Keep(o.after, o.before, path)
	}
	o.record = p.recordOf(o, ignored)
	o.changes = hostChanges(resource.Diff(o.before, o.after))
	p.weigh(o)
	recorded := o.compareRecord()
	if o.rec != nil && o.rec.Status == state.StatusReady && (len(o.changes) > 0 || o.rewrite) {
		p.compareDrift(o, ignored, live)
	}
	p.compareGuest(o, ignored)
	o.pending = append(o.pending, name...)
	p.compareActive(o)
	switch {
	case o.impact == drivers.ImpactReplace:
		o.fate, o.cause = fateReplace, worstCause(o.fields)
	case o.cause != "":
	case o.rec != nil && o.rec.Status == state.StatusCreating:
		o.cause = "an earlier run was not finished"
	case o.inactive && len(o.changes) == 0:
		o.cause = "is not active on the host"
	case !recorded && len(o.changes)+len(o.guest) > 0 && o.was != nil:
		o.cause = "changed outside of vmplan"
	case !o.from.IsZero() && len(o.fields) == 0:
		o.cause = fmt.Sprintf("moved from %s", o.from)
	case o.stale && len(o.fields) == 0:
		o.cause = "what it refers to has moved"
	default:
		o.cause = "changed in the files"
	}
}

// compareReplaced does as much for an object that is replaced anyway: so that the plan can say what differs.
func (p *planner) compareReplaced(o *object) {
	o.record = p.recordOf(o, nil)
	o.before, o.after = resource.Overlay(o.want, o.was, o.liveResource())
	o.changes = hostChanges(resource.Diff(o.before, o.after))
	o.impact = drivers.ImpactReplace
	for _, c := range o.changes {
		o.fields = append(o.fields, fieldChanges(c, drivers.ImpactReplace, "")...)
	}
	o.compareRecord()
}

// compareRecord notes what only the record has otherwise than it should, and tells whether the files changed.
func (o *object) compareRecord() bool {
	if o.was == nil {
		return false
	}
	changed := map[string]bool{}
	for _, c := range o.changes {
		changed[c.Path] = true
	}
	diff := resource.Diff(o.was, o.record)
	for _, c := range diff {
		if !changed[c.Path] {
			o.fields = append(o.fields, fieldChanges(c, drivers.ImpactRecord, "")...)
		}
	}
	o.rewrite = len(diff) > 0 || o.rec.Status != state.StatusReady || o.stale
	return len(diff) > 0
}

// compareDrift lists what somebody else changed: what was recorded against what is live.
func (p *planner) compareDrift(o *object, ignored []string, live resource.Resource) {
	if o.stored() && live.Base().Name != o.was.Base().Name { // which no host knows
		live = resource.Clone(live)
		live.Base().Name = o.was.Base().Name
	}
	now, then := resource.Overlay(o.was, nil, live)
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

// compareGuest finds what a running guest has otherwise than its definition, in fields that the files set. What can be given
// to it now is drift (or an update that was cut short) and is repaired; the rest waits for its next start.
func (p *planner) compareGuest(o *object, ignored []string) {
	if !o.on() || o.live.Running == nil || o.impact == drivers.ImpactReplace || len(resource.Diff(o.live.Running, o.live.Resource)) == 0 {
		return
	}
	before, after := resource.Overlay(o.want, o.was, o.live.Running)
	for _, path := range ignored {
		resource.Keep(after, before, path)
	}
	defined := map[string]bool{}
	for _, c := range o.changes {
		defined[c.Path] = true
	}
	changes := slices.DeleteFunc(hostChanges(resource.Diff(before, after)), func(c resource.Change) bool { return defined[c.Path] })
	pending := p.lingering(o)
	if len(changes) == 0 {
		o.pending = pending
		return
	}
	impact := impactsByPath(p.hosts[o.at.host].Rules.Impact(before, after))
	var drift []FieldChange
	for _, c := range changes {
		if i := impact[c.Path]; i.Impact <= drivers.ImpactLive {
			o.guest = append(o.guest, c)
			o.fields = append(o.fields, fieldChanges(c, drivers.ImpactLive, NoteRunning)...)
			back := resource.Change{Path: c.Path, Old: c.New, New: c.Old, Class: c.Class}
			drift = append(drift, fieldChanges(back, drivers.ImpactRecord, NoteRunning)...)
		} else {
			pending = append(pending, fieldChanges(c, drivers.ImpactNextBoot, i.Note)...)
		}
	}
	o.guestBefore = before
	if len(drift) > 0 && o.rec != nil {
		p.drift(o, Change{Action: ActionUpdate, Cause: "changed outside of vmplan", Fields: drift})
	}
	o.pending = pending
}

// lingering lists the project's disks that a running guest has until it stops, though its definition no longer does.
func (p *planner) lingering(o *object) []FieldChange {
	running, ok := o.live.Running.(*resource.VM)
	defined, is := o.live.Resource.(*resource.VM)
	if !ok || !is {
		return nil
	}
	var out []FieldChange
	for i := range running.Disks {
		d := &running.Disks[i]
		if defined.Disk(d.Label) != nil || o.want.(*resource.VM).Disk(d.Label) != nil {
			continue
		}
		if vol := p.atPlace[place{o.at.host, "volume/" + d.Source}]; vol != nil && vol.rec != nil {
			out = append(out, fieldChanges(resource.Change{Path: "disk." + d.Label, Old: d}, drivers.ImpactNextBoot, "")...)
		}
	}
	return out
}

// compareActive notices a network or pool that is defined but was stopped: what stands on it cannot start.
func (p *planner) compareActive(o *object) {
	if o.kind != resource.KindNetwork && o.kind != resource.KindPool || o.live.Power != drivers.PowerOff {
		return
	}
	o.inactive = true
	o.fields = append(o.fields, FieldChange{Path: "active", Old: "false", New: "true", Impact: drivers.ImpactLive})
	if o.rec != nil && o.rec.Status == state.StatusReady {
		p.drift(o, Change{Action: ActionUpdate, Cause: "changed outside of vmplan", Fields: []FieldChange{{Path: "active", Old: "true", New: "false"}}})
	}
}

// recordOf is what will be recorded of the object: what is desired, with ignored fields as they were and what only doing
// could tell carried over.
func (p *planner) recordOf(o *object, ignored []string) resource.Resource {
	if img, ok := o.want.(*resource.Image); ok && o.was != nil && img.Digest == "" {
		if was := o.was.(*resource.Image); o.at == o.goal && was.Digest != "" {
			img = resource.Clone(img)
			img.Digest = was.Digest
			o.want = img
		}
	}
	if len(ignored) == 0 || o.was == nil {
		return o.want
	}
	out := resource.Clone(o.want)
	for _, path := range ignored {
		resource.Keep(out, o.was, path)
	}
	return out
}

// weigh asks the host's rules what the changes do.
func (p *planner) weigh(o *object) {
	if len(o.changes) == 0 {
		return
	}
	o.impacts = impactsByPath(p.hosts[o.at.host].Rules.Impact(o.before, o.after))
	for _, c := range o.changes {
		i, ok := o.impacts[c.Path]
		if !ok {
			i = drivers.FieldImpact{Impact: drivers.ImpactReplace, Note: "the driver does not say how to change this"}
		}
		if o.kind != resource.KindVM && i.Impact != drivers.ImpactReplace {
			i.Impact = min(i.Impact, drivers.ImpactLive)
		}
		i = p.policy(o, c.Path, i)
		if o.live.Saved && inGuest(c.Path) {
			i.Note = strings.TrimPrefix(i.Note+"; the saved memory is discarded", "; ")
		}
		o.impacts[c.Path] = i
		o.fields = append(o.fields, fieldChanges(c, i.Impact, i.Note)...)
		o.impact = max(o.impact, i.Impact)
	}
}

// policy is what the vm's update makes of an impact.
func (p *planner) policy(o *object, path string, i drivers.FieldImpact) drivers.FieldImpact {
	vm, ok := o.want.(*resource.VM)
	if !ok || !o.on() {
		return i
	}
	switch {
	case p.stages(o) && i.Impact == drivers.ImpactRestart:
		i.Impact, i.Note = drivers.ImpactNextBoot, `update = "stage": waits for the guest's next start`
	case vm.Update == updateRestart && i.Impact > drivers.ImpactRecord && i.Impact < drivers.ImpactRestart && inGuest(path):
		i.Impact, i.Note = drivers.ImpactRestart, `update = "restart"`
	}
	return i
}

// stages tells whether the plan must not restart the vm for changes of its own.
func (p *planner) stages(o *object) bool {
	vm, ok := o.want.(*resource.VM)
	return ok && vm.Update == updateStage && !p.in.RestartPending && !isFalse(vm.Running)
}

// stageName leaves a guest that must not be restarted the name it has: unlike other fields it cannot even be written before
// the guest is off.
func (p *planner) stageName(o *object) []FieldChange {
	if !o.renamed() || !o.on() || !p.stages(o) {
		return nil
	}
	has, wanted := o.live.Resource.Base().Name, o.want.Base().Name
	o.wish = o.want
	o.want = resource.Clone(o.want)
	o.want.Base().Name = has
	o.goal = o.at
	return []FieldChange{fieldChange("name", has, wanted, drivers.ImpactNextBoot, `update = "stage": waits until the guest is off`)}
}

// The values of a vm's update that change what plans do.
const (
	updateStage   = "stage"
	updateRestart = "restart"
)

// inGuest tells whether a guest can see a change of the vm's field at all.
func inGuest(path string) bool {
	return path != "title" && path != "description" && path != "autostart"
}

func impactsByPath(list []drivers.FieldImpact) map[string]drivers.FieldImpact {
	out := make(map[string]drivers.FieldImpact, len(list))
	for _, i := range list {
		out[i.Path] = i
	}
	return out
}

func hostChanges(list []resource.Change) []resource.Change {
	return slices.DeleteFunc(list, func(c resource.Change) bool { return c.Class != resource.ClassHost })
}

func ignoredPaths(o *object) []string {
	if l := o.want.Base().Lifecycle; l != nil {
		return l.IgnoreChanges
	}
	return nil
}

// liveResource is the live object, in the type of the desired one. Bits in a pool have no name but their file.
func (o *object) liveResource() resource.Resource {
	model := o.want
	if model == nil {
		model = o.was
	}
	live := o.live.Resource
	if live.Kind() != model.Kind() {
		live = model
	}
	if o.stored() && live.Base().Name != model.Base().Name {
		live = resource.Clone(live)
		live.Base().Name = model.Base().Name
	}
	return live
}

// fieldChanges writes a change for people: a block that comes or goes as its fields.
func fieldChanges(c resource.Change, impact drivers.Impact, note string) []FieldChange {
	inner := func(block any) []resource.Field {
		if block == nil {
			return nil
		}
		return resource.BlockFields(block)
	}
	if !isBlock(c.Old) && !isBlock(c.New) {
		return []FieldChange{fieldChange(c.Path, c.Old, c.New, impact, note)}
	}
	var out []FieldChange
	for _, f := range inner(c.Old) {
		out = append(out, fieldChange(c.Path+"."+f.Path, f.Value, nil, impact, note))
	}
	for _, f := range inner(c.New) {
		out = append(out, fieldChange(c.Path+"."+f.Path, nil, f.Value, impact, note))
	}
	if len(out) == 0 {
		out = append(out, fieldChange(c.Path, c.Old, c.New, impact, note))
	}
	return out
}

func isBlock(v any) bool {
	switch v.(type) {
	case nil, string, bool, int, resource.Size, resource.Duration, resource.Secret, resource.Addr, []string, []resource.Addr:
		return false
	}
	return true
}

func fieldChange(path string, before, after any, impact drivers.Impact, note string) FieldChange {
	f := FieldChange{Path: path, Impact: impact, Note: note}
	f.Old, f.New = formatValue(before, &f), formatValue(after, &f)
	return f
}

func formatValue(v any, f *FieldChange) string {
	if v == nil {
		return ""
	}
	if _, ok := v.(resource.Secret); ok {
		f.Sensitive = true
	}
	return resource.Format(v)
}

// allFields lists what an object that comes or goes is set to, for people.
func allFields(r resource.Resource, impact drivers.Impact, going bool) []FieldChange {
	fields := resource.Fields(r)
	out := make([]FieldChange, 0, len(fields))
	for _, f := range fields {
		if f.Class == resource.ClassInput || f.Path == "host" || f.Path == "managed" || strings.HasPrefix(f.Path, "lifecycle.") {
			continue
		}
		if going {
			out = append(out, fieldChange(f.Path, f.Value, nil, impact, ""))
		} else {
			out = append(out, fieldChange(f.Path, nil, f.Value, impact, ""))
		}
	}
	return out
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
