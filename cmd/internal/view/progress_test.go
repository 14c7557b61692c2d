package view

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/planner"
	"vmplan.dev/vmplan/planner/apply"
)

// story is what a small apply tells: an image that takes a while, a vm whose start fails, one that is not started, and a record.
func story(tell func(apply.Event), pass func(time.Duration)) apply.Summary {
	image := apply.Event{Step: "create image.debian", Addr: addr("image.debian"), Verb: "create"}
	web := apply.Event{Step: "start vm.web", Addr: addr("vm.web"), Verb: "start"}
	wait := apply.Event{Step: "wait vm.web", Addr: addr("vm.web"), Verb: "wait"}
	host := apply.Event{Step: "record host.lab", Addr: addr("host.lab"), Verb: "record"}
	say := func(e apply.Event, kind apply.EventKind, edit func(*apply.Event)) {
		e.Kind = kind
		if edit != nil {
			edit(&e)
		}
		tell(e)
	}
	say(host, apply.EventStarted, nil)
	say(host, apply.EventDone, nil)
	say(image, apply.EventStarted, nil)
	for i := range 31 {
		pass(time.Second)
		say(image, apply.EventProgress, func(e *apply.Event) {
			e.Progress = drivers.Progress{Phase: "downloading", Done: int64(i) << 20, Total: 30 << 20}
		})
	}
	say(image, apply.EventDone, func(e *apply.Event) { e.Elapsed = 31200 * time.Millisecond })
	say(web, apply.EventStarted, nil)
	err := &apply.StepError{Step: web.Step, Addr: web.Addr, Verb: "start", Err: drivers.ErrUnavailable}
	say(web, apply.EventFailed, func(e *apply.Event) { e.Err, e.Elapsed = err, 95*time.Second })
	say(wait, apply.EventSkipped, func(e *apply.Event) { e.Err = errors.New(`"start vm.web" failed`) })
	return apply.Summary{Done: 2, Failed: 1, Skipped: 1, Errors: []error{err}}
}

func somePlan() *planner.Plan {
	return &planner.Plan{Changes: []planner.Change{{Addr: addr("vm.web"), Action: planner.ActionCreate}}}
}

func TestProgressInALog(t *testing.T) {
	s := newScreen(Streams{})
	g := s.Progress(somePlan(), false)
	clock := time.Now()
	g.now = func() time.Time { return clock }
	g.Close(story(g.Event, func(d time.Duration) { clock = clock.Add(d) }))
	golden(t, "progress.txt", s.out.String()+"=== errors\n"+s.err.String())
}

func TestProgressAsJSONLines(t *testing.T) {
	s := newScreen(Streams{})
	g := s.Progress(somePlan(), true)
	clock := time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC)
	g.now = func() time.Time { return clock }
	g.Close(story(g.Event, func(d time.Duration) { clock = clock.Add(d) }))
	golden(t, "progress.jsonl", s.out.String())
	for line := range strings.SplitSeq(strings.TrimSpace(s.out.String()), "\n") {
		if !json.Valid([]byte(line)) {
			t.Errorf("no JSON: %s", line)
		}
	}
	if s.err.Len() > 0 {
		t.Errorf("standard error got %q", &s.err)
	}
}

// lockedBuffer can be read while bars are drawn into it.
type lockedBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func TestProgressOnATerminal(t *testing.T) {
	var out, errs lockedBuffer
	p := New(Streams{Out: &out, Err: &errs, Live: true, Width: 100})
	g := p.Progress(somePlan(), false)
	e := apply.Event{Step: "create image.debian", Addr: addr("image.debian"), Verb: "create"}
	g.Event(e)
	e.Kind, e.Progress = apply.EventProgress, drivers.Progress{Phase: "downloading", Done: 15 << 20, Total: 30 << 20}
	g.Event(e)
	until := time.Now().Add(20 * time.Second)
	for !strings.Contains(out.String(), "image.debian: downloading  [============            ]  50% of 30 MiB") {
		if time.Now().After(until) {
			t.Fatalf("no bar was drawn: %q", out.String())
		}
		<-time.After(10 * time.Millisecond)
	}
	g.Close(story(g.Event, func(time.Duration) {}))
	for _, want := range []string{"✓ image.debian: created (31.2s)\n", "✗ vm.web: could not be started (1m35s)\n", "\nApply failed: 2 steps done, 1 failed, 1 not started. Another apply goes on from here.\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in %q", want, out.String())
		}
	}
	if !strings.Contains(errs.String(), "Error: vm.web: could not be started\n\nhost cannot be reached\n") {
		t.Errorf("errors %q", errs.String())
	}
}

func TestSummaries(t *testing.T) {
	for want, s := range map[string]apply.Summary{
		"Apply complete: 1 created.": {Done: 5},
		"Apply failed: 3 steps done, 1 failed, 2 not started. Another apply goes on from here.": {Done: 3, Failed: 1, Skipped: 2},
		"Apply interrupted: 1 step done, 2 not started. Another apply goes on from here.":       {Done: 1, Skipped: 2, Interrupted: true},
		"Apply failed: 0 steps done, 1 failed, 2 not started. Another apply goes on from here.": {Failed: 1, Skipped: 2, Interrupted: true},
	} {
		if got := New(Streams{}).Progress(somePlan(), false).summaryText(s); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	s := newScreen(Streams{})
	s.Progress(&planner.Plan{}, false).Close(apply.Summary{Done: 1})
	if s.out.Len() > 0 {
		t.Errorf("a power action is summed up: %q", &s.out)
	}
}

// A fleet's apply must not wait for its own display.
func TestBarsDoNotHoldTheWorkUp(t *testing.T) {
	var out, errs lockedBuffer
	g := New(Streams{Out: &out, Err: &errs, Live: true, Width: 100}).Progress(somePlan(), false)
	start := time.Now()
	const steps = 2000
	for i := range steps {
		e := apply.Event{Step: fmt.Sprint("create ", i), Addr: addr(fmt.Sprintf("vm.m[%d]", i)), Verb: "create"}
		g.Event(e)
		e.Kind = apply.EventDone
		g.Event(e)
	}
	if took := time.Since(start); took > steps*10*time.Millisecond {
		t.Errorf("%d steps took %s", steps, took)
	}
	g.Close(apply.Summary{Done: steps})
	if n := strings.Count(out.String(), ": created ("); n != steps {
		t.Errorf("%d lines, want %d", n, steps)
	}
}
