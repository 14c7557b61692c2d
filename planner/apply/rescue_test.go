package apply_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/planner"
	"vmplan.dev/vmplan/planner/apply"
	"vmplan.dev/vmplan/state"
)

// risky are a snapshot, two steps that may fail, and what brings the vm back when one of them does.
func risky(w *world) (all []planner.Step, ids map[string]string) {
	web := vm("web", volume("root"))
	p := create(pool())
	v := create(volume("root"), p)
	m := create(web, v)
	w.mustRun(p, v, m)
	keep := func(s planner.Step) planner.Step {
		s.KeepRecord = true
		return s
	}
	taken := keep(step(drivers.NewSnapshot(web, "before", false)))
	update := keep(step(drivers.NewUpdate(web, web, false), taken))
	start := keep(step(drivers.NewStart(web), update))
	drop := keep(step(drivers.NewDropSnapshot(web, "before"), start))
	restore := keep(step(drivers.NewRestore(web, "before", true)))
	restore.Rescue = []string{update.ID, start.ID}
	again := keep(step(drivers.NewReboot(web, true), restore))
	again.Rescue = restore.Rescue
	return []planner.Step{taken, update, start, drop, restore, again}, map[string]string{"restore": restore.ID, "again": again.ID, "drop": drop.ID}
}

func TestARescueRunsOnlyWhenWhatItSavesFails(t *testing.T) {
	for _, c := range []struct {
		fails   string
		rescued bool
		done    int
	}{
		{"", false, 4},
		{"update vm.web", true, 2}, // the snapshot, the restore; a guest that is off cannot reboot
		{"start vm.web", true, 3},
		{"snapshot vm.web", false, 0},
	} {
		w := newWorld(t)
		steps, ids := risky(w)
		if c.fails != "" {
			w.hook = failOn(c.fails, errors.New("a cable was pulled"))
		}
		s, err := w.run(context.Background(), steps...)
		if err != nil {
			t.Fatal(err)
		}
		restored, again := false, false
		for _, e := range w.events {
			restored = restored || e.Step == ids["restore"]
			again = again || e.Step == ids["again"]
		}
		if restored != c.rescued || again != c.rescued || s.Done != c.done {
			t.Errorf("with %q failing the restore is spoken of: %t, and what follows it: %t; %+v", c.fails, restored, again, s)
		}
	}
}

func TestARescueNeedsWhatItIsToSave(t *testing.T) {
	w := newWorld(t)
	lonely := step(drivers.NewRestore(vm("web"), "before", true))
	lonely.Rescue = []string{"no such step"}
	if _, err := w.run(context.Background(), lonely); err == nil {
		t.Error("a plan is carried out in which a step is to save one that is not there")
	}
}

// Ctrl-C while a step runs that then fails: what brings the guest back is still done, and nothing else.
func TestAnInterruptLetsRescuesRun(t *testing.T) {
	for _, c := range []struct {
		fails   bool
		grace   time.Duration // after which the update is cancelled
		done    string
		skipped int
	}{
		{fails: true, done: "snapshot vm.web, restore vm.web", skipped: 2}, // the start and the drop
		{fails: true, grace: 2 * time.Second, done: "snapshot vm.web, restore vm.web", skipped: 2},
		{fails: false, done: "snapshot vm.web, update vm.web", skipped: 2},
	} {
		w := newWorld(t)
		steps, _ := risky(w)
		steps = steps[:5] // without what cannot be done after the restore
		w.log, w.env.Grace = nil, c.grace
		ctx, interrupt := context.WithCancel(t.Context())
		w.hook = func(ctx context.Context, id string) error {
			if id != "update vm.web" {
				return ctx.Err()
			}
			interrupt()
			if c.grace > 0 {
				<-ctx.Done()
			}
			if c.fails {
				return errors.New("a cable was pulled")
			}
			return nil
		}
		s, err := w.run(ctx, steps...)
		if err != nil || !s.Interrupted {
			t.Fatalf("%+v, %v", s, err)
		}
		var done []string
		for _, e := range w.events {
			if e.Kind == apply.EventDone && slices.ContainsFunc(steps, func(s planner.Step) bool { return s.ID == e.Step }) {
				done = append(done, e.Step)
			}
		}
		if got := strings.Join(done, ", "); got != c.done || s.Skipped != c.skipped {
			t.Errorf("interrupted in an update that fails: %t; done: %s; %+v, %q", c.fails, got, s, w.skipped())
		}
	}
}

