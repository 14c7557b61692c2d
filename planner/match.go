package planner

import (
	"fmt"
	"slices"
	"strings"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/state"
)

// collect makes an object of everything desired or recorded, and finds it on its host.
func (p *planner) collect() error {
	if p.in.State == nil || p.in.Desired == nil {
		return fmt.Errorf("plan: there is no state or no desired set")
	}
	var hostBlocks []*resource.Host
	for _, r := range p.in.Desired.All() {
		if h, ok := r.(*resource.Host); ok {
			hostBlocks = append(hostBlocks, h)
			continue
		}
		if err := p.collectDesired(r); err != nil {
			return err
		}
	}
	var hostRecords []*state.Record
	for _, rec := range p.in.State.Sorted() {
		if _, ok := rec.Object.(*resource.Host); ok {
			hostRecords = append(hostRecords, rec)
			continue
		}
		if err := p.collectRecorded(rec); err != nil {
			return err
		}
	}
	p.collectHosts(hostBlocks, hostRecords)
	if byAddr := func(a, b *object) int { return resource.Compare(a.addr, b.addr) }; !slices.IsSortedFunc(p.sorted, byAddr) {
		slices.SortFunc(p.sorted, byAddr)
	}
	for _, o := range p.sorted {
		p.locate(o)
	}
	return nil
}

func (p *planner) collectDesired(r resource.Resource) error {
	base := r.Base()
	h, err := p.host(base.Host, base.Addr)
	if err != nil {
		return err
	}
	o := &object{addr: base.Addr, kind: r.Kind(), file: r}
	p.objects[o.addr] = o
	p.sorted = append(p.sorted, o)
	if p.in.Destroy {
		return nil
	}
	o.want, err = h.Rules.Normalize(r)
	if err != nil {
		o.want = nil
		p.find(Finding{
			Severity: SeverityError, Addr: o.addr, Path: fieldOf(err), Summary: "the host cannot have this",
			Detail: fmt.Sprintf("host %q: %v", base.Host, err),
		})
		return nil
	}
	o.goal = place{base.Host, resource.Key(o.want)}
	return nil
}

// fieldOf is the field that a Normalize error begins with.
func fieldOf(err error) string {
	path, _, ok := strings.Cut(err.Error(), ":")
	if !ok || strings.ContainsAny(path, " \"") {
		return ""
	}
	return path
}

func (p *planner) collectRecorded(rec *state.Record) error {
	base := rec.Object.Base()
	h, err := p.host(base.Host, base.Addr)
	if err != nil {
		return err
	}
	h.lived = true
	o := p.objects[base.Addr]
	if o == nil {
		o = &object{addr: base.Addr, kind: rec.Object.Kind()}
		p.objects[o.addr] = o
		p.sorted = append(p.sorted, o)
	}
	if o.kind != rec.Object.Kind() {
		return fmt.Errorf("plan: %s is a %s, but recorded as a %s", o.addr, o.kind, rec.Object.Kind())
	}
	// A record that today's rules do not take is compared as it stands.
	if o.was, err = h.Rules.Normalize(rec.Object); err != nil {
		o.was = rec.Object
	}
	o.rec = rec
	o.at = place{base.Host, resource.Key(o.was)}
	return nil
}

// locate notes who is at a place. Of two that claim one, it is the one that is not on its way out.
func (p *planner) locate(o *object) {
	at := o.at
	if o.rec == nil {
		at = o.goal
	} else {
		o.live = p.liveAt(o.at)
	}
	if at == (place{}) {
		return
	}
	if other := p.atPlace[at]; other == nil || other.rec == nil || o.rec != nil && other.rec.Status == state.StatusDeleting {
		p.atPlace[at] = o
	}
}

