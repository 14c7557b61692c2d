package planner

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/state"
)

// isYetToBeFilled tells whether the volume has yet to be given its first content.
func (p *planner) isYetToBeFilled(o *object) bool {
	return o.record == nil || o.record.Status != state.StatusReady || o.live == nil ||
		slices.ContainsFunc(p.in.Replace, func(a resource.Addr) bool { return a.Contains(o.addr) })
}

// onlyBeganAs tells whether n is only what the volume begins as a copy of: once created, it does not depend on that.
func (o *object) onlyBeganAs(n *object) bool {
	v, ok := o.planned.(*resource.Volume)
	return ok && v.CopyOf != "" && n.stored() && n.destination.key == volumeKey(v.CopyOf)
}

// keepOrigin keeps the recorded origin of an existing volume. The files may say something else now, or nothing: no host can
// change where a volume came from, and its content is worth more than that.
func (p *planner) keepOrigin(o *object) {
	want, ok := o.planned.(*resource.Volume)
	was, recorded := o.recorded.(*resource.Volume)
	if !ok || !recorded || o.record.Status != state.StatusReady {
		return
	}
	live, ok := o.live.Resource.(*resource.Volume)
	if !ok {
		return
	}
	kept := resource.Clone(want)
	same := (want.Image == was.Image || staysOnOldBase(want)) && want.Clone == was.Clone
	switch {
	case want.CopyOf != "" && want.CopyOf == was.Backing:
		kept.Backing, kept.CopyOf = was.Backing, ""
		p.warnOrigin(o, "clone_mode", fmt.Sprintf("%s was made as an overlay of %s and stays one. To make it independent: vmplan flatten '%s'.", o.addr, was.Backing, o.addr))
	case want.Backing != "" && live.Backing == "" && same && (was.CopyOf != "" || was.Backing != ""):
		// It was flattened, which may not be recorded yet. It has all that it had before.
		kept.Backing, kept.CopyOf = "", cmp.Or(was.CopyOf, was.Backing)
	case want.Backing == "":
		if want.Clone != was.Clone && !want.Clone.IsZero() {
			p.warnOrigin(o, "clone", fmt.Sprintf("%s exists already, so %s is not copied into it: clone only counts when a volume is created. To recreate it, and lose its content: vmplan apply --replace '%s'.", o.addr, want.Clone, o.addr))
		}
		kept.Clone, kept.CopyOf = was.Clone, was.CopyOf
	}
	o.planned = kept
}

func (p *planner) warnOrigin(o *object, path, detail string) {
	p.addFinding(Finding{Severity: SeverityWarning, Addr: o.addr, Path: path, Summary: "no effect on a volume that is there", Detail: detail})
}

// originOf is the volume that o is or becomes an overlay or a copy of; nil when it is neither, or that is not known.
func (p *planner) originOf(o *object) *object {
	v, ok := o.planned.(*resource.Volume)
	if !ok || o.action == ActionNone {
		return nil
	}
	id := v.CopyOf
	if v.Backing != "" {
		id = v.Backing
	}
	n := p.byLocation[location{o.destination.host, volumeKey(id)}]
	if id == "" || n == nil || n.kind != resource.KindVolume {
		return nil
	}
	return n
}

// vmsOn lists the vms that have, or will have, the volume as a disk.
func (p *planner) vmsOn(o *object) []*object {
	var out []*object
	for _, u := range slices.Concat(o.dependents, p.users(o)) {
		if u.kind == resource.KindVM && !slices.Contains(out, u) {
			out = append(out, u)
		}
	}
	return out
}

// refuseMovingBase refuses overlays of a disk that a guest may write to: every write would change what the overlay holds, and
// corrupt its file system.
func (p *planner) refuseMovingBase(o *object) {
	base := p.originOf(o)
	if v, ok := o.planned.(*resource.Volume); base == nil || !ok || v.Backing == "" || o.action == ActionDelete || o.action == ActionRelease {
		return
	}
	for _, u := range p.vmsOn(base) {
		want, ok := u.planned.(*resource.VM)
		if !ok || u.action == ActionDelete || isFalse(want.Running) || !writes(want, base.destination.key) {
			continue
		}
		p.refuseAt(o, "clone_mode", "overlay of a disk that changes", fmt.Sprintf(
			"%s would be an overlay of %s, to which the guest of %s writes. Every write there would corrupt the file system in the overlay. Set running = false on %s to keep it off; or leave out clone_mode for a full copy.",
			o.addr, base.addr, u.addr, u.addr))
	}
	for _, key := range p.foreignVMsOn(base) {
		p.refuseAt(o, "clone_mode", "overlay of a disk that changes", fmt.Sprintf(
			"%s would be an overlay of %s, which %s on host %q uses. That is not part of this project and may write there at any time. Leave out clone_mode for a full copy.",
			o.addr, base.addr, strings.Replace(key, "/", " ", 1), o.destination.host))
	}
}

// foreignVMsOn lists the vms on the host, by key, that use the object and are not known to the plan.
func (p *planner) foreignVMsOn(o *object) []string {
	if o.live == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(o.live.Users), func(key string) bool {
		return !strings.HasPrefix(key, string(resource.KindVM)+"/") || p.byLocation[location{o.location.host, key}] != nil
	})
}
