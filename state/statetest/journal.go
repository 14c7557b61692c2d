package statetest

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/state"
)

func journalIsFolded(t *testing.T, open func() state.Backend) {
	b, s := open(), Snapshot(3)
	write(t, b, s)
	for _, batch := range [][]state.Entry{
		{entry("vm0", 7)},
		{entry("new", 1), removal("vm1"), entry("new", 2)},
		{},
		{removal("never-there")},
	} {
		appendTo(t, b, s, batch...)
		for _, e := range batch {
			s.Apply(e)
		}
		same(t, read(t, b), s)
		same(t, read(t, open()), s)
	}
	// Another process goes on where this one stopped.
	other := open()
	appendTo(t, other, read(t, other), entry("vm2", 9))
	s.Apply(entry("vm2", 9))
	same(t, read(t, b), s)
}

func writeDropsJournal(t *testing.T, open func() state.Backend) {
	b, s := open(), Snapshot(1)
	write(t, b, s)
	appendTo(t, b, s, entry("dropped", 1))
	write(t, b, s)
	same(t, read(t, open()), s)
	appendTo(t, b, s, entry("vm0", 3))
	s.Apply(entry("vm0", 3))
	same(t, read(t, open()), s)
}

func journalBeforeFirstWrite(t *testing.T, open func() state.Backend) {
	b, s := open(), Snapshot(0)
	appendTo(t, b, s, entry("vm0", 1))
	s.Apply(entry("vm0", 1))
	same(t, read(t, open()), s)

	other := Snapshot(1)
	other.Lineage = "another"
	stale(t, open().Write(context.Background(), other))

	got := read(t, open())
	write(t, open(), got)
	if got.Serial != 1 {
		t.Errorf("the first write made serial %d", got.Serial)
	}
	same(t, read(t, b), got)
}

func staleAppend(t *testing.T, open func() state.Backend) {
	ctx := context.Background()
	b, s := open(), Snapshot(1)
	write(t, b, s)
	write(t, b, s)
	old, other := *s, *s
	old.Serial--
	other.Lineage = "another"
	stale(t, b.Append(ctx, &old, entry("vm0", 5)))
	stale(t, b.Append(ctx, &other, entry("vm0", 5)))
	stale(t, open().Append(ctx, Snapshot(1), entry("vm0", 5)))
	same(t, read(t, open()), s)
}

func concurrentAppends(t *testing.T, open func() state.Backend) {
	b, s := open(), Snapshot(0)
	write(t, b, s)
	const workers, each = 32, 8
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range each {
				if err := b.Append(context.Background(), s, entry(fmt.Sprintf("w%d-%d", w, i), i), entry(fmt.Sprint("w", w), i)); err != nil {
					t.Errorf("append: %v", err)
				}
			}
		})
	}
	wg.Wait()
	got := read(t, open())
	if len(got.Records) != workers*(each+1) {
		t.Errorf("%d records are there, want %d", len(got.Records), workers*(each+1))
	}
	for w := range workers { // in one worker's order
		if m := got.Records[addr(fmt.Sprint("w", w))].Object.(*resource.VM).Memory; m != each*resource.MiB {
			t.Errorf("worker %d: the last entry is not the last: %s", w, m)
		}
	}
}

func badEntry(t *testing.T, open func() state.Backend) {
	b, s := open(), Snapshot(1)
	write(t, b, s)
	unreadable := entry("not a name", 1)
	nameless := entry("vm0", 1)
	nameless.Addr = resource.Addr{}
	misplaced := entry("vm0", 1)
	misplaced.Addr = addr("vm1")
	unknown := entry("vm0", 1)
	unknown.Phase = "perhaps"
	for _, e := range []state.Entry{unreadable, nameless, misplaced, unknown} {
		if err := b.Append(context.Background(), s, e); err == nil {
			t.Errorf("%+v was taken", e)
		}
	}
	appendTo(t, b, s, entry("vm0", 2))
	s.Apply(entry("vm0", 2))
	same(t, read(t, open()), s)
}

// anySequence compares the backend with a model: a snapshot in memory.
func anySequence(t *testing.T, open func() state.Backend) {
	b, s := open(), Snapshot(0)
	write(t, b, s)
	rapid.Check(t, func(t *rapid.T) {
		for range rapid.IntRange(1, 8).Draw(t, "changes") {
			name := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "name")
			switch rapid.IntRange(0, 4).Draw(t, "change") {
			case 0:
				write(t, b, s)
			case 1:
				b = open()
			case 2:
				appendTo(t, b, s, removal(name))
				s.Apply(removal(name))
			default:
				e := entry(name, rapid.IntRange(0, 9).Draw(t, "version"))
				appendTo(t, b, s, e)
				s.Apply(e)
			}
		}
		same(t, read(t, b), s)
		same(t, read(t, open()), s)
	})
}
