package planner

import (
	"fmt"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/state"
)

// keepsOldBase tells whether a volume that is there stays on the base that it was made with, although the files have another
// image under it by now: on_image_change says so. A volume that is recreated has the new one.
func (p *planner) keepsOldBase(o *object) bool {
	want, ok := o.planned.(*resource.Volume)
	was, recorded := o.recorded.(*resource.Volume)
	if !ok || !recorded || o.record.Status != state.StatusReady || !staysOnOldBase(want) || want.Backing == was.Backing || was.Backing == "" {
		return false
	}
	live, ok := o.live.Resource.(*resource.Volume)
	if !ok || live.Backing != was.Backing {
		return false
	}
	if want.OnImageChange == "warn" {
		whole := o.addr.Owner()
		p.addFinding(Finding{Severity: SeverityWarning, Addr: whole, Path: "on_image_change", Summary: "the image has changed", Detail: fmt.Sprintf(
			"%s stays on %s, and %s is now %s. To recreate it, and lose its content: vmplan apply --replace '%s'.", o.addr, was.Backing, want.Image, want.Backing, whole)})
	}
	return true
}

// keepsUsingBase tells whether the volume u keeps depending on the base o. The base of a replaced image is needed by every
// volume that the plan does not delete.
func (p *planner) keepsUsingBase(u, o *object) bool {
	if o.kind != resource.KindImage {
		return false
	}
	switch u.action {
	case ActionUpdate:
		return uses(u.after, o.location.key)
	case ActionNone, ActionRelease:
		v, ok := u.current().(*resource.Volume)
		return isLeftBehind(o.addr) || ok && staysOnOldBase(v)
	}
	return false
}

// successor is the image that has replaced the base o; nil when o is not a leftover.
func (p *planner) successor(o *object) *object {
	if o.kind != resource.KindImage || !isLeftBehind(o.addr) {
		return nil
	}
	return p.objects[o.addr.Owner()]
}

// outlivesSuccessor tells whether a replaced base is all there is of its image: the run that replaced it was interrupted, and
// this plan does not continue with the new one.
func (p *planner) outlivesSuccessor(o *object) bool {
	s := p.successor(o)
	return s != nil && s.action == ActionNone && s.desired != nil && s.record != nil && mayBeHalf(s.record)
}

// linkFormerBase has a replaced base deleted only when the new one is complete: creating it may fail, and then the files may
// be changed back.
func (p *planner) linkFormerBase(o *object) {
	if s := p.successor(o); s != nil && p.departingOccupant(s) != o {
		o.deleted.preferAfter(s.created) // two images may have changed their names
	}
}

// halfBuiltOn tells whether o is an image of which an interrupted build left something that depends on base.
func (o *object) halfBuiltOn(base *object) bool {
	img, ok := o.recorded.(*resource.Image)
	return ok && img.Builds() && mayBeHalf(o.record) && volumeKey(img.Origin) == base.location.key
}
