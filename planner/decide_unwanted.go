package planner

import (
	"fmt"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/state"
)

// decideUnwanted decides what happens to an object that is recorded, but not in the files.
func (p *planner) decideUnwanted(o *object) {
	switch claimant := p.byLocation[o.location]; {
	case o.record.Status == state.StatusReleased && o.live != nil:
	case o.live == nil:
		if o.action, o.cause = ActionForget, "gone from the host already"; p.poolIsUndefined(o) {
			o.cause = "its pool is not defined on the host"
		}
	case claimant != o && claimant != nil:
		o.action, o.cause = ActionForget, fmt.Sprintf("what was here is %s now", claimant.addr)
	case p.isForeign(o, o.live):
		o.action, o.cause = ActionForget, "something else has taken its place on the host, which is left alone"
	case o.record.Status != state.StatusDeleting && !isLeftBehind(o.addr) && p.releasesOnRemoval(o):
		o.action, o.cause = ActionRelease, p.whyGone(o)
	case o.record.Status == state.StatusReady && p.isRetained(o):
		o.action, o.cause, o.retain = ActionRelease, p.whyGone(o), true
	default:
		o.action, o.cause = ActionDelete, p.whyGone(o)
	}
}

// releasesOnRemoval tells whether the object is released, to be adopted some day: by a removed block, or because it is a vm
// that says so.
func (p *planner) releasesOnRemoval(o *object) bool {
	if r := p.removal(o); r != nil {
		return !r.Cascade
	}
	vm, ok := o.declared.(*resource.VM)
	if !ok {
		vm, ok = o.recorded.(*resource.VM)
	}
	return ok && (p.in.Orphan || vm.OnDelete == "orphan")
}

// isRetained tells whether the object is a volume that says it is to stay. A removed block that names this very volume has the
// last word; one that names its vm has not.
func (p *planner) isRetained(o *object) bool {
	vol, ok := o.declared.(*resource.Volume)
	if !ok {
		vol, ok = o.recorded.(*resource.Volume)
	}
	r := p.removal(o)
	return ok && vol.OnDelete == "retain" && (r == nil || r.From.Kind != o.addr.Kind || r.From.Part != o.addr.Part)
}

func (p *planner) whyGone(o *object) string {
	switch {
	case isLeftBehind(o.addr):
		return "replaced by a new one"
	case o.record.Status == state.StatusDeleting:
		return "its deletion was not finished"
	case p.in.Destroy:
		return CauseDestroy
	case p.removal(o) != nil:
		return "removed by the files"
	}
	return "no longer in the files"
}

// foreignVolumesIn names what is in a pool that is deleted and not part of this project: no host deletes that with the pool.
func (p *planner) foreignVolumesIn(o *object) []string {
	pool, ok := o.current().(*resource.Pool)
	if !ok {
		return nil
	}
	var files []string
	for _, file := range o.live.Volumes {
		if p.byLocation[location{o.location.host, volumeKey(pool.Name + "/" + file)}] == nil {
			files = append(files, file)
		}
	}
	if len(files) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("%s in %s, not of this project", some(files), pool.Path)}
}
