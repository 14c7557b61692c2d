package planner

import (
	"slices"
	"strings"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
)

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

// guestHas gives a function that tells whether a running guest has a field or block as it is wanted, whatever its definition says:
// what people change for its next start takes no restart to change back.
func (o *object) guestHas() func(path string) bool {
	if !o.on() || o.live.Running == nil {
		return func(string) bool { return false }
	}
	lacks := resource.Diff(resource.Overlay(o.want, o.was, o.live.Running))
	return func(path string) bool {
		return !slices.ContainsFunc(lacks, func(c resource.Change) bool {
			return c.Path == path || strings.HasPrefix(c.Path, path+".") || strings.HasPrefix(path, c.Path+".")
		})
	}
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
		if vol := p.atPlace[place{o.at.host, volumeKey(d.Source)}]; vol != nil && vol.rec != nil {
			out = append(out, fieldChanges(resource.Change{Path: "disk." + d.Label, Old: d}, drivers.ImpactNextBoot, "")...)
		}
	}
	return out
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