// decide chooses the object's fate as far as it depends on the object alone.
func (p *planner) decide(o *object) {
	if !o.chosen || o.fate != fateNone {
		return
	}
	switch {
	case o.want == nil && o.rec == nil:
	case o.want == nil:
		p.decideUnwanted(o)
	case !o.managed():
		p.decideUnmanaged(o)
	case o.rec == nil:
		p.decideNew(o)
	default:
		p.decideRecorded(o)
	}
	if o.fate == fateKeep {
		p.compare(o)
	}
}

func (p *planner) decideUnwanted(o *object) {
	vm, _ := o.was.(*resource.VM)
	vol, _ := o.was.(*resource.Volume)
	switch claimant := p.atPlace[o.at]; {
	case o.rec.Status == state.StatusReleased && o.live != nil:
	case o.live == nil:
		o.fate, o.cause = fateForget, "gone from the host already"
	case claimant != o && claimant != nil:
		o.fate, o.cause = fateForget, fmt.Sprintf("what was here is %s now", claimant.addr)
	case p.stranger(o, o.live):
		o.fate, o.cause = fateForget, "something else has taken its place on the host, which is left alone"
	case vm != nil && (p.in.Orphan || p.orphans(o, vm)) && o.rec.Status != state.StatusDeleting:
		o.fate, o.cause = fateRelease, p.whyGone(o)
	case vol != nil && p.retains(o, vol) && o.rec.Status == state.StatusReady:
		o.fate, o.cause, o.retain = fateRelease, p.whyGone(o), true
	default:
		o.fate, o.cause = fateDelete, p.whyGone(o)
	}
}

func (p *planner) orphans(o *object, was *resource.VM) bool {
	if vm, ok := o.file.(*resource.VM); ok {
		return vm.OnDelete == "orphan"
	}
	return was.OnDelete == "orphan"
}

func (p *planner) retains(o *object, was *resource.Volume) bool {
	if vol, ok := o.file.(*resource.Volume); ok {
		return vol.OnDelete == "retain"
	}
	return was.OnDelete == "retain"
}

func (p *planner) whyGone(o *object) string {
	switch {
	case o.rec.Status == state.StatusDeleting && isLeftBehind(o.addr):
		return "replaced by a new one"
	case o.rec.Status == state.StatusDeleting:
		return "its deletion was not finished"
	case p.in.Destroy:
		return "asked to destroy"
	}
	return "no longer in the files"
}

func (p *planner) decideUnmanaged(o *object) {
	o.live = p.liveAt(o.goal)
	if o.live == nil {
		p.refuseAt(o, "managed", "there is no such object on the host", fmt.Sprintf(
			"%s is written with managed = false, so it must exist already, but host %q has no %s called %q. Create it there, or remove managed = false.",
			o.addr, o.goal.host, o.kind, nameOf(o.want)))
		return
	}
	if o.rec != nil {
		o.fate, o.cause = fateRelease, "managed = false in the files"
	}
}

func (p *planner) decideNew(o *object) {
	live := p.liveAt(o.goal)
	pool, _ := o.want.(*resource.Pool)
	switch {
	case live == nil && pool != nil && pool.Implicit:
		o.fate, o.cause = fateCreate, "no pool is declared, and the host has none"
	case live == nil:
		o.fate, o.cause = fateCreate, CauseAbsent
	case p.atPlace[o.goal] != o:
		o.fate, o.cause = fateCreate, fmt.Sprintf("takes the place of %s", p.atPlace[o.goal].addr)
	case p.ours(o, live):
		o.take(live, "bears this project's mark, but was not recorded")
	case p.attachedToAdopted(o):
		o.take(live, fmt.Sprintf("attached to %s", o.addr.Owner()))
	case pool != nil && pool.Implicit:
		o.live = live
	default:
		p.refuseStranger(o, live)
	}
}

// take adopts what is live at the object's goal.
func (o *object) take(live *drivers.Object, cause string) {
	o.fate, o.adopt, o.cause = fateKeep, true, cause
	o.live, o.at = live, o.goal
}

