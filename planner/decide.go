package planner

import (
	"fmt"
	"slices"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/state"
)

// decide chooses what happens to the object, as far as that depends on the object alone.
func (p *planner) decide(o *object) {
	o.planned = o.desired
	if !o.selected || o.action != ActionNone {
		return
	}
	switch {
	case o.desired == nil && o.record == nil:
	case o.desired == nil:
		p.decideUnwanted(o)
	case !o.managed():
		p.decideUnmanaged(o)
	case o.record == nil:
		p.decideNew(o)
	default:
		p.decideRecorded(o)
	}
	switch o.action {
	case ActionUpdate:
		p.compare(o)
	case ActionDelete, ActionRelease:
		o.before = o.asRecorded()
	}
}

func (p *planner) decideUnmanaged(o *object) {
	if p.liveAt(o.destination) == nil {
		p.refuseAt(o, "managed", "there is no such object on the host", fmt.Sprintf(
			"%s is written with managed = false, so it must exist already, but host %q has no %s called %q. Create it there, or remove managed = false.",
			o.addr, o.destination.host, o.kind, nameOf(o.planned)))
		return
	}
	if o.record == nil {
		return
	}
	o.action, o.cause = ActionRelease, "managed = false in the files"
	if o.live == nil { // it is recorded elsewhere, and not there
		o.action = ActionForget
	}
}

func (p *planner) decideNew(o *object) {
	live := p.liveAt(o.destination)
	pool, _ := o.planned.(*resource.Pool)
	imported, isImport := p.imports[o.addr]
	switch {
	case isImport && (live == nil || p.byLocation[o.destination] == o):
		p.decideImport(o, imported.ID)
	case live == nil && pool != nil && pool.Implicit:
		o.action, o.cause = ActionCreate, "no pool is declared, and the host has none"
	case live == nil:
		o.action, o.cause = ActionCreate, CauseAbsent
	case p.byLocation[o.destination] != o:
		o.action, o.cause = ActionCreate, fmt.Sprintf("takes the place of %s", p.byLocation[o.destination].addr)
	case p.isOurs(o, live):
		o.adoptLive("has this project's mark, but was not recorded")
	case p.attachedToOwner(o) && p.objects[o.addr.Owner()].adopt:
		o.adoptLive(fmt.Sprintf("attached to %s", o.addr.Owner()))
		o.replaceForbidden = p.objects[o.addr.Owner()].replaceForbidden
	case pool != nil && pool.Implicit: // it is used as it is
	default:
		p.refuseStranger(o, live)
	}
}

// decideImport takes over what an import block names.
func (p *planner) decideImport(o *object, id string) {
	live := p.liveAt(o.destination)
	switch {
	case live == nil:
		p.refuseAt(o, "", "there is nothing to import", fmt.Sprintf(
			"The import block for %s names the %s %q, which host %q does not have. Correct its id, or remove the block to have %s created.",
			o.addr, o.kind, id, o.destination.host, o.addr))
	case !p.importable(o, live):
		p.refuseStranger(o, live)
	default:
		o.adoptLive("import")
		o.replaceForbidden = true
	}
}

// adoptLive takes over, or takes back, what is live.
func (o *object) adoptLive(cause string) {
	o.action, o.adopt, o.cause = ActionUpdate, true, cause
}

func (p *planner) decideRecorded(o *object) {
	lost := "was deleted outside of vmplan"
	if p.poolIsUndefined(o) {
		lost = "its pool is not defined on the host"
	}
	switch o.record.Status {
	case state.StatusCreating:
		lost = "its creation was not finished"
	case state.StatusDeleting:
		lost = "its deletion was not finished, and it is wanted again"
	case state.StatusReleased:
		lost = "was released, and is gone from the host since"
	}
	switch {
	case o.restoredFrom != nil:
		o.adoptLive("the former one is wanted again")
	case o.live == nil:
		if o.action, o.cause = ActionCreate, lost; o.record.Status == state.StatusReady {
			p.drift(o, Change{Action: ActionDelete, Cause: lost})
		}
	case p.isForeign(o, o.live):
		if pool, ok := o.planned.(*resource.Pool); ok && pool.Implicit && o.record.Status == state.StatusCreating {
			o.action, o.cause = ActionForget, "the host's own pool is used"
			return
		}
		p.refuseStranger(o, o.live)
	case o.record.Status == state.StatusDeleting:
		o.action, o.cause = ActionReplace, lost
	case o.record.Status == state.StatusCreating && o.stored():
		o.action, o.cause = ActionReplace, lost
	case slices.ContainsFunc(p.in.Replace, func(a resource.Addr) bool { return a.Contains(o.addr) }):
		o.action, o.cause = ActionReplace, "asked to replace"
	case o.location.host != o.destination.host:
		o.action, o.cause = ActionReplace, fmt.Sprintf("moves from host %q to host %q", o.location.host, o.destination.host)
	case o.location != o.destination && o.kind != resource.KindVM: // a vm can be renamed, if its host can do that
		o.action, o.cause = ActionReplace, p.whyMoved(o)
	case o.record.Status == state.StatusReleased:
		o.adoptLive("was released, and is wanted again")
	default:
		o.action = ActionUpdate
		if m := o.live.Mark; m != nil && (m.Released || m.Addr != o.addr && o.movedFrom.IsZero()) {
			o.adopt, o.cause = true, "its mark says otherwise"
		}
	}
	if o.action == ActionReplace {
		p.compareReplaced(o)
	}
}

func (p *planner) whyMoved(o *object) string {
	switch want := o.planned.(type) {
	case *resource.Image:
		return whyRebuilt(o.recorded.(*resource.Image), want)
	case *resource.Seed:
		return "its content changed"
	}
	return "its name or place on the host changes"
}
