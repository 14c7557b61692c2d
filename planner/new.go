package planner

import (
	"vmplan.dev/vmplan/config/resource"
)

// New makes the plan. The error is about in itself (a host that is missing from it); what the user must hear is a Finding.
func New(in Input) (*Plan, error) {
	p := &planner{
		in:               in,
		plan:             planOf(in),
		hosts:            map[string]*host{},
		dependOnReplaced: map[*object]bool{},
		moves:            map[resource.Addr]resource.Addr{},
		imports:          map[resource.Addr]resource.Import{},
	}
	if err := p.collect(); err != nil { // collect.go, moved_blocks.go, hosts.go; ownership.go says what is ours
		return nil, err
	}
	p.relate()                             // dependencies.go
	p.selectObjects()                      // select.go: --target and --exclude
	p.each((*planner).takeBackPredecessor) // predecessor.go: replacements that were interrupted
	p.each((*planner).decide)              // decide.go, decide_unwanted.go; compare.go, compare_guest.go
	p.propagate()                          // propagate.go: what that does to the objects around
	p.refuse()                             // refuse.go
	p.preflight()                          // preflight.go
	p.each((*planner).keepPredecessor)     // predecessor.go: what is replaced and deleted afterwards
	p.each((*planner).emit)                // steps.go, steps_update.go, protect.go, build_image.go, copy_downtime.go
	p.emitHosts()                          // hosts.go
	p.checkAbilities()                     // abilities.go
	p.link()                               // link.go
	p.order()
	p.summarise() // summarise.go
	return p.plan, nil
}

// planOf is a plan of in that does nothing yet.
func planOf(in Input) *Plan {
	return &Plan{
		Version: in.Version, Lineage: in.State.Lineage, Serial: in.State.Serial, Config: in.ConfigHash, Variables: in.Variables, Options: in.Options,
	}
}
