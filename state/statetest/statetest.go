// Package statetest is the suite that every state backend passes. It must not know a backend.
package statetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/state"
)

// Run runs the suite. make prepares a place where nothing was ever written, and gives a function that opens it: each call
// stands for another process.
func Run(t *testing.T, make func(t *testing.T) (open func() state.Backend)) {
	for name, story := range map[string]func(*testing.T, func() state.Backend){
		"a new place is empty":                             newPlaceIsEmpty,
		"what is written is read back":                     writtenIsReadBack,
		"a write that is not of the last serial is stale":  staleWrite,
		"a snapshot is not kept by reference":              noSharing,
		"the journal is folded in, by others too":          journalIsFolded,
		"a write drops the journal":                        writeDropsJournal,
		"the journal begins before the first write":        journalBeforeFirstWrite,
		"appending to another snapshot's journal is stale": staleAppend,
		"appends at once are all kept":                     concurrentAppends,
		"a bad entry fails alone":                          badEntry,
		"a reader meets whole versions only":               readWhileWriting,
		"one holds the lock and the others hear who":       lockExcludes,
		"waiting for the lock":                             lockWaits,
		"many take the lock in turn":                       lockInTurn,
		"the lock of the living is not broken":             lockOfTheLiving,
		"a state can be replaced whatever it is":           replaceWhatever,
		"a cancelled context is honoured":                  cancelled,
		"any sequence of changes reads back":               anySequence,
	} {
		t.Run(name, func(t *testing.T) { story(t, make(t)) })
	}
}

// Snapshot makes a state with n records that Write takes as the first.
func Snapshot(n int) *state.Snapshot {
	s := &state.Snapshot{
		Lineage: "6d0ac2f8-27a0-4f0c-9f1e-5a8d5b0c1f11",
		Salt:    bytes.Repeat([]byte{7}, 32),
		Records: map[resource.Addr]*state.Record{},
	}
	for i := range n {
		r := Record(fmt.Sprint("vm", i), i)
		s.Records[r.Object.Base().Addr] = r
	}
	return s
}

// Record makes a record of the vm called name, in version i.
func Record(name string, i int) *state.Record {
	running := i%2 == 0
	return &state.Record{
		Object: &resource.VM{
			Meta:    resource.Meta{Addr: addr(name), Host: "lab", Name: name},
			Memory:  resource.Size(i+1) * resource.MiB,
			Disks:   []resource.Disk{{Label: "root", Source: "default/" + name + ".qcow2", Bus: "virtio"}},
			Running: &running,
		},
		Status:    state.StatusReady,
		DependsOn: []resource.Addr{{Kind: resource.KindNetwork, Name: "lan"}},
		Power:     state.PowerOn,
	}
}

func addr(name string) resource.Addr { return resource.Addr{Kind: resource.KindVM, Name: name} }

func entry(name string, i int) state.Entry {
	return state.Entry{Step: fmt.Sprint("update ", i), Addr: addr(name), Phase: state.PhaseDone, Record: Record(name, i)}
}

func removal(name string) state.Entry {
	return state.Entry{Step: "delete", Addr: addr(name), Phase: state.PhaseDone}
}

// text is a snapshot as bytes, to compare and to show.
func text(t failer, s *state.Snapshot) string {
	t.Helper()
	if s.Lineage == "" && len(s.Records) == 0 {
		return fmt.Sprintf("empty, serial %d", s.Serial)
	}
	data, err := state.Encode(s)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return string(data)
}

type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

func read(t failer, b state.Backend) *state.Snapshot {
	t.Helper()
	s, err := b.Read(context.Background())
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	return s
}

func write(t failer, b state.Backend, s *state.Snapshot) {
	t.Helper()
	if err := b.Write(context.Background(), s); err != nil {
		t.Fatalf("write: %v", err)
	}
}

func appendTo(t failer, b state.Backend, s *state.Snapshot, entries ...state.Entry) {
	t.Helper()
	if err := b.Append(context.Background(), s, entries...); err != nil {
		t.Fatalf("append: %v", err)
	}
}

