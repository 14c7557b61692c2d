package apply_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/planner"
	"vmplan.dev/vmplan/planner/apply"
	"vmplan.dev/vmplan/state"
)

func TestAWorldIsBuiltAndTornDown(t *testing.T) {
	w := newWorld(t)
	root := volume("root")
	web := vm("web", root)
	p := create(pool())
	v := create(root, p)
	m := create(web, v)
	w.mustRun(p, v, m, step(drivers.NewStart(web), m))

	data, err := w.host.Data()
	if err != nil || data.VMs["web"] == nil || data.VMs["web"].Power != drivers.PowerOn || data.Volumes["default/root.qcow2"] == nil {
		t.Fatalf("the host lacks what was applied: %+v, %v", data, err)
	}
	if got, want := statuses(w.snap), "pool.default ready, vm.web ready, volume.root ready"; got != want {
		t.Errorf("recorded: %s, want %s", got, want)
	}
	if len(w.written) != 1 || w.snap.Serial != 1 {
		t.Errorf("the state was written %d times, serial %d", len(w.written), w.snap.Serial)
	}

	stop := step(drivers.NewStop(web, false))
	gone := remove(web, stop)
	disk := remove(root, gone)
	w.mustRun(stop, gone, disk, remove(pool(), disk))
	data, err = w.host.Data()
	if err != nil || len(data.VMs)+len(data.Volumes)+len(data.Pools) != 0 {
		t.Errorf("the host still has %+v, %v", data, err)
	}
	if len(w.snap.Records) != 0 {
		t.Errorf("still recorded: %s", statuses(w.snap))
	}
}

func TestAFailureStopsOnlyWhatStandsOnIt(t *testing.T) {
	w := newWorld(t)
	w.hook = failOn("create volume.bad", drivers.ErrNoSpace)
	p := create(pool())
	bad, good := volume("bad"), volume("good")
	vb, vg := create(bad, p), create(good, p)
	mb, mg := create(vm("b", bad), vb), create(vm("g", good), vg)
	sb := step(drivers.NewStart(vm("b")), mb)
	s, err := w.run(context.Background(), p, vb, vg, mb, mg, sb)
	if err != nil {
		t.Fatal(err)
	}
	if s.Done != 3 || s.Failed != 1 || s.Skipped != 2 || s.OK() || s.Interrupted {
		t.Errorf("summary %+v", s)
	}
	if len(s.Errors) != 1 || !errors.Is(s.Errors[0], drivers.ErrNoSpace) || !strings.HasPrefix(s.Errors[0].Error(), "volume.bad: create: ") {
		t.Errorf("errors %v", s.Errors)
	}
	want := []string{`create vm.b: "create volume.bad" failed`, `start vm.b: "create volume.bad" failed`}
	if got := w.skipped(); !slices.Equal(got, want) {
		t.Errorf("skipped %q, want %q", got, want)
	}
	if got, want := statuses(w.snap), "pool.default ready, vm.g ready, volume.bad creating, volume.good ready"; got != want {
		t.Errorf("recorded: %s, want %s", got, want)
	}
	if len(w.written) != 1 {
		t.Error("the state was not written after the failure")
	}
}

func failOn(id string, err error) func(context.Context, string) error {
	return func(_ context.Context, step string) error {
		if step == id {
			return err
		}
		return nil
	}
}

// What the host refused to touch is not ours: a record would have a later destroy delete it.
func TestARefusedStepLeavesTheRecordAsItWas(t *testing.T) {
	for _, refusal := range []error{drivers.ErrConflict, drivers.ErrInUse} {
		w := newWorld(t)
		old := &state.Record{Object: volume("old"), Status: state.StatusReady}
		w.snap.Records = map[resource.Addr]*state.Record{addr("volume.old"): old}
		w.hook = func(_ context.Context, id string) error {
			if id == "create pool.default" {
				return nil
			}
			return fmt.Errorf("volume: %w", refusal)
		}
		p := create(pool())
		if s, err := w.run(context.Background(), p, create(volume("new"), p), remove(volume("old"), p)); err != nil || s.Failed != 2 {
			t.Fatalf("%+v, %v", s, err)
		}
		if got, want := statuses(w.snap), "pool.default ready, volume.old ready"; got != want {
			t.Errorf("%v: recorded: %s, want %s", refusal, got, want)
		}
	}
}

