package planner_test

import (
	"strings"
	"testing"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers/sim"
	"vmplan.dev/vmplan/planner"
	"vmplan.dev/vmplan/state"
)

// Somebody undefines the pool and leaves its folder as it is. Nobody can say then that the volumes in it were deleted.
func TestVolumesOfAPoolThatIsNotDefinedAreNotCalledDeleted(t *testing.T) {
	w := newWorld(t)
	w.converge(project(t), planner.Options{})
	w.edit(func(d *sim.Data) { delete(d.Pools, "default") })
	p := w.plan(project(t), planner.Options{})
	if text := p.String(); !strings.Contains(text, "vm.web.disk.root [live] its pool is not defined on the host") || strings.Contains(text, "image.debian [live] was deleted") {
		t.Errorf("the plan is\n%s", text)
	}
	w.apply(p, inOrder(p), nil)
	w.mustBeEmpty(project(t), planner.Options{})
}

// The bits that a pool recreated shows are not overwritten, nor deleted by the plan after a run that was cut off there.
func TestVolumesAreFoundAgainInAPoolMadeAnew(t *testing.T) {
	root := addr(t, "vm.web.disk.root")
	cut := 0
	for ; ; cut++ {
		w := newWorld(t)
		w.converge(project(t), planner.Options{})
		w.edit(func(d *sim.Data) {
			delete(d.Pools, "default")
			d.Volumes["default/web-root.qcow2"].Used = 7 * resource.GiB
		})
		p := w.plan(project(t), planner.Options{})
		if cut == len(p.Steps) {
			break
		}
		w.apply(p, inOrder(p), &crash{step: cut, intent: true})
		if rec := w.snap.Records[root]; rec.Status != state.StatusReady {
			t.Errorf("cut off in %q the volume is recorded as %s", p.Steps[cut].ID, rec.Status)
		}
		w.converge(project(t), planner.Options{})
		w.mustBeEmpty(project(t), planner.Options{})
		data, err := w.host.Data()
		if err != nil {
			t.Fatal(err)
		}
		if v := data.Volumes["default/web-root.qcow2"]; v.Used != 7*resource.GiB {
			t.Errorf("cut off in %q: of what was on the disk %s are left", p.Steps[cut].ID, v.Used)
		}
	}
	if cut < 2 {
		t.Errorf("there were %d steps only", cut)
	}
}