func (p *planner) decideRecorded(o *object) {
	lost := "was deleted outside of vmplan"
	switch o.rec.Status {
	case state.StatusCreating:
		lost = "its creation was not finished"
	case state.StatusDeleting:
		lost = "its deletion was not finished, and it is wanted again"
	case state.StatusReleased:
		lost = "was released, and is gone from the host since"
	}
	switch {
	case p.restore(o):
	case o.live == nil:
		if o.fate, o.cause = fateCreate, lost; o.rec.Status == state.StatusReady {
			p.drift(o, Change{Action: ActionDelete, Cause: lost})
		}
	case p.stranger(o, o.live):
		if pool, ok := o.want.(*resource.Pool); ok && pool.Implicit && o.rec.Status == state.StatusCreating {
			o.fate, o.cause = fateForget, "the host's own pool is used"
			return
		}
		p.refuseStranger(o, o.live)
	case o.rec.Status == state.StatusDeleting:
		o.fate, o.cause = fateReplace, lost
	case o.rec.Status == state.StatusCreating && o.stored():
		o.fate, o.cause = fateReplace, lost
	case slices.ContainsFunc(p.in.Replace, func(a resource.Addr) bool { return a.Contains(o.addr) }):
		o.fate, o.cause = fateReplace, "asked to replace"
	case o.at.host != o.goal.host:
		o.fate, o.cause = fateReplace, fmt.Sprintf("moves from host %q to host %q", o.at.host, o.goal.host)
	case o.at != o.goal:
		o.fate, o.cause = fateReplace, p.whyMoved(o)
	case o.rec.Status == state.StatusReleased:
		o.take(o.live, "was released, and is wanted again")
	default:
		o.fate = fateKeep
		if m := o.live.Mark; m != nil && (m.Released || m.Addr != o.addr) {
			o.adopt, o.cause = true, "its mark says otherwise"
		}
	}
	if o.fate == fateReplace {
		p.compareReplaced(o)
	}
}

func (p *planner) whyMoved(o *object) string {
	switch o.kind {
	case resource.KindImage:
		return "its source or checksum changed"
	case resource.KindSeed:
		return "its content changed"
	}
	return "its name or place on the host changes"
}

// attachedToAdopted tells whether the object is owned by a vm that is taken back, and attached to it.
func (p *planner) attachedToAdopted(o *object) bool {
	owner := p.objects[o.addr.Owner()]
	if o.addr.Part == "" || owner == nil || !owner.adopt {
		return false
	}
	vm, ok := owner.live.Resource.(*resource.VM)
	return ok && slices.ContainsFunc(vm.Disks, func(d resource.Disk) bool { return d.Source == resource.VolumeID(o.want) })
}

// ours tells whether a live object that is not recorded was made by this project at this address.
func (p *planner) ours(o *object, live *drivers.Object) bool {
	if live.Mark != nil {
		return live.Mark.Lineage == p.in.State.Lineage && live.Mark.Addr == o.addr
	}
	id := uuidOf(o.want)
	return id != "" && id == uuidOf(live.Resource)
}

// stranger tells whether what is live at a recorded object's place is not that object.
func (p *planner) stranger(o *object, live *drivers.Object) bool {
	if o.stored() {
		return false
	}
	if live.Mark != nil {
		return live.Mark.Lineage != p.in.State.Lineage
	}
	a, b := uuidOf(o.was), uuidOf(live.Resource)
	return a != "" && b != "" && a != b
}

func uuidOf(r resource.Resource) string {
	switch r := r.(type) {
	case *resource.VM:
		return r.UUID
	case *resource.Network:
		return r.UUID
	case *resource.Pool:
		return r.UUID
	}
	return ""
}

// nameOf is what the host calls the object.
func nameOf(r resource.Resource) string {
	if id := resource.VolumeID(r); id != "" {
		return id
	}
	return r.Base().Name
}
