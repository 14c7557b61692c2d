package planner_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/sim"
	"vmplan.dev/vmplan/planner"
	"vmplan.dev/vmplan/state"
)

const lineage = "6c3e0a8e-0000-4000-8000-000000000001"

// world is a project with one simulated host, and what an apply needs to do with them.
type world struct {
	t      testing.TB
	host   *sim.Host
	driver drivers.Driver
	snap   *state.Snapshot
	// refactor is what the files say of moved, removed and imported objects.
	refactor refactor
}

type refactor struct {
	Moves   []resource.Move    `json:"moves"`
	Removed []resource.Removal `json:"removed"`
	Imports []resource.Import  `json:"imports"`
}

func newWorld(t testing.TB, edit ...func(*sim.Data)) *world {
	edit = append([]func(*sim.Data){func(d *sim.Data) { d.UUID = "20000000-0000-4000-8000-000000000001" }}, edit...)
	w := &world{t: t, host: sim.New(edit...), snap: &state.Snapshot{Lineage: lineage, Salt: []byte("salt")}}
	driver, err := w.host.Open(&resource.Host{}, drivers.Env{})
	if err != nil {
		t.Fatal(err)
	}
	w.driver = driver
	return w
}

// input observes the host as the command line does, and puts a plan's input together.
func (w *world) input(desired *resource.Set, opts planner.Options) planner.Input {
	w.t.Helper()
	w.keepIdentity(desired)
	var want []resource.Resource
	add := func(r resource.Resource) {
		if r.Kind() == resource.KindHost {
			return
		}
		if n, err := w.driver.Normalize(r); err == nil {
			want = append(want, n)
		}
	}
	for _, r := range desired.All() {
		add(r)
	}
	for _, rec := range w.snap.Sorted() {
		add(rec.Object)
	}
	seen, err := w.driver.Observe(w.t.Context(), drivers.Selection{Lineage: lineage, Want: want, All: len(w.refactor.Imports) > 0})
	if err != nil {
		w.t.Fatal(err)
	}
	return planner.Input{
		Desired: desired, State: w.snap, Version: "0.1", Options: opts,
		Hosts: map[string]planner.Host{"lab": {Rules: w.driver, Observed: seen}},
		Moves: w.refactor.Moves, Removed: w.refactor.Removed, Imports: w.refactor.Imports,
	}
}

// keepIdentity does what config does with what is recorded: what was decided for an object when it was made, or taken over,
// stays with it.
func (w *world) keepIdentity(desired *resource.Set) {
	for _, i := range w.refactor.Imports {
		vm, _ := desired.Get(i.To).(*resource.VM)
		if vm == nil {
			continue
		}
		if rec := w.snap.Records[i.To]; rec != nil {
			vm.UUID = rec.Object.(*resource.VM).UUID
		}
		for j := range vm.Disks {
			d := &vm.Disks[j]
			vol, _ := desired.Get(d.Volume).(*resource.Volume)
			rec := w.snap.Records[d.Volume]
			if vol != nil && rec != nil && d.Volume.Owner() == vm.Addr {
				was := rec.Object.(*resource.Volume)
				vol.File, d.Source = was.File, resource.VolumeID(was)
			}
		}
	}
}

func (w *world) plan(desired *resource.Set, opts planner.Options) *planner.Plan {
	w.t.Helper()
	p, err := planner.New(w.input(desired, opts))
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

// crash says where an apply is interrupted: before step, or in it.
type crash struct {
	step   int
	intent bool // the intent of step is on disk
	effect bool // step was done, but that is not on disk
}

// apply runs the steps in the given order, up to a crash if there is one.
func (w *world) apply(p *planner.Plan, order []int, at *crash) {
	w.t.Helper()
	if p.Refused() {
		w.t.Fatalf("the plan is refused:\n%s", p)
	}
	for n, i := range order {
		s := p.Steps[i]
		cut := at != nil && at.step == n
		if len(s.Rescue) > 0 && !cut {
			continue // nothing fails here
		}
		if cut && !at.intent {
			return
		}
		if s.Intent != nil {
			w.record(s.Addr, s.Intent)
		}
		if cut && !at.effect {
			return
		}
		rec := s.Record
		switch s.Op.Op.(type) {
		case *drivers.Record, *drivers.Forget:
		default:
			result, err := w.driver.Do(w.t.Context(), s.Op.Op, nil)
			if err != nil {
				w.t.Fatalf("step %q: %v\nof\n%s", s.ID, err, p)
			}
			if rec != nil && result.Object != nil {
				filled := *rec
				filled.Object = resource.FillComputed(rec.Object, result.Object)
				rec = &filled
			}
		}
		if cut {
			return
		}
		if !s.KeepRecord {
			w.record(s.Addr, rec)
		}
	}
}

func (w *world) record(a resource.Addr, rec *state.Record) {
	w.snap.Apply(state.Entry{Addr: a, Record: rec})
}

// converge plans and applies once.
func (w *world) converge(desired *resource.Set, opts planner.Options) *planner.Plan {
	w.t.Helper()
	p := w.plan(desired, opts)
	w.apply(p, inOrder(p), nil)
	return p
}

func inOrder(p *planner.Plan) []int {
	order := make([]int, len(p.Steps))
	for i := range order {
		order[i] = i
	}
	return order
}

// mustBeEmpty plans once more and wants nothing to do.
func (w *world) mustBeEmpty(desired *resource.Set, opts planner.Options) {
	w.t.Helper()
	if p := w.plan(desired, opts); !p.Empty() || len(p.Findings) > 0 || len(p.Drift) > 0 {
		w.t.Fatalf("there is something left to do:\n%s", p)
	}
}

// text is all that host and state have, but for the number of boots.
func (w *world) text() string {
	w.t.Helper()
	d, err := w.host.Data()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, vm := range d.VMs {
		vm.Boots = 0
	}
	live, err := json.MarshalIndent(d, "", " ")
	if err != nil {
		w.t.Fatal(err)
	}
	out := string(live) + "\n"
	for _, r := range w.snap.Sorted() {
		spec, err := json.Marshal(r.Object)
		if err != nil {
			w.t.Fatal(err)
		}
		out += fmt.Sprintf("%s %s %s %v %s\n", r.Object.Base().Addr, r.Status, r.Power, r.DependsOn, spec)
	}
	return out
}

func addr(t testing.TB, s string) resource.Addr {
	a, err := resource.ParseAddr(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// edit changes the host behind the project's back.
func (w *world) edit(edit func(*sim.Data)) {
	w.t.Helper()
	if err := w.host.Edit(edit); err != nil {
		w.t.Fatal(err)
	}
}
