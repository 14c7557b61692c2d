package planner

import (
	"fmt"
	"slices"
	"strings"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
)

// refuse finds what must not be done, and leaves those objects alone.
func (p *planner) refuse() {
	for _, o := range p.sorted {
		if o.action == ActionDelete || o.action == ActionReplace {
			p.refuseProtected(o)
			if !o.deletePostponed {
				p.refuseInUse(o)
			}
		}
		p.refuseOccupied(o)
		p.refuseReplacingImport(o)
		p.refuseMovingBase(o)
		p.refuseUnprotectable(o)
		p.refuseUnfinishedRestore(o)
	}
}

func (p *planner) refuseProtected(o *object) {
	r := o.declared
	if r == nil {
		r = o.recorded
	}
	if l := r.Base().Lifecycle; l == nil || !l.PreventDestroy {
		return
	}
	does := "delete"
	if o.action == ActionReplace {
		does = "replace"
	}
	p.refuseAt(o, "lifecycle.prevent_destroy", "protected from deletion", fmt.Sprintf(
		"The plan would %s %s (%s), which has prevent_destroy = true. Take back what asks for it, or set prevent_destroy = false and apply that first.",
		does, o.addr, o.cause))
}

// refuseInUse refuses to delete what others still use.
func (p *planner) refuseInUse(o *object) {
	if o.live == nil {
		return
	}
	var names []string
	for _, key := range o.live.Users {
		u := p.byLocation[location{o.location.host, key}]
		switch {
		case u == o:
		case u == nil:
			names = append(names, strings.Replace(key, "/", " ", 1)+" (not of this project)")
		case !p.stopsUsing(u, o):
			names = append(names, u.addr.String())
		}
	}
	if len(names) == 0 {
		return
	}
	slices.Sort(names)
	p.refuseAt(o, "", "in use", fmt.Sprintf(
		"The plan would delete the %s %q on host %q (%s), but it is used by %s. Detach or delete these first, or keep %s.",
		o.kind, nameOf(o.recorded), o.location.host, o.cause, strings.Join(slices.Compact(names), ", "), o.addr))
}

// stopsUsing tells whether u no longer uses what o is now by the time that o is deleted.
func (p *planner) stopsUsing(u, o *object) bool {
	switch u.action {
	case ActionDelete, ActionReplace:
		return true
	case ActionCreate:
		return u.halfBuiltOn(o)
	case ActionUpdate:
		return !uses(u.after, o.location.key) || o.action == ActionReplace && !o.createBeforeDelete && u.kind == resource.KindVM
	case ActionNone:
		// A vm whose definition no longer mentions it, but whose guest has it still.
		return u.kind == resource.KindVM && u.live != nil && !uses(u.live.Resource, o.location.key) && o.kind != resource.KindVolume
	}
	return false
}

// refuseOccupied refuses to create an object where another one is and stays.
func (p *planner) refuseOccupied(o *object) {
	live, occupant := p.liveAt(o.destination), p.byLocation[o.destination]
	switch {
	case !o.moves() || live == nil || p.departingOccupant(o) != nil:
	case occupant == nil || occupant == o:
		p.refuseStranger(o, live)
	default:
		p.refuseAt(o, "name", "the name is taken", fmt.Sprintf(
			"%s would be %s %q on host %q, but %s has that name and keeps it. Give one of them another name.",
			o.addr, o.kind, nameOf(o.planned), o.destination.host, occupant.addr))
	}
}

func (p *planner) refuseStranger(o *object, live *drivers.Object) {
	owner := "has no mark of this project and is not recorded"
	switch m := live.Mark; {
	case m != nil && m.Lineage == p.in.State.Lineage:
		owner = fmt.Sprintf("is marked as this project's %s", m.Addr)
	case m != nil:
		owner = fmt.Sprintf("belongs to another project (%s, lineage %s)", m.Addr, m.Lineage)
	case o.stored():
		owner = "is not recorded as made by this project"
	}
	takeOver := "take the existing one over with an import block"
	if m := live.Mark; m != nil && m.Lineage != p.in.State.Lineage {
		takeOver = "release the existing one there (a removed block with cascade = false) and take it over here with an import block"
	}
	p.refuseAt(o, "", "the host has an object of this name already", fmt.Sprintf(
		"Host %q has %s %q that %s, so vmplan will not touch it. Give %s another name, or %s, or only refer to it with managed = false.",
		o.destination.host, o.kind.WithArticle(), nameOf(o.planned), owner, o.addr, takeOver))
}

// refuseReplacingImport refuses to replace what has just been taken over.
func (p *planner) refuseReplacingImport(o *object) {
	if !o.replaceForbidden || o.action != ActionReplace || slices.ContainsFunc(o.requires, func(n *object) bool { return n.replaceForbidden && n.action == ActionReplace }) {
		return
	}
	var differs []string
	for _, f := range o.fields {
		if f.Impact == drivers.ImpactReplace {
			differs = append(differs, fmt.Sprintf("%s is %s, and the files say %s", f.Path, f.Old, f.New))
		}
	}
	p.refuseAt(o, "", "the import would replace what it takes over", fmt.Sprintf(
		"%s (%s) cannot be taken over as the files describe it: %s. Write in the files what is there; what is to change can change once it is imported.",
		nameOf(o.planned), o.cause, strings.Join(differs, "; ")))
}
