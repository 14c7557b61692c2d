package planner

import (
	"slices"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
)

// noteTouched notes the live objects at all places that the steps are about.
func (p *planner) noteTouched() {
	snapshotted := p.touchSnapshots()
	for _, o := range p.sorted {
		if len(o.steps) == 0 {
			continue
		}
		if o.location != (location{}) {
			t := touched(o.addr, o.location, p.liveAt(o.location))
			if snapshotted[o] && o.live != nil {
				t.Snapshots = append([]drivers.SnapshotInfo{}, o.live.Snapshots...)
			}
			p.plan.Touched = append(p.plan.Touched, t)
		}
		if o.destination != o.location && o.destination != (location{}) {
			p.plan.Touched = append(p.plan.Touched, touched(o.addr, o.destination, p.liveAt(o.destination)))
		}
	}
}

// touchSnapshots finds the vms whose snapshots the steps are about.
func (p *planner) touchSnapshots() map[*object]bool {
	out := map[*object]bool{}
	for _, o := range slices.Concat(p.sorted, p.leftovers) {
		for _, s := range o.steps {
			switch s.Op.Op.(type) {
			case *drivers.Snapshot, *drivers.Restore, *drivers.DropSnapshot:
				out[o] = true
			case *drivers.Delete:
				out[o] = true
				for _, u := range p.users(o) {
					out[u] = true // snapshots of a vm are in its disks
				}
			}
		}
	}
	return out
}

func touched(addr resource.Addr, at location, live *drivers.Object) Touched {
	t := Touched{Addr: addr, Host: at.host, Key: at.key}
	if live != nil {
		t.Object.Resource, t.Running.Resource, t.Power, t.Mark = live.Resource, live.Running, live.Power, live.Mark
	}
	return t
}