func same(t failer, got, want *state.Snapshot) {
	t.Helper()
	if g, w := text(t, got), text(t, want); g != w {
		t.Fatalf("read back\n%s\nwant\n%s", g, w)
	}
}

func stale(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, state.ErrStale) {
		t.Errorf("got error %v, want ErrStale", err)
	}
}

func newPlaceIsEmpty(t *testing.T, open func() state.Backend) {
	if s := read(t, open()); s.Lineage != "" || s.Serial != 0 || len(s.Records) != 0 {
		t.Errorf("got %+v", s)
	}
}

func writtenIsReadBack(t *testing.T, open func() state.Backend) {
	b, s := open(), Snapshot(20)
	for serial := uint64(1); serial < 4; serial++ {
		write(t, b, s)
		if s.Serial != serial {
			t.Fatalf("the write made serial %d, want %d", s.Serial, serial)
		}
		same(t, read(t, b), s)
		same(t, read(t, open()), s)
		delete(s.Records, addr(fmt.Sprint("vm", serial)))
	}
}

func staleWrite(t *testing.T, open func() state.Backend) {
	ctx := context.Background()
	b, s := open(), Snapshot(1)
	early := Snapshot(2)
	early.Serial = 1
	stale(t, b.Write(ctx, early))
	write(t, b, s)
	write(t, b, s)

	old, ahead, other := *s, *s, *s
	old.Serial--
	ahead.Serial++
	other.Lineage = "another"
	for _, wrong := range []*state.Snapshot{&old, &ahead, &other, Snapshot(1)} {
		serial := wrong.Serial
		stale(t, open().Write(ctx, wrong))
		if wrong.Serial != serial {
			t.Errorf("a refused write changed the serial from %d to %d", serial, wrong.Serial)
		}
	}
	same(t, read(t, open()), s)
}

func noSharing(t *testing.T, open func() state.Backend) {
	b, s := open(), Snapshot(2)
	write(t, b, s)
	want := text(t, s)
	e := entry("vm0", 5)
	appendTo(t, b, s, e)
	e.Record.Object.(*resource.VM).Memory = resource.TiB
	s.Records[addr("vm1")].Status = state.StatusDeleting
	delete(s.Records, addr("vm1"))
	got := read(t, b)
	if m := got.Records[addr("vm0")].Object.(*resource.VM).Memory; m != 6*resource.MiB {
		t.Errorf("changing an entry after Append changed what is kept: %s", m)
	}
	got.Records[addr("vm0")] = Record("vm0", 0)
	if g := text(t, got); g != want {
		t.Errorf("changing a snapshot after Write changed what is kept:\n%s\nwant\n%s", g, want)
	}
}

func cancelled(t *testing.T, open func() state.Backend) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	b, s := open(), Snapshot(1)
	write(t, b, s)
	_, readErr := b.Read(ctx)
	_, lockErr := b.Lock(ctx, state.NewLockInfo("test"))
	for what, err := range map[string]error{
		"read": readErr, "lock": lockErr, "write": b.Write(ctx, s), "append": b.Append(ctx, s, entry("vm0", 1)),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", what, err)
		}
	}
	same(t, read(t, b), s)
}

func readWhileWriting(t *testing.T, open func() state.Backend) {
	b, s := open(), Snapshot(50)
	write(t, b, s)
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			reader, serial := open(), uint64(0)
			for {
				got, err := reader.Read(context.Background())
				switch {
				case err != nil:
					t.Errorf("read: %v", err)
					return
				case got.Serial < serial || len(got.Records) < 50:
					t.Errorf("after serial %d came %d with %d records", serial, got.Serial, len(got.Records))
					return
				}
				serial = got.Serial
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for i := range 30 {
		appendTo(t, b, s, entry(fmt.Sprint("new", i), i))
		s.Apply(entry(fmt.Sprint("new", i), i))
		write(t, b, s)
	}
	close(done)
	readers.Wait()
	same(t, read(t, open()), s)
}
