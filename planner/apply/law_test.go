package apply_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"vmplan.dev/vmplan/planner"
	"vmplan.dev/vmplan/state"
)

// Whatever the graph, the bounds and the failures: an intent is durable before its step touches the host, a result before
// what depends on it begins, nothing begins on a failure, and the last write is the journal folded up.
func TestTheOrderOfJournalAndEffects(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t)
		w.mustPool()
		steps := randomPlan(rt)
		fails := map[string]bool{}
		for _, s := range steps {
			fails[s.ID] = rapid.IntRange(0, 9).Draw(rt, "luck") == 0
		}
		w.hook = func(_ context.Context, id string) error {
			if fails[id] {
				return errors.New("fault")
			}
			return nil
		}
		w.env.Parallelism, w.env.PerHost = rapid.IntRange(1, 8).Draw(rt, "parallelism"), rapid.IntRange(1, 4).Draw(rt, "per host")
		s, err := w.run(context.Background(), steps...)
		if err != nil || s.Done+s.Failed+s.Skipped != len(steps) {
			rt.Fatalf("%+v, %v", s, err)
		}
		checkOrder(rt, w, steps)
		checkFold(rt, w)
	})
}

func randomPlan(rt *rapid.T) []planner.Step {
	var steps []planner.Step
	for i := range rapid.IntRange(1, 20).Draw(rt, "steps") {
		var after []planner.Step
		for _, j := range rapid.SliceOfNDistinct(rapid.IntRange(0, max(i-1, 0)), 0, min(i, 3), rapid.ID).Draw(rt, "after") {
			if j < i {
				after = append(after, steps[j])
			}
		}
		steps = append(steps, create(volume(fmt.Sprintf("v%d", i)), after...))
	}
	return steps
}

func checkOrder(rt *rapid.T, w *world, steps []planner.Step) {
	for _, s := range steps {
		do := w.position("do " + s.ID)
		if do < 0 {
			if w.position("intent "+s.ID) >= 0 {
				rt.Fatalf("%s: an intent, but no work: %q", s.ID, w.log)
			}
			continue
		}
		if i := w.position("intent " + s.ID); i < 0 || i > do {
			rt.Fatalf("%s: the host was touched before the intent: %q", s.ID, w.log)
		}
		for _, dep := range s.DependsOn {
			if d := w.position("done " + dep); d < 0 || d > w.position("intent "+s.ID) {
				rt.Fatalf("%s began before %s was recorded: %q", s.ID, dep, w.log)
			}
		}
	}
}

func checkFold(rt *rapid.T, w *world) {
	folded := &state.Snapshot{}
	for _, e := range w.journal {
		folded.Apply(e)
	}
	if got, want := statuses(w.snap), statuses(folded); got != want {
		rt.Fatalf("written %s, journalled %s", got, want)
	}
	if last := w.log[len(w.log)-1]; last != "write" || slices.Index(w.log, "write") != len(w.log)-1 {
		rt.Fatalf("the log ends with %s", strings.Join(w.log, ", "))
	}
}
