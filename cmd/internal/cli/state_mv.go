package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/state"
)

func (a *App) stateMvCommand() *cobra.Command {
	lock := lockOptions{operation: "state mv"}
	c := &cobra.Command{
		Use:   "mv FROM TO",
		Short: "Record objects under another address",
		Long: `Records the objects at FROM under the address TO, with what they own, and writes the new address into the ownership marks of the live objects.
Nothing else changes. FROM can be an object, a block with all its instances, or a module.

Rename the block in the files to match. A moved block in the files does the same as part of a plan, for everybody who applies
them.`,
		Example: `  vmplan state mv vm.old vm.web
  vmplan state mv 'vm.node[0]' vm.first
  vmplan state mv module.a module.b`,
		Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error { return a.runStateMv(c.Context(), args, lock) },
	}
	lock.addTo(c.Flags())
	return c
}

func (a *App) runStateMv(ctx context.Context, args []string, lock lockOptions) error {
	addrs, err := parseAddrs("state mv", args)
	if err != nil {
		return err
	}
	m := rename{addrs[0], addrs[1]}
	if err := m.check(); err != nil {
		return err
	}
	s, err := a.openRecorded(ctx, ".", projectOptions{}, lock)
	if err != nil {
		return err
	}
	defer s.Close()
	moved, err := moveRecords(s.State(), m)
	if err != nil {
		return err
	}
	// The marks come last: until they are written the next plan corrects them.
	if err := s.Backend().Write(ctx, s.State()); err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	for _, mv := range moved {
		a.printer().Note(fmt.Sprintf("Moved %s to %s.", mv.from, mv.to))
	}
	return s.markMoved(ctx, moved)
}

// moveRecords renames what m is about in the snapshot, and all references to it; it gives what moved, in order of address.
func moveRecords(snap *state.Snapshot, m rename) ([]rename, error) {
	var moved []rename
	for _, rec := range snap.Sorted() {
		from := rec.Object.Base().Addr
		to, ok := m.of(from)
		if !ok {
			continue
		}
		if snap.Records[to] != nil {
			return nil, fmt.Errorf("%s is recorded already: nothing was moved", to)
		}
		moved = append(moved, rename{from, to})
	}
	if len(moved) == 0 {
		return nil, fmt.Errorf("%s is not in the state: see vmplan state list", m.from)
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

// markMoved writes the new addresses on the live objects. A host that cannot be reached is a warning: the next apply does it.
func (s *session) markMoved(ctx context.Context, moved []rename) error {
	if err := s.Connect(); err != nil {
		return err
	}
	for _, mv := range moved {
		rec := s.State().Records[mv.to]
		base := rec.Object.Base()
		d := s.Drivers()[base.Host]
		if d == nil || !d.Marks(rec.Object.Kind()) {
			continue
		}
		mark := drivers.Mark{
			Lineage: s.State().Lineage, Addr: mv.to, Version: s.app.Version, Released: rec.Status == state.StatusReleased,
		}
		op := drivers.NewSetMark(rec.Object, mark)
		drivers.SetOwner(op, drivers.Owner{Lineage: mark.Lineage})
		_, err := d.Do(ctx, op, func(drivers.Progress) {})
		switch {
		case err == nil || errors.Is(err, drivers.ErrNotFound):
		case ctx.Err() != nil:
			return ctx.Err()
		default:
			s.app.printer().Warn("The mark on the host still has the old address",
				fmt.Sprintf("%s: %v. The next apply writes it.", mv.to, err))
		}
	}
	return nil
}
