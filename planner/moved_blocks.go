package planner

import (
	"fmt"
	"slices"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/state"
)

// readRefactorings notes which recorded blocks are found under another address from now on, and what is imported. A move of
// what is not recorded, or to an address where something is recorded, is none.
func (p *planner) readRefactorings() {
	for _, m := range p.in.Moves {
		if p.in.State.Records[m.From] != nil && p.in.State.Records[m.To] == nil {
			p.moves[m.From] = m.To
		}
	}
	for _, i := range p.in.Imports {
		p.imports[i.To] = i
	}
}

// addrNow is the address that a recorded one stands for now.
func (p *planner) addrNow(a resource.Addr) resource.Addr {
	if to, ok := p.moves[a.Owner()]; ok {
		return to.WithPart(a.Part)
	}
	return a
}

// readdress gives a record as if it had been made after the moves: with every address in it as it is now. stale tells whether
// it differs in more than its own address. What was re-addressed already, by an interrupted run, keeps its old one.
func (p *planner) readdress(rec *state.Record) (_ *state.Record, stale bool) {
	if len(p.moves) == 0 {
		return rec, false
	}
	own := rec.Object.Base().Addr
	now := *rec
	now.Object = resource.Readdress(rec.Object, p.addrNow)
	if to := now.Object.Base().Addr; to != own && p.in.State.Records[to] != nil {
		now.Object.Base().Addr = own
	}
	now.DependsOn = slices.Clone(rec.DependsOn)
	for i, a := range now.DependsOn {
		now.DependsOn[i] = p.addrNow(a)
	}
	return &now, len(resource.Diff(rec.Object, now.Object)) > 0 || !slices.Equal(rec.DependsOn, now.DependsOn)
}

// emitMove records an object that moved under its new address before anything else happens to it. What is kept is marked in
// the same step (see emitAdopt).
func (p *planner) emitMove(o *object) {
	if o.movedFrom.IsZero() || o.action == ActionNone || o.action == ActionUpdate {
		return
	}
	if o.action == ActionForget { // there is nothing to go on with
		p.emitForgetOld(o, o.cause)
		o.steps = append(o.steps, o.oldRecordForgotten)
		return
	}
	s := p.step(o, drivers.NewRecord(o.recorded), o.location.host, drivers.ImpactRecord)
	rec := *o.record
	s.Record = &rec
	o.preamble = len(o.steps)
	p.emitForgetOld(o, fmt.Sprintf("moved to %s", o.addr))
}

// emitForgetOld forgets the record at the old address of a moved object, once the new one is there. No other step waits for
// that.
func (p *planner) emitForgetOld(o *object, cause string) {
	about := subject{addr: o.movedFrom, owner: o.addr.Owner(), host: o.location.host, cause: cause}
	o.oldRecordForgotten = p.add(about, drivers.NewForget(p.oldRecord(o)), drivers.ImpactRecord)
	if n := len(o.steps); n > 0 {
		o.oldRecordForgotten.after(o.steps[n-1])
	}
}

func (p *planner) oldRecord(o *object) resource.Resource {
	return p.in.State.Records[o.movedFrom].Object
}

// linkMove has a block recorded at its new address only after all its parts are, and the old records forgotten only after
// that: so after an interruption anywhere it is safe to continue, or to go back.
func (p *planner) linkMove(o *object) {
	owner := p.objects[o.addr.Owner()]
	if o.oldRecordForgotten == nil || o.addr.Part == "" || owner == nil || len(owner.steps) == 0 {
		return
	}
	if o.action != ActionForget {
		owner.steps[0].after(o.steps[0])
	}
	o.oldRecordForgotten.after(owner.steps[0])
}
