package apply_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/sim"
	"vmplan.dev/vmplan/planner"
	"vmplan.dev/vmplan/planner/apply"
	"vmplan.dev/vmplan/state"
)

// deadline is how long a test waits for what must happen.
const deadline = 20 * time.Second

// world is a simulated host, a state, and a log of what reaches either, in order.
type world struct {
	t    *testing.T
	host *sim.Host
	env  apply.Env
	snap *state.Snapshot

	mu      sync.Mutex
	log     []string         // "intent ID", "do ID", "did ID", "done ID", "failed ID", "write"
	events  []apply.Event    // as told
	journal []state.Entry    // durable
	written []state.Snapshot // by Write

	hook     func(ctx context.Context, id string) error // before the driver does a step
	onAppend func(e state.Entry) error                  // before an entry is durable
	ids      map[drivers.Op]string
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, host: sim.New(), snap: &state.Snapshot{Lineage: "lineage", Salt: make([]byte, 32)}, ids: map[drivers.Op]string{}}
	w.env = apply.Env{Drivers: map[string]drivers.Driver{"lab": w.open()}, Backend: w, Events: w.event}
	return w
}

// open gives a driver on the world's host that goes through the log.
func (w *world) open() drivers.Driver {
	d, err := w.host.Open(nil, drivers.Env{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { d.Close() })
	return &watched{d, w}
}

func (w *world) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.log = append(w.log, fmt.Sprintf(format, args...))
}

func (w *world) event(e apply.Event) { w.events = append(w.events, e) }

// run applies the steps.
func (w *world) run(ctx context.Context, steps ...planner.Step) (apply.Summary, error) {
	w.t.Helper()
	for _, s := range steps {
		w.ids[s.Op.Op] = s.ID
	}
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	return apply.Run(ctx, &planner.Plan{Lineage: "lineage", Steps: steps}, w.snap, w.env)
}

// mustRun applies the steps and wants all of them done.
func (w *world) mustRun(steps ...planner.Step) {
	w.t.Helper()
	s, err := w.run(context.Background(), steps...)
	if err != nil || !s.OK() {
		w.t.Fatalf("apply: %+v, %v", s, err)
	}
}

// position is where an entry stands in the log, or -1.
func (w *world) position(entry string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Index(w.log, entry)
}

// skipped lists the steps told to be skipped, with the reasons.
func (w *world) skipped() []string {
	var out []string
	for _, e := range w.events {
		if e.Kind == apply.EventSkipped {
			out = append(out, e.Step+": "+e.Err.Error())
		}
	}
	slices.Sort(out)
	return out
}

// watched is a driver whose calls are logged.
type watched struct {
	drivers.Driver
	w *world
}

func (d *watched) Do(ctx context.Context, op drivers.Op, report func(drivers.Progress)) (drivers.Result, error) {
	id := d.w.ids[op]
	d.w.note("do %s", id)
	defer d.w.note("did %s", id)
	if d.w.hook != nil {
		if err := d.w.hook(ctx, id); err != nil {
			return drivers.Result{}, err
		}
	}
	return d.Driver.Do(ctx, op, report)
}

// The world is its own state backend, in memory.

func (w *world) Read(context.Context) (*state.Snapshot, error) { return w.snap, nil }

func (w *world) Write(_ context.Context, s *state.Snapshot) error {
	s.Serial++
	w.note("write")
	w.written = append(w.written, *s)
	return nil
}

func (w *world) Append(ctx context.Context, s *state.Snapshot, entries ...state.Entry) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if s.Lineage != w.snap.Lineage || s.Serial != w.snap.Serial {
		return state.ErrStale
	}
	for _, e := range entries {
		if w.onAppend != nil {
			if err := w.onAppend(e); err != nil {
				return err
			}
		}
		w.note("%s %s", e.Phase, e.Step)
		w.mu.Lock()
		w.journal = append(w.journal, e)
		w.mu.Unlock()
	}
	return nil
}

func (w *world) Lock(context.Context, state.LockInfo) (state.Unlock, error) {
	return nil, errors.New("apply must not lock: its caller has")
}

func (w *world) Replace(context.Context, *state.Snapshot) error {
	return errors.New("apply must not replace the state")
}

func (w *world) Break(context.Context, string) (*state.LockInfo, error) {
	return nil, errors.New("apply must not break the lock")
}

// What plans are made of.

func addr(text string) resource.Addr {
	a, err := resource.ParseAddr(text)
	if err != nil {
		panic(err)
	}
	return a
}

func meta(a, name string) resource.Meta {
	return resource.Meta{Addr: addr(a), Name: name, Host: "lab"}
}

func pool() *resource.Pool {
	return &resource.Pool{Meta: meta("pool.default", "default"), UUID: "6f6c0f0e-0000-5000-8000-000000000001", Path: "/srv/vm"}
}

func volume(name string) *resource.Volume {
	return &resource.Volume{Meta: meta("volume."+name, name), Size: resource.GiB, Format: "qcow2", PoolName: "default", File: name + ".qcow2"}
}

func vm(name string, disks ...*resource.Volume) *resource.VM {
	v := &resource.VM{
		Meta: meta("vm."+name, name), UUID: fmt.Sprintf("6f6c0f0e-0000-5000-8000-%012x", []byte(name)[:min(len(name), 6)]),
		VCPUs: 1, Memory: resource.GiB,
	}
	for _, d := range disks {
		v.Disks = append(v.Disks, resource.Disk{Label: d.Name, Source: resource.VolumeID(d)})
	}
	return v
}

// step is an operation without an effect on the record.
func step(op drivers.Op, after ...planner.Step) planner.Step {
	s := planner.Step{
		ID: op.Verb() + " " + op.Target().Base().Addr.String(), Op: drivers.Encoded{Op: op}, Addr: op.Target().Base().Addr,
		Host: op.Target().Base().Host, KeepRecord: true,
	}
	for _, a := range after {
		s.DependsOn = append(s.DependsOn, a.ID)
	}
	return s
}

// create is the creation of r, with its intent and its record.
func create(r resource.Resource, after ...planner.Step) planner.Step {
	s := step(drivers.NewCreate(r, nil), after...)
	s.KeepRecord = false
	s.Intent = &state.Record{Object: r, Status: state.StatusCreating}
	s.Record = &state.Record{Object: r, Status: state.StatusReady}
	return s
}

func remove(r resource.Resource, after ...planner.Step) planner.Step {
	s := step(drivers.NewDelete(r), after...)
	s.KeepRecord = false
	s.Intent = &state.Record{Object: r, Status: state.StatusDeleting}
	return s
}

// volumes are n creations that depend on first.
func volumes(n int, first planner.Step) []planner.Step {
	var out []planner.Step
	for i := range n {
		out = append(out, create(volume(fmt.Sprintf("v%02d", i)), first))
	}
	return out
}

func statuses(snap *state.Snapshot) string {
	var out []string
	for a, r := range snap.Records {
		out = append(out, a.String()+" "+string(r.Status))
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}
