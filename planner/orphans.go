package planner

import (
	"fmt"
	"slices"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/state"
)

// Orphan is a live vm or network that has the project's mark and is not managed: it is in no record, or was released.
type Orphan struct {
	Claim
	Released bool          `json:"released"`
	Wanted   bool          `json:"wanted"` // the files have its block, so the next apply takes it back
	Power    drivers.Power `json:"power"`
	// Owns are the files of a vm's disks that are its own as far as can be told; Keeps those of its other disks.
	Owns  []string `json:"owns,omitempty"`
	Keeps []string `json:"keeps,omitempty"`

	object resource.Resource
	owned  []resource.Resource
	record *state.Record // nil when there is none
}

// Orphans lists what has the mark of in.State's lineage and is not managed, in order of address. Only what was observed of
// the disks is taken for their own: observe whole hosts.
func Orphans(in Input) []Orphan {
	var out []Orphan
	for _, live := range liveObjects(in.Hosts) {
		m := live.Mark
		if m == nil || m.Lineage != in.State.Lineage {
			continue
		}
		o := Orphan{Released: m.Released, Wanted: in.Desired.Get(m.Addr) != nil, Power: live.Power}
		switch rec := in.State.Records[m.Addr]; {
		case live.builds():
			o.Why, o.Wanted = leftBuilding(m.Addr), false
		case rec != nil && recordedLocation(in, rec) != live.location:
			o.Why, o.Wanted = "has the mark of another object, like a copy made by hand", false
		case rec != nil && rec.Status != state.StatusReleased:
			continue
		case m.Released:
			o.Why, o.record = "was released", rec
		default:
			o.Why = "is in no record"
		}
		o.object = resource.Clone(live.Resource)
		o.object.Base().Addr, o.object.Base().Host = m.Addr, live.host
		o.Addr, o.Kind, o.Host, o.Name = m.Addr, o.object.Kind(), live.host, nameOf(o.object)
		if vm, ok := o.object.(*resource.VM); ok {
			o.divide(in.Hosts[live.host], vm)
		}
		out = append(out, o)
	}
	slices.SortStableFunc(out, func(a, b Orphan) int { return resource.Compare(a.Addr, b.Addr) })
	return out
}

func recordedLocation(in Input, rec *state.Record) location {
	r := rec.Object
	if h, ok := in.Hosts[r.Base().Host]; ok {
		if n, err := h.Rules.Normalize(r); err == nil {
			r = n
		}
	}
	return location{r.Base().Host, resource.Key(r)}
}

// divide tells the disks that are the vm's own, by their names and because nobody else uses them, from the others.
func (o *Orphan) divide(h Host, vm *resource.VM) {
	for _, part := range partsOfDisks(vm) {
		id := resource.VolumeID(part)
		live := h.Observed.Objects[resource.Key(part)]
		switch {
		case live == nil:
		case ownedName(part, vm) && slices.Equal(live.Users, []string{resource.Key(vm)}):
			o.Owns, o.owned = append(o.Owns, id), append(o.owned, part)
		default:
			o.Keeps = append(o.Keeps, id)
		}
	}
}

// DeleteOrphans makes the plan that deletes the orphans: a running guest is shut down first, and what is its own goes last.
func DeleteOrphans(in Input, orphans []Orphan) *Plan {
	a := newActionPlan(in)
	for i := range orphans {
		a.deleteOrphan(in, &orphans[i])
	}
	return a.finish()
}

func (a *actionPlan) deleteOrphan(in Input, o *Orphan) {
	delete(a.last, o.Addr) // of several objects with one mark, each goes by itself
	step := func(op drivers.Op) *step {
		r := op.Target()
		name := fmt.Sprintf("%s %s on %s", r.Kind(), nameOf(r), o.Host)
		return a.step(subject{addr: r.Base().Addr, name: name, owner: o.Addr, host: o.Host, cause: "orphan"}, op, drivers.ImpactDestroy)
	}
	if vm, ok := o.object.(*resource.VM); ok && o.Power != drivers.PowerOff {
		step(drivers.NewStop(vm, false)).KeepRecord = true
	}
	// Nothing but the vm leads to its disks: once it is gone, an interrupted run would leave them behind for ever.
	for _, part := range o.owned {
		if o.mayRecord(in, part) {
			step(drivers.NewRecord(part)).Record = &state.Record{Object: part, Status: state.StatusDeleting}
		}
	}
	step(drivers.NewDelete(o.object)).KeepRecord = o.record == nil
	for _, part := range o.owned {
		step(drivers.NewDelete(part)).KeepRecord = !o.mayRecord(in, part)
	}
}

// mayRecord tells whether the address of an orphan's disk is the orphan's to record: that of a copy is another object's.
func (o *Orphan) mayRecord(in Input, part resource.Resource) bool {
	rec := in.State.Records[part.Base().Addr]
	return rec == nil && in.State.Records[o.Addr] == nil || o.record != nil
}
