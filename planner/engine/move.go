package engine

import (
	"context"
	"errors"
	"fmt"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/state"
)

// Renaming gives recorded objects another address: one object, all instances of a block, or a module.
type Renaming struct{ From, To resource.Addr }

// of gives the new address of what is at a, and whether the renaming is about it. An instance keeps its key unless to has one.
func (m Renaming) of(a resource.Addr) (resource.Addr, bool) {
	whole := m.From.Key == "" && m.To.Key == ""
	return a.Rename(m.From, m.To, m.From.Kind == "" || whole)
}

// check tells why the renaming cannot be done, if so.
func (m Renaming) check() error {
	switch {
	case m.From.Part != "" || m.To.Part != "":
		return fmt.Errorf("from %s to %s: what a vm owns moves with it: name the vm", m.From, m.To)
	case m.From.Kind == resource.KindHost || m.To.Kind == resource.KindHost:
		return fmt.Errorf("from %s to %s: a host cannot be moved", m.From, m.To)
	case (m.From.Kind == "") != (m.To.Kind == ""):
		return fmt.Errorf("from %s to %s: a module can be moved to a module, an object to an object", m.From, m.To)
	case m.From.Kind != m.To.Kind:
		return fmt.Errorf("from %s to %s: a %s cannot become a %s", m.From, m.To, m.From.Kind, m.To.Kind)
	case m.From == m.To:
		return fmt.Errorf("from %s to %s: they are the same", m.From, m.To)
	}
	return nil
}

// Move records what m is about under its new addresses, with what it owns, and writes these on the live objects. It gives what moved,
// in order of address.
func (p *Project) Move(ctx context.Context, m Renaming) ([]Renaming, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	moved, err := moveRecords(p.state, m)
	if err != nil {
		return nil, err
	}
	// The marks come last: until they are written the next plan corrects them.
	if err := p.backend.Write(ctx, p.state); err != nil {
		return nil, fmt.Errorf("write state: %w", err)
	}
	return moved, p.markMoved(ctx, moved)
}

// moveRecords renames what m is about in the snapshot, and all references to it; it gives what moved, in order of address.
func moveRecords(snap *state.Snapshot, m Renaming) ([]Renaming, error) {
	var moved []Renaming
	for _, rec := range snap.Sorted() {
		from := rec.Object.Base().Addr
		to, ok := m.of(from)
		if !ok {
			continue
		}
		if snap.Records[to] != nil {
			return nil, fmt.Errorf("%s is recorded already: nothing was moved", to)
		}
		moved = append(moved, Renaming{from, to})
	}
	if len(moved) == 0 {
		return nil, fmt.Errorf("%s is not in the state: see vmplan state list", m.From)
	}
	renamed := func(a resource.Addr) resource.Addr {
		if a.IsZero() {
			return a
		}
		to, _ := m.of(a)
		return to
	}
	records := make(map[resource.Addr]*state.Record, len(snap.Records))
	for _, rec := range snap.Records {
		next := *rec
		next.Object = resource.Readdress(rec.Object, renamed)
		next.DependsOn = nil
		for _, d := range rec.DependsOn {
			next.DependsOn = append(next.DependsOn, renamed(d))
		}
		records[next.Object.Base().Addr] = &next
	}
	snap.Records = records
	return moved, nil
}

// markMoved writes the new addresses on the live objects. One that cannot be written is a MarkPending event: the next apply does it.
func (p *Project) markMoved(ctx context.Context, moved []Renaming) error {
	if err := p.Connect(); err != nil {
		return err
	}
	for _, mv := range moved {
		rec := p.state.Records[mv.To]
		base := rec.Object.Base()
		d := p.drivers[base.Host]
		if d == nil || !d.Marks(rec.Object.Kind()) {
			continue
		}
		mark := drivers.Mark{
			Lineage: p.state.Lineage, Addr: mv.To, Version: p.opts.Version, Released: rec.Status == state.StatusReleased,
		}
		op := drivers.NewSetMark(rec.Object, mark)
		drivers.SetOwner(op, drivers.Owner{Lineage: mark.Lineage})
		_, err := d.Do(ctx, op, func(drivers.Progress) {})
		switch {
		case err == nil || errors.Is(err, drivers.ErrNotFound):
		case ctx.Err() != nil:
			return ctx.Err()
		default:
			p.tell(MarkPending{Addr: mv.To, Err: err})
		}
	}
	return nil
}
