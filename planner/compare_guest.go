package planner

import (
	"slices"
	"strings"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
)

// compareGuest finds what a running guest has different from its definition, in fields that the files set. What can be given
// to it now is drift (or an update that was interrupted) and is repaired; the rest waits for its next start.
func (p *planner) compareGuest(o *object, ignored []string) {
	if !o.isOn() || o.live.Running == nil || o.impact == drivers.ImpactReplace || len(resource.Diff(o.live.Running, o.live.Resource)) == 0 {
		return
	}
	before, after := resource.Overlay(o.planned, o.recorded, o.live.Running)
	for _, path := range ignored {
		resource.Keep(after, before, path)
	}
	defined := map[string]bool{}
	for _, c := range o.changes {
		defined[c.Path] = true
	}
	changes := slices.DeleteFunc(hostChanges(resource.Diff(before, after)), func(c resource.Change) bool { return defined[c.Path] })
	pending := p.disksUntilStop(o)
	if len(changes) == 0 {
		o.pending = pending
		return
	}
	impact := impactsByPath(p.hosts[o.location.host].Rules.Impact(before, after))
	var drift []FieldChange
	for _, c := range changes {
		if i := impact[c.Path]; i.Impact <= drivers.ImpactLive {
			o.guestChanges = append(o.guestChanges, c)
			o.fields = append(o.fields, fieldChanges(c, drivers.ImpactLive, NoteRunning)...)
			back := resource.Change{Path: c.Path, Old: c.New, New: c.Old, Class: c.Class}
			drift = append(drift, fieldChanges(back, drivers.ImpactRecord, NoteRunning)...)
		} else {
			pending = append(pending, fieldChanges(c, drivers.ImpactNextBoot, i.Note)...)
		}
	}
	o.guestBefore = before
	if len(drift) > 0 && o.record != nil {
		p.drift(o, Change{Action: ActionUpdate, Cause: "changed outside of vmplan", Fields: drift})
	}
	o.pending = pending
}

// guestHas gives a function that tells whether a running guest has a field or block as it is wanted, whatever its definition says:
// what people change for its next start takes no restart to change back.
func (o *object) guestHas() func(path string) bool {
	if !o.isOn() || o.live.Running == nil {
		return func(string) bool { return false }
	}
	lacks := resource.Diff(resource.Overlay(o.planned, o.recorded, o.live.Running))
	return func(path string) bool {
		return !slices.ContainsFunc(lacks, func(c resource.Change) bool {
			return c.Path == path || strings.HasPrefix(c.Path, path+".") || strings.HasPrefix(path, c.Path+".")
		})
	}
}

// disksUntilStop lists the project's disks that a running guest has until it stops, although its definition no longer does.
func (p *planner) disksUntilStop(o *object) []FieldChange {
	running, ok := o.live.Running.(*resource.VM)
	defined, is := o.live.Resource.(*resource.VM)
	if !ok || !is {
		return nil
	}
	var out []FieldChange
	for i := range running.Disks {
		d := &running.Disks[i]
		if defined.Disk(d.Label) != nil || o.planned.(*resource.VM).Disk(d.Label) != nil {
			continue
		}
		if vol := p.byLocation[location{o.location.host, volumeKey(d.Source)}]; vol != nil && vol.record != nil {
			out = append(out, fieldChanges(resource.Change{Path: "disk." + d.Label, Old: d}, drivers.ImpactNextBoot, "")...)
		}
	}
	return out
}

// applyUpdatePolicy changes an impact to what the vm's update attribute asks for.
func (p *planner) applyUpdatePolicy(o *object, path string, i drivers.FieldImpact) drivers.FieldImpact {
	vm, ok := o.planned.(*resource.VM)
	if !ok || !o.isOn() {
		return i
	}
	switch {
	case p.stagesChanges(o) && i.Impact == drivers.ImpactRestart:
		i.Impact, i.Note = drivers.ImpactNextBoot, `update = "stage": waits for the guest's next start`
	case vm.Update == updateRestart && i.Impact > drivers.ImpactRecord && i.Impact < drivers.ImpactRestart && inGuest(path):
		i.Impact, i.Note = drivers.ImpactRestart, `update = "restart"`
	}
	return i
}

// stagesChanges tells whether the plan must not restart the vm for its own changes.
func (p *planner) stagesChanges(o *object) bool {
	vm, ok := o.planned.(*resource.VM)
	return ok && vm.Update == updateStage && !p.in.RestartPending && !isFalse(vm.Running)
}

// postponeRename leaves a guest that must not be restarted the name it has: unlike other fields it cannot even be written before
// the guest is off.
func (p *planner) postponeRename(o *object) []FieldChange {
	if !o.renamed() || !o.isOn() || !p.stagesChanges(o) {
		return nil
	}
	has, wanted := o.live.Resource.Base().Name, o.planned.Base().Name
	o.planned = resource.Clone(o.planned)
	o.planned.Base().Name = has
	o.renameWaits = true
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
