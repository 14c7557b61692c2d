package apply_test

import (
	"context"
	"errors"
	"testing"

	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/planner"
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
