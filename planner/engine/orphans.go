package engine

import (
	"context"
	"fmt"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/planner"
	"vmplan.dev/vmplan/state"
)

// Orphans lists what carries the project's mark and is not managed, in order of address. Hosts must have been observed whole.
func (p *Project) Orphans() []planner.Orphan { return planner.Orphans(p.seen) }

// DeleteOrphans plans the deletion of orphans, with what is their own.
func (p *Project) DeleteOrphans(orphans []planner.Orphan) *Plan {
	return &Plan{Plan: planner.DeleteOrphans(p.seen, orphans), of: p}
}

// AdoptOrphans records those that the files have a block for, with what they own, as Rebuild does, and gives what was recorded.
func (p *Project) AdoptOrphans(ctx context.Context, orphans []planner.Orphan) ([]resource.Addr, error) {
	wanted := map[resource.Addr]bool{}
	for _, o := range orphans {
		if o.Wanted && !o.Released {
			wanted[o.Addr] = true
		}
	}
	recorded := p.state
	rebuilt, err := p.rebuildOnly(ctx, wanted)
	p.state = recorded
	if err != nil {
		return nil, err
	}
	var adopted []resource.Addr
	for _, c := range rebuilt.Taken {
		if wanted[c.Addr.Owner()] && recorded.Records[c.Addr] == nil {
			recorded.Apply(state.Entry{Addr: c.Addr, Record: rebuilt.Records[c.Addr]})
			adopted = append(adopted, c.Addr)
		}
	}
	if len(adopted) == 0 {
		return nil, nil
	}
	for addr, rec := range rebuilt.Records {
		if addr.Kind == resource.KindHost && recorded.Records[addr] == nil {
			recorded.Apply(state.Entry{Addr: addr, Record: rec})
		}
	}
	if err := p.backend.Write(ctx, recorded); err != nil {
		return nil, fmt.Errorf("write state: %w", err)
	}
	return adopted, nil
}

// rebuildOnly makes records of the wanted blocks alone, in a state that has nothing else.
func (p *Project) rebuildOnly(ctx context.Context, wanted map[resource.Addr]bool) (*planner.Rebuilt, error) {
	marked := planner.Marked(p.seen.Hosts, p.state.Lineage)
	p.state = &state.Snapshot{Lineage: p.state.Lineage, Salt: p.state.Salt, Records: map[resource.Addr]*state.Record{}}
	for addr, rec := range marked {
		if wanted[addr.Owner()] {
			p.state.Records[addr] = rec
		}
	}
	if err := p.Load(); err != nil {
		return nil, err
	}
	in, err := p.observe(ctx, planner.Options{}, true)
	if err != nil {
		return nil, err
	}
	return planner.Rebuild(in), nil
}
