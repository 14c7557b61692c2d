package statetest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"vmplan.dev/vmplan/state"
)

func lock(t *testing.T, b state.Backend, operation string) state.Unlock {
	t.Helper()
	unlock, err := b.Lock(context.Background(), state.NewLockInfo(operation))
	if err != nil {
		t.Fatalf("lock: %v", err)
	}
	return unlock
}

func lockExcludes(t *testing.T, open func() state.Backend) {
	ctx := context.Background()
	first, second := open(), open()
	info := state.NewLockInfo("apply")
	unlock, err := first.Lock(ctx, info)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range []state.Backend{first, second} {
		_, err := b.Lock(ctx, state.NewLockInfo("destroy"))
		var locked *state.LockedError
		if !errors.As(err, &locked) {
			t.Fatalf("the second lock: %v, want a LockedError", err)
		}
		if h := locked.Holder; h.ID != info.ID || h.Who != info.Who || h.PID != info.PID || h.Operation != "apply" || !h.Since.Equal(info.Since) {
			t.Errorf("the holder is said to be %+v, and is %+v", h, info)
		}
	}
	s := Snapshot(1) // reading needs no lock
	write(t, first, s)
	same(t, read(t, second), s)

	for range 2 {
		if err := unlock(); err != nil {
			t.Errorf("unlock: %v", err)
		}
	}
	other := lock(t, second, "destroy")
	if err := unlock(); err != nil { // must not give back what is another's now
		t.Errorf("unlock: %v", err)
	}
	if _, err := first.Lock(ctx, state.NewLockInfo("apply")); err == nil {
		t.Error("unlocking twice gave another's lock away")
	}
	if err := other(); err != nil {
		t.Errorf("unlock: %v", err)
	}
}

func lockWaits(t *testing.T, open func() state.Backend) {
	ctx := context.Background()
	holder, waiter := open(), open()
	unlock := lock(t, holder, "apply")

	var locked *state.LockedError
	if _, err := state.LockWait(ctx, waiter, state.NewLockInfo("destroy"), 50*time.Millisecond, nil); !errors.As(err, &locked) {
		t.Errorf("waiting in vain: %v, want a LockedError", err)
	}
	stopped, stop := context.WithCancel(ctx)
	if _, err := state.LockWait(stopped, waiter, state.NewLockInfo("destroy"), time.Minute, func(*state.LockedError) { stop() }); !errors.Is(err, context.Canceled) {
		t.Errorf("a wait that is cancelled: %v", err)
	}
	told := 0
	got, err := state.LockWait(ctx, waiter, state.NewLockInfo("destroy"), time.Minute, func(l *state.LockedError) {
		told++
		if l.Holder.Operation != "apply" {
			t.Errorf("told of %+v", l.Holder)
		}
		if err := unlock(); err != nil {
			t.Errorf("unlock: %v", err)
		}
	})
	if err != nil || told != 1 {
		t.Fatalf("told %d times, then: %v", told, err)
	}
	if err := got(); err != nil {
		t.Errorf("unlock: %v", err)
	}
}

func lockInTurn(t *testing.T, open func() state.Backend) {
	write(t, open(), Snapshot(0))
	var wg sync.WaitGroup
	for range 12 {
		wg.Go(func() {
			b := open()
			unlock, err := state.LockWait(context.Background(), b, state.NewLockInfo("count"), time.Minute, nil)
			if err != nil {
				t.Errorf("lock: %v", err)
				return
			}
			s, err := b.Read(context.Background())
			if err == nil {
				err = b.Write(context.Background(), s) // ErrStale if two were in here at once
			}
			if err := errors.Join(err, unlock()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if s := read(t, open()); s.Serial != 13 {
		t.Errorf("12 took turns, and the serial went from 1 to %d", s.Serial)
	}
}

func lockOfTheLiving(t *testing.T, open func() state.Backend) {
	ctx := context.Background()
	b := open()
	if holder, err := b.Break(ctx, ""); holder != nil || err != nil {
		t.Fatalf("breaking no lock: %+v, %v", holder, err)
	}
	info := state.NewLockInfo("apply")
	unlock, err := b.Lock(ctx, info)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"", info.ID, "another"} {
		_, err := open().Break(ctx, id)
		var locked *state.LockedError
		if !errors.As(err, &locked) || locked.Holder.ID != info.ID {
			t.Errorf("breaking the lock of a living holder as %q: %v", id, err)
		}
	}
	if _, err := open().Lock(ctx, state.NewLockInfo("destroy")); err == nil {
		t.Error("the lock was broken after all")
	}
	if err := unlock(); err != nil {
		t.Error(err)
	}
}
