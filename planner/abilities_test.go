package planner_test

import (
	"strings"
	"testing"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/planner"
)

// limited is a simulated host that cannot do some things.
type limited struct {
	drivers.Rules
	lacks drivers.Lacks
}

func (l limited) Can(a drivers.Ability) error { return l.lacks.Can(a) }

// TestPlansAreRefusedWhereAHostCannotDoAStep: whatever a step needs is asked of the host, and its object and field are named.
func TestPlansAreRefusedWhereAHostCannotDoAStep(t *testing.T) {
	volume := func(size resource.Size) string {
		return `{"volume.data": {"pool_name": "default", "file": "data.qcow2", "format": "qcow2", "size": "` + size.String() + `"}, "pool.default": {"path": "/srv/vm"}}`
	}
	for _, c := range []struct {
		ability      drivers.Ability
		applied      string // before the host lacks anything
		wanted       string
		object, path string
	}{
		{drivers.AbilityUpload, "", `{"image.debian": {"pool_name": "default", "file": "d.qcow2", "format": "qcow2", "source": "d.qcow2"}, "pool.default": {"path": "/srv/vm"}}`, "image.debian", "source"},
		{drivers.AbilityResize, volume(resource.GiB), volume(2 * resource.GiB), "volume.data", "size"},
		{drivers.AbilityReady, "", `{"vm.web": {"memory": "1GiB", "vcpus": 1, "running": true, "ready": {"address": {}}}}`, "vm.web", "ready"},
		{drivers.AbilityBuild, volume(resource.GiB), strings.Replace(volume(resource.GiB), `{"volume`, `{"image.golden": {"pool_name": "default", "file": "g.qcow2", "format": "qcow2", "from": "volume.data", "origin": "default/data.qcow2"}, "volume`, 1), "image.golden", "from"},
	} {
		t.Run(string(c.ability), func(t *testing.T) {
			w := newWorld(t)
			if c.applied != "" {
				w.converge(readSet(t, []byte(c.applied)), planner.Options{})
			}
			in := w.input(readSet(t, []byte(c.wanted)), planner.Options{})
			able, err := planner.New(in)
			if err != nil {
				t.Fatal(err)
			}
			if able.Refused() || able.Empty() {
				t.Fatalf("a host that can do it all makes of it\n%s", able)
			}
			lab := in.Hosts["lab"]
			lab.Rules = limited{lab.Rules, drivers.Lacks{c.ability: "it is too small"}}
			in.Hosts["lab"] = lab
			p, err := planner.New(in)
			if err != nil {
				t.Fatal(err)
			}
			if len(p.Findings) != 1 || !p.Refused() {
				t.Fatalf("the plan is\n%s", p)
			}
			want := `Host "lab" cannot ` + string(c.ability) + ": it is too small. " + c.object + " needs that."
			if f := p.Findings[0]; f.Addr.String() != c.object || f.Path != c.path || f.Detail != want {
				t.Errorf("it finds %+v", f)
			}
		})
	}
}

// TestActionsAreRefusedWhereAHostCannotDoThem: actions that users ask for directly are refused alike.
func TestActionsAreRefusedWhereAHostCannotDoThem(t *testing.T) {
	w := newWorld(t)
	w.converge(project(t), planner.Options{})
	in := w.input(project(t), planner.Options{})
	lab := in.Hosts["lab"]
	lab.Rules = limited{lab.Rules, drivers.Lacks{drivers.AbilityFlatten: "it is too small", drivers.AbilityMemorySnapshots: "it forgets"}}
	in.Hosts["lab"] = lab
	p, err := planner.Flatten(in, addr(t, "vm.web"))
	if err != nil || !p.Refused() {
		t.Errorf("to flatten gives %v\n%s", err, p)
	}
	if _, err := planner.TakeSnapshot(in, addr(t, "vm.web"), "one", true); err == nil || !strings.Contains(err.Error(), "it forgets") {
		t.Errorf("a snapshot with memory gives %v", err)
	}
	if p, err := planner.TakeSnapshot(in, addr(t, "vm.web"), "one", false); err != nil || p.Refused() {
		t.Errorf("a snapshot without memory gives %v\n%s", err, p)
	}
}