func TestAnInterruptLetsRunningStepsFinish(t *testing.T) {
	w := newWorld(t)
	w.env.PerHost = 1
	ctx, interrupt := context.WithCancel(context.Background())
	defer interrupt()
	prepared := make(chan struct{})
	w.onAppend = func(e state.Entry) error {
		if e.Step == "create volume.v00" {
			defer close(prepared) // its intent is as good as durable while the pool is still being made
		}
		return nil
	}
	w.hook = func(ctx context.Context, id string) error {
		if id == "create pool.default" {
			interrupt()
			if ctx.Err() != nil {
				return errors.New("the running step was cancelled")
			}
		}
		return nil
	}
	p := create(pool())
	vs := volumes(6, p)
	s, err := w.run(ctx, append([]planner.Step{p}, vs...)...)
	if err != nil {
		t.Fatal(err)
	}
	if s.Done != 1 || s.Skipped != 6 || s.Failed != 0 || !s.Interrupted || s.OK() {
		t.Errorf("summary %+v", s)
	}
	if got, want := statuses(w.snap), "pool.default ready"; got != want {
		t.Errorf("recorded: %s, want %s", got, want)
	}
	if len(w.written) != 1 {
		t.Error("the state was not written")
	}
}

// Intents are written ahead of the work. Those whose work is never begun are taken back.
func TestAnInterruptTakesIntentsBack(t *testing.T) {
	w := newWorld(t)
	w.env.PerHost = 2
	ctx, interrupt := context.WithCancel(context.Background())
	defer interrupt()
	intents := make(chan string, 10)
	w.onAppend = func(e state.Entry) error {
		if e.Phase == state.PhaseIntent {
			intents <- e.Step
		}
		return nil
	}
	w.hook = func(_ context.Context, id string) error {
		for range 2 { // more is prepared than runs
			select {
			case <-intents:
			case <-time.After(deadline):
				return errors.New("nothing was prepared while this ran")
			}
		}
		interrupt()
		return nil
	}
	w.mustPool()
	s, err := w.run(ctx, create(volume("a")), create(volume("b")), create(volume("c")), create(volume("d")))
	if err != nil || s.Done == 0 || s.Skipped < 2 || s.Failed > 0 {
		t.Fatalf("%+v, %v", s, err)
	}
	for _, name := range []string{"a", "b", "c", "d"} {
		id := "create volume." + name
		switch rec := w.snap.Records[addr("volume."+name)]; {
		case w.position("do "+id) >= 0 && (rec == nil || rec.Status != state.StatusReady):
			t.Errorf("%s was made and is recorded as %v", name, rec)
		case w.position("do "+id) < 0 && (rec != nil || w.position("failed "+id) < w.position("intent "+id)):
			t.Errorf("the intent of %s was not taken back: %q", name, w.log)
		}
	}
}