// What can no longer be recorded is not begun, be it to save others.
func TestNoRescueWithoutAState(t *testing.T) {
	w := newWorld(t)
	steps, ids := risky(w)
	steps[1].Intent = &state.Record{Object: vm("web"), Status: state.StatusCreating}
	full := errors.New("no space left on device")
	w.onAppend = func(e state.Entry) error {
		if e.Phase == state.PhaseFailed {
			return full
		}
		return nil
	}
	w.hook = failOn("update vm.web", errors.New("a cable was pulled"))
	if s, err := w.run(t.Context(), steps...); !errors.Is(err, full) || s.Failed != 1 {
		t.Errorf("%+v, %v", s, err)
	}
	if w.position("do "+ids["restore"]) >= 0 {
		t.Errorf("restored, although that could not be recorded: %q", w.log)
	}
}

// Whatever the graph, the failures and the moment of an interrupt: each step is done with once, and a rescue runs exactly when
// what it depends on was done and one of those that it saves has failed.
func TestRescuesRunWheneverTheyMust(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t)
		w.mustPool()
		steps := randomPlan(rt)
		needed := map[string]bool{} // by the steps behind, going backwards
		for i := len(steps) - 1; i > 0; i-- {
			if n := rapid.IntRange(-1, i-1).Draw(rt, "saves"); n >= 0 && !needed[steps[i].ID] && !slices.Contains(steps[i].DependsOn, steps[n].ID) {
				steps[i].Rescue = []string{steps[n].ID}
			}
			for _, id := range steps[i].DependsOn {
				needed[id] = true
			}
		}
		fails := map[string]bool{}
		for _, s := range steps {
			fails[s.ID] = rapid.IntRange(0, 3).Draw(rt, "luck") == 0
		}
		ctx, interrupt := context.WithCancel(t.Context())
		defer interrupt()
		last := fmt.Sprintf("create volume.v%d", rapid.IntRange(0, 2*len(steps)).Draw(rt, "interrupted in"))
		w.hook = func(_ context.Context, id string) error {
			if id == last {
				interrupt()
			}
			if fails[id] {
				return errors.New("fault")
			}
			return nil
		}
		w.env.Parallelism, w.env.PerHost = rapid.IntRange(1, 8).Draw(rt, "parallelism"), rapid.IntRange(1, 4).Draw(rt, "per host")
		s, err := w.run(ctx, steps...)
		if err != nil {
			rt.Fatal(err)
		}
		checkRescues(rt, w, steps)
		if ended := s.Done + s.Failed + s.Skipped; ended > len(steps) {
			rt.Fatalf("%d of %d steps have ended: %+v", ended, len(steps), s)
		}
		checkFold(rt, w)
	})
}

func checkRescues(rt *rapid.T, w *world, steps []planner.Step) {
	ran := func(verb, id string) bool { return w.position(verb+" "+id) >= 0 }
	for _, s := range steps {
		if len(s.Rescue) == 0 {
			continue
		}
		must := slices.ContainsFunc(s.Rescue, func(id string) bool { return ran("failed", id) && ran("do", id) })
		for _, id := range s.DependsOn {
			must = must && ran("done", id)
		}
		if ran("do", s.ID) != must {
			rt.Fatalf("%s, which is to save %q, after %q, has run: %t; %q", s.ID, s.Rescue, s.DependsOn, !must, w.log)
		}
	}
}
