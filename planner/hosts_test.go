package planner_test

import (
	"strings"
	"testing"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/sim"
	"vmplan.dev/vmplan/planner"
	"vmplan.dev/vmplan/state"
)

// hosts is a project on two simulated hosts.
type hosts struct {
	t       *testing.T
	drivers map[string]drivers.Driver
	sims    map[string]*sim.Host
	snap    *state.Snapshot
}

func newHosts(t *testing.T) *hosts {
	h := &hosts{t: t, drivers: map[string]drivers.Driver{}, sims: map[string]*sim.Host{}, snap: &state.Snapshot{Lineage: lineage}}
	for _, name := range []string{"a", "b"} {
		h.sims[name] = sim.New()
		d, err := h.sims[name].Open(&resource.Host{}, drivers.Env{})
		if err != nil {
			t.Fatal(err)
		}
		h.drivers[name] = d
	}
	return h
}

func (h *hosts) plan(desired *resource.Set) *planner.Plan {
	h.t.Helper()
	in := planner.Input{Desired: desired, State: h.snap, Hosts: map[string]planner.Host{}}
	want := map[string][]resource.Resource{}
	add := func(r resource.Resource) {
		if d := h.drivers[r.Base().Host]; d != nil {
			if n, err := d.Normalize(r); err == nil {
				want[r.Base().Host] = append(want[r.Base().Host], n)
			}
		}
	}
	for _, r := range desired.All() {
		add(r)
	}
	for _, rec := range h.snap.Sorted() {
		add(rec.Object)
	}
	for name, d := range h.drivers {
		seen, err := d.Observe(h.t.Context(), drivers.Selection{Lineage: lineage, Want: want[name]})
		if err != nil {
			h.t.Fatal(err)
		}
		in.Hosts[name] = planner.Host{Rules: d, Observed: seen}
	}
	p, err := planner.New(in)
	if err != nil {
		h.t.Fatal(err)
	}
	return p
}

func (h *hosts) apply(p *planner.Plan) {
	h.t.Helper()
	for _, s := range p.Steps {
		switch s.Op.Op.(type) {
		case *drivers.Record, *drivers.Forget:
		default:
			if _, err := h.drivers[s.Host].Do(h.t.Context(), s.Op.Op, nil); err != nil {
				h.t.Fatalf("%s: %v\nof\n%s", s.ID, err, p)
			}
		}
		if !s.KeepRecord {
			h.snap.Apply(state.Entry{Addr: s.Addr, Record: s.Record})
		}
	}
}

// on writes a project with a pool on each of two hosts, and a vm on the one called name.
func on(t testing.TB, name string) *resource.Set {
	at := func(m resource.Meta, host string) resource.Meta { m.Host = host; return m }
	set := resource.NewSet()
	for _, h := range []string{"a", "b"} {
		set.Add(&resource.Host{Meta: resource.Meta{Addr: addr(t, "host."+h)}, URI: "sim:" + h})
		set.Add(&resource.Pool{Meta: at(meta(t, "pool."+h, "vms"), h), Path: "/srv/vm"})
	}
	root := &resource.Volume{
		Meta: at(meta(t, "vm.web.disk.root", "web-root"), name), Size: resource.GiB, Pool: addr(t, "pool."+name),
		PoolName: "vms", File: "web-root.qcow2",
	}
	set.Add(root)
	set.Add(&resource.VM{
		Meta: at(meta(t, "vm.web", "web"), name), UUID: "10000000-0000-4000-8000-000000000003", Running: ptr(true),
		Disks: []resource.Disk{{Label: "root", Volume: root.Addr, Source: "vms/web-root.qcow2"}},
	})
	return set
}

// A vm whose host changes is recreated there and goes from where it was, with the disk it owns; nothing stays behind.
func TestVMMovesToAnotherHost(t *testing.T) {
	h := newHosts(t)
	h.apply(h.plan(on(t, "a")))
	p := h.plan(on(t, "b"))
	for _, want := range []string{
		`replace vm.web [replace] moves from host "a" to host "b"; power: restart`,
		"loses disk root (1 GiB)", "delete vm.web.disk.root.old [replace] <- delete vm.web",
	} {
		if !strings.Contains(p.String(), want) {
			t.Errorf("the plan does not say %q:\n%s", want, p)
		}
	}
	h.apply(p)
	if p := h.plan(on(t, "b")); !p.Empty() {
		t.Errorf("there is something left to do:\n%s", p)
	}
	for name, vms := range map[string]int{"a": 0, "b": 1} {
		d, err := h.sims[name].Data()
		if err != nil {
			t.Fatal(err)
		}
		if len(d.VMs) != vms || len(d.Volumes) != vms {
			t.Errorf("host %s has %d vms and %d volumes, want %d of each", name, len(d.VMs), len(d.Volumes), vms)
		}
	}
}

// A host whose block is gone is still known by its record: what is on it is deleted, and then it is forgotten.
func TestHostBlockIsRemoved(t *testing.T) {
	h := newHosts(t)
	h.apply(h.plan(on(t, "a")))
	h.apply(h.plan(resource.NewSet()))
	if len(h.snap.Records) != 0 {
		t.Errorf("still recorded: %v", h.snap.Records)
	}
}

func TestHostThatIsMissingFromTheInput(t *testing.T) {
	_, err := planner.New(planner.Input{Desired: on(t, "a"), State: &state.Snapshot{Lineage: lineage}})
	if err == nil || !strings.Contains(err.Error(), `host "a"`) {
		t.Errorf("got %v", err)
	}
}