// mustPool puts the pool on the host, past the log.
func (w *world) mustPool() {
	w.t.Helper()
	d, err := w.host.Open(nil, drivers.Env{})
	if err == nil {
		_, err = d.Do(context.Background(), drivers.NewCreate(pool(), nil), func(drivers.Progress) {})
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func TestAStateThatCannotBeWrittenEndsTheRun(t *testing.T) {
	full := errors.New("no space left on device")
	for _, phase := range []state.Phase{state.PhaseIntent, state.PhaseDone} {
		w := newWorld(t)
		w.env.PerHost = 1
		w.onAppend = func(e state.Entry) error {
			if e.Step == "create volume.v00" && e.Phase == phase {
				return full
			}
			return nil
		}
		p := create(pool())
		vs := volumes(20, p)
		user := create(vm("web", volume("v00")), vs[0])
		s, err := w.run(context.Background(), append(append([]planner.Step{p}, vs...), user)...)
		if !errors.Is(err, full) {
			t.Errorf("%s: error %v", phase, err)
		}
		if s.Failed != 1 || s.Skipped < 10 {
			t.Errorf("%s: summary %+v: the run went on", phase, s)
		}
		touched := w.position("do create volume.v00") >= 0
		if want := phase == state.PhaseDone; touched != want {
			t.Errorf("%s: the step touched the host: %v", phase, touched)
		}
		if w.position("do create vm.web") >= 0 {
			t.Errorf("%s: a step began whose dependency is not recorded", phase)
		}
		if rec := w.snap.Records[addr("volume.v00")]; touched && (rec == nil || rec.Status != state.StatusReady) {
			t.Errorf("%s: what was done is not in the last write: %v", phase, rec)
		}
	}
}

func TestAPanicFailsOneStep(t *testing.T) {
	w := newWorld(t)
	w.mustPool()
	w.hook = func(_ context.Context, id string) error {
		if id == "create volume.v00" {
			panic("index out of range")
		}
		return nil
	}
	s, err := w.run(context.Background(), create(volume("v00")), create(volume("v01")))
	if err != nil || s.Done != 1 || s.Failed != 1 {
		t.Fatalf("%+v, %v", s, err)
	}
	if text := s.Errors[0].Error(); !strings.Contains(text, "index out of range") || !strings.Contains(text, "bug") {
		t.Errorf("error %q", text)
	}
}

// found answers creations with a digest that nobody promised.
type found struct{ drivers.Driver }

func (f found) Do(_ context.Context, op drivers.Op, report func(drivers.Progress)) (drivers.Result, error) {
	img := resource.Clone(op.Target().(*resource.Image))
	img.Digest, img.Checksum = "sha256:abc", "changed on the way"
	for i := range 100_000 {
		report(drivers.Progress{Phase: "downloading", Done: int64(i), Total: 100_000})
	}
	report(drivers.Progress{Phase: "importing"})
	return drivers.Result{Object: img}, nil
}

func TestWhatOnlyDoingCouldTellIsRecordedAndProgressIsThinnedOut(t *testing.T) {
	w := newWorld(t)
	w.env.Drivers["lab"] = found{}
	img := &resource.Image{Meta: meta("image.debian", "debian"), Checksum: "sha256:123"}
	w.mustRun(create(img))
	got := w.snap.Records[img.Addr].Object.(*resource.Image)
	if got.Digest != "sha256:abc" || got.Checksum != "sha256:123" || img.Digest != "" {
		t.Errorf("recorded %+v, plan %+v", got, img)
	}
	var progress []drivers.Progress
	for _, e := range w.events {
		if e.Kind == apply.EventProgress {
			progress = append(progress, e.Progress)
		}
	}
	if n := len(progress); n < 2 || n > 200 || progress[n-1].Phase != "importing" {
		t.Errorf("%d events of progress, last %+v", n, progress[max(n-1, 0)])
	}
}

func TestStepsOnTheRecordCallNoDriver(t *testing.T) {
	w := newWorld(t)
	host := &resource.Host{Meta: resource.Meta{Addr: addr("host.lab")}, URI: "sim:"}
	gone := volume("gone")
	w.snap.Records = map[resource.Addr]*state.Record{gone.Addr: {Object: gone, Status: state.StatusReady}}
	rec := planner.Step{
		ID: "record host.lab", Op: drivers.Encoded{Op: drivers.NewRecord(host)}, Addr: host.Addr,
		Record: &state.Record{Object: host, Status: state.StatusReady},
	}
	forget := planner.Step{ID: "forget volume.gone", Op: drivers.Encoded{Op: drivers.NewForget(gone)}, Addr: gone.Addr, Host: "elsewhere"}
	w.mustRun(rec, forget)
	if got, want := statuses(w.snap), "host.lab ready"; got != want {
		t.Errorf("recorded: %s, want %s", got, want)
	}
	if len(w.written) != 1 {
		t.Error("not written")
	}
}

func TestNothingChangedNothingWritten(t *testing.T) {
	w := newWorld(t)
	w.mustRun()
	w.mustPool()
	made := vm("web")
	d := w.env.Drivers["lab"]
	if _, err := d.Do(context.Background(), drivers.NewCreate(made, nil), func(drivers.Progress) {}); err != nil {
		t.Fatal(err)
	}
	w.mustRun(step(drivers.NewStart(made)))
	if len(w.written)+len(w.journal) != 0 {
		t.Errorf("written %d times, %d journal entries", len(w.written), len(w.journal))
	}
}

func TestAPlanThatIsNoGraphDoesNothing(t *testing.T) {
	a, b := create(volume("a")), create(volume("b"))
	late := create(volume("c"), b)
	lost := create(volume("d"))
	lost.Host = "elsewhere"
	for name, c := range map[string]struct {
		steps []planner.Step
		want  string
	}{
		"twice":       {[]planner.Step{a, a}, "there twice"},
		"later step":  {[]planner.Step{late, b}, "no earlier step"},
		"no such":     {[]planner.Step{late}, "no earlier step"},
		"no driver":   {[]planner.Step{a, lost}, `no driver for host "elsewhere"`},
		"nothing set": {[]planner.Step{{ID: "x"}}, "no operation"},
	} {
		w := newWorld(t)
		s, err := w.run(context.Background(), c.steps...)
		if err == nil || !strings.Contains(err.Error(), c.want) || len(w.log) != 0 || s.Done != 0 {
			t.Errorf("%s: %v, log %q", name, err, w.log)
		}
	}
}

// After an interrupt an operation may finish, but not for ever when a grace time is set: then it is cancelled, and the run ends.
func TestOperationsAreCancelledAfterTheGraceTime(t *testing.T) {
	w := newWorld(t)
	w.mustPool()
	w.env.Grace = time.Millisecond
	ctx, interrupt := context.WithCancel(context.Background())
	defer interrupt()
	w.hook = func(ctx context.Context, _ string) error {
		interrupt()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(deadline / 2):
			return errors.New("it was not cancelled")
		}
	}
	summary, err := w.run(ctx, create(volume("slow")))
	if err != nil || !summary.Interrupted || summary.Failed != 1 || !errors.Is(summary.Errors[0], context.Canceled) {
		t.Errorf("the run ends with %+v, %v", summary, err)
	}
}
