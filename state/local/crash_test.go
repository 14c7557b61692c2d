package local_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/state"
	"vmplan.dev/vmplan/state/local"
	"vmplan.dev/vmplan/state/statetest"
)

// The test binary runs itself as other processes: they do what these functions do, with the state file as first argument.
var children = map[string]func(b *local.Backend) error{
	"change":  changeForever,
	"hold":    holdForever,
	"collide": lockOnce,
}

func TestMain(m *testing.M) {
	run, ok := children[os.Getenv("LOCAL_TEST_CHILD")]
	if !ok {
		os.Exit(m.Run())
	}
	b, err := local.Open(os.Getenv("LOCAL_TEST_STATE"))
	if err == nil {
		err = run(b)
	}
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func child(t *testing.T, name, path string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), "LOCAL_TEST_CHILD="+name, "LOCAL_TEST_STATE="+path)
	return cmd
}

// numbered is a change that can be recognised: the record of vm n%5 says n.
func numbered(n int) state.Entry {
	r := statetest.Record(fmt.Sprint("w", n%5), n)
	return state.Entry{Step: strconv.Itoa(n), Addr: r.Object.Base().Addr, Phase: state.PhaseDone, Record: r}
}

// newest gives the highest number that the state holds, 0 for none.
func newest(s *state.Snapshot) int {
	n := 0
	for _, r := range s.Records {
		n = max(n, int(r.Object.(*resource.VM).Memory/resource.MiB)-1)
	}
	return n
}

// changeForever appends one change after the other, writes after some, and says which are acknowledged.
func changeForever(b *local.Backend) error {
	ctx := context.Background()
	unlock, err := b.Lock(ctx, state.NewLockInfo("change"))
	if err != nil {
		return err
	}
	defer unlock()
	s, err := b.Read(ctx)
	if err != nil {
		return err
	}
	if s.Lineage == "" {
		s = statetest.Snapshot(0)
	}
	for n := newest(s) + 1; ; n++ {
		if err := b.Append(ctx, s, numbered(n)); err != nil {
			return err
		}
		fmt.Println(n)
		s.Apply(numbered(n))
		if n%7 == 0 {
			if err := b.Write(ctx, s); err != nil {
				return err
			}
		}
	}
}

// The promise that everything else depends on: acknowledged writes survive a kill at any moment, and the state can be read.
func TestKilledAtAnyMomentTheStateHoldsAllThatWasAcknowledged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lab.vmstate")
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	moments := rand.New(rand.NewPCG(seed, 0))
	acknowledged := 0
	for round := range 40 {
		cmd := child(t, "change", path)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		until := acknowledged + 1 + moments.IntN(30)
		delay := time.Duration(moments.IntN(500)) * time.Microsecond
		var killing sync.Once
		for lines.Scan() {
			n, err := strconv.Atoi(lines.Text())
			if err != nil {
				t.Fatalf("round %d: %s", round, lines.Text())
			}
			acknowledged = n
			if n >= until {
				killing.Do(func() { time.AfterFunc(delay, func() { _ = cmd.Process.Kill() }) })
			}
		}
		if err := cmd.Wait(); cmd.ProcessState.Exited() {
			t.Fatalf("round %d: the child ended by itself: %v", round, err)
		}
		s, err := open(t, path).Read(ctx)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		// One more may be there: durable, but killed before it could say so.
		if got := newest(s); got != acknowledged && got != acknowledged+1 {
			t.Fatalf("round %d: %d changes were acknowledged, and the state holds %d", round, acknowledged, got)
		}
		checkHistory(t, s)
	}
	if acknowledged < 40 {
		t.Errorf("only %d changes were made", acknowledged)
	}
}

// checkHistory checks that s is what the first N changes make, in order.
func checkHistory(t *testing.T, s *state.Snapshot) {
	t.Helper()
	want := &state.Snapshot{Lineage: s.Lineage, Serial: s.Serial, Salt: s.Salt}
	for n := max(1, newest(s)-4); n <= newest(s); n++ {
		want.Apply(numbered(n))
	}
	got, err1 := state.Encode(s)
	expected, err2 := state.Encode(want)
	if err1 != nil || err2 != nil || string(got) != string(expected) {
		t.Fatalf("the state is\n%s\nwant\n%s\n%v %v", got, expected, err1, err2)
	}
}

func holdForever(b *local.Backend) error {
	if _, err := b.Lock(context.Background(), state.NewLockInfo("hold")); err != nil {
		return err
	}
	fmt.Println("held")
	select {}
}

// held starts a process that holds the lock.
func held(t *testing.T, path string) *exec.Cmd {
	t.Helper()
	cmd := child(t, "hold", path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "held\n" {
		t.Fatalf("the child says %q, %v", line, err)
	}
	return cmd
}

func TestTheLockOfAKilledProcessCanBeBroken(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lab.vmstate")
	cmd := held(t, path)
	b := open(t, path)
	var locked *state.LockedError
	if _, err := b.Lock(ctx, state.NewLockInfo("apply")); !errors.As(err, &locked) || locked.Holder.PID != cmd.Process.Pid {
		t.Errorf("while the child %d lives: %v", cmd.Process.Pid, err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if _, err := b.Break(ctx, "another"); !errors.As(err, &locked) {
		t.Errorf("breaking a lock by another's id: %v", err)
	}
	if holder, err := b.Break(ctx, locked.Holder.ID); err != nil || holder == nil || holder.PID != cmd.Process.Pid {
		t.Errorf("breaking what the child left: %+v, %v", holder, err)
	}
	if holder, err := b.Break(ctx, ""); err != nil || holder != nil {
		t.Errorf("breaking it again: %+v, %v", holder, err)
	}
}

func TestTheLockOfAKilledProcessIsTakenOver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lab.vmstate")
	cmd := held(t, path)
	b := open(t, path)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	unlock, err := b.Lock(ctx, state.NewLockInfo("apply"))
	if err != nil {
		t.Fatalf("after the child was killed: %v", err)
	}
	if err := unlock(); err != nil {
		t.Error(err)
	}
}

// lockOnce takes the lock, waiting for it, and adds a change that says so.
func lockOnce(b *local.Backend) error {
	ctx := context.Background()
	unlock, err := state.LockWait(ctx, b, state.NewLockInfo("collide"), time.Minute, nil)
	if err != nil {
		return err
	}
	s, err := b.Read(ctx)
	if err != nil {
		return err
	}
	if err := b.Append(ctx, s, numbered(newest(s)+1)); err != nil {
		return err
	}
	if s, err = b.Read(ctx); err != nil {
		return err
	}
	return errors.Join(b.Write(ctx, s), unlock())
}

func TestFiftyProcessesTakeTurns(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lab.vmstate")
	write(t, open(t, path), statetest.Snapshot(0))
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if out, err := child(t, "collide", path).CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, strings.TrimSpace(string(out)))
			}
		})
	}
	wg.Wait()
	s, err := open(t, path).Read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if newest(s) != 50 || s.Serial != 51 {
		t.Errorf("50 processes made %d changes and serial %d", newest(s), s.Serial)
	}
	if got := listing(t, filepath.Dir(path)); len(got) != 2 {
		t.Errorf("left over: %v", got)
	}
}
