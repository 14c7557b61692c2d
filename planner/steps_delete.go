package planner

import (
	"fmt"
	"strings"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/state"
)

func (p *planner) emitDelete(o *object) {
	impact := drivers.ImpactDestroy
	if o.action == ActionReplace {
		impact = drivers.ImpactReplace
	}
	if o.isReplacedLeftover() {
		impact = drivers.ImpactLive
	}
	target := o.before
	if o.stop {
		p.emitStop(o, target.(*resource.VM), o.recordNow(), impact)
	}
	s := p.step(o, drivers.NewDelete(target), o.location.host, impact)
	s.Intent = o.recordNow()
	if !o.stored() || s.Intent.Status != state.StatusCreating { // bits that may be half there stay known as such until they are gone
		s.Intent.Status = state.StatusDeleting
	}
	s.Loses = o.lossesOf()
	if o.action == ActionReplace {
		// Until the new one begins, the record of the old one holds what the vm's power is to be.
		s.KeepRecord = true
		if o.kind == resource.KindVM {
			s.Intent.Power = o.nextPower()
		}
	}
	o.deleted = s
}

func (p *planner) emitRelease(o *object) {
	marked := p.marks(o.kind, o.location.host)
	kept := o.recordNow()
	kept.Status = state.StatusReleased
	drop := o.desired != nil || o.retain
	var s *step
	switch {
	case marked:
		s = p.step(o, drivers.NewSetMark(o.before, p.mark(o, true)), o.location.host, drivers.ImpactRecord)
	case drop:
		s = p.step(o, drivers.NewForget(o.recorded), o.location.host, drivers.ImpactRecord)
	default:
		s = p.step(o, drivers.NewRecord(o.recorded), o.location.host, drivers.ImpactRecord)
	}
	if !drop {
		s.Record = kept
	}
}

// lossesOf names what cannot be restored when the object is deleted.
func (o *object) lossesOf() []string {
	vol, ok := o.current().(*resource.Volume)
	if !ok {
		return o.live.Kept
	}
	if live, ok := o.live.Resource.(*resource.Volume); ok {
		vol = live
	}
	return []string{fmt.Sprintf("%s (%s)", o.lossName(), vol.Size)}
}

// lossName is what people call a volume: disk root, volume db.
func (o *object) lossName() string {
	if label, ok := strings.CutPrefix(o.addr.Part, "disk."); ok {
		return "disk " + strings.TrimSuffix(label, ".old")
	}
	return "volume " + o.addr.Name + o.addr.Key
}

// replaceImpact is the impact of a replacement: an image or a seed that gets a successor loses nothing by that alone.
func (o *object) replaceImpact() drivers.Impact {
	if o.createBeforeDelete && o.kind != resource.KindVolume {
		return drivers.ImpactLive
	}
	return drivers.ImpactReplace
}

// isReplacedLeftover tells whether the object is an image or a seed that an earlier plan has replaced already.
func (o *object) isReplacedLeftover() bool {
	return o.desired == nil && isLeftBehind(o.addr) && o.stored() && o.kind != resource.KindVolume
}
