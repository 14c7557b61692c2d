package planner

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/state"
)

// collect makes an object of everything desired or recorded, and finds it on its host.
func (p *planner) collect() error {
	if p.in.State == nil || p.in.Desired == nil {
		return fmt.Errorf("plan: there is no state or no desired set")
	}
	size := max(p.in.Desired.Len(), len(p.in.State.Records))
	p.objects, p.byLocation = make(map[resource.Addr]*object, size), make(map[location]*object, size)
	p.sorted = make([]*object, 0, size)
	var hostBlocks []*resource.Host
	for _, r := range p.in.Desired.All() {
		if h, ok := r.(*resource.Host); ok {
			hostBlocks = append(hostBlocks, h)
			continue
		}
		if err := p.collectDesired(r); err != nil {
			return err
		}
	}
	p.readRefactorings()
	var hostRecords []*state.Record
	for _, rec := range p.in.State.Sorted() {
		if _, ok := rec.Object.(*resource.Host); ok {
			hostRecords = append(hostRecords, rec)
			continue
		}
		if err := p.collectRecorded(rec); err != nil {
			return err
		}
	}
	p.collectHosts(hostBlocks, hostRecords)
	if byAddr := func(a, b *object) int { return resource.Compare(a.addr, b.addr) }; !slices.IsSortedFunc(p.sorted, byAddr) {
		slices.SortFunc(p.sorted, byAddr)
	}
	for _, o := range p.sorted {
		p.locate(o)
	}
	p.findRenamedVMs()
	for _, o := range p.sorted {
		p.identify(o)
	}
	for _, o := range p.sorted {
		p.findUnrecorded(o)
	}
	return nil
}

func (p *planner) collectDesired(r resource.Resource) error {
	base := r.Base()
	h, err := p.host(base.Host, base.Addr)
	if err != nil {
		return err
	}
	o := newObject(facts{addr: base.Addr, kind: r.Kind(), declared: r})
	p.objects[o.addr] = o
	p.sorted = append(p.sorted, o)
	if p.in.Destroy {
		return nil
	}
	o.desired, err = h.Rules.Normalize(r)
	if err != nil {
		o.desired = nil
		p.addFinding(Finding{
			Severity: SeverityError, Addr: o.addr, Path: drivers.FieldOf(err), Summary: "the host cannot have this",
			Detail: fmt.Sprintf("host %q: %v", base.Host, err),
		})
		return nil
	}
	o.destination = location{base.Host, resource.Key(o.desired)}
	return nil
}

func (p *planner) collectRecorded(rec *state.Record) error {
	from := rec.Object.Base().Addr
	rec, stale := p.readdress(rec)
	base := rec.Object.Base()
	h, err := p.host(base.Host, base.Addr)
	if err != nil {
		return err
	}
	h.hasObjects = true
	o := p.objects[base.Addr]
	if o == nil {
		o = newObject(facts{addr: base.Addr, kind: rec.Object.Kind()})
		p.objects[o.addr] = o
		p.sorted = append(p.sorted, o)
	}
	if o.kind != rec.Object.Kind() {
		return fmt.Errorf("plan: %s is a %s, but recorded as a %s", o.addr, o.kind, rec.Object.Kind())
	}
	if from != base.Addr {
		o.movedFrom = from
	}
	// A record that today's rules do not take is compared as it stands.
	if o.recorded, err = h.Rules.Normalize(rec.Object); err != nil {
		o.recorded = rec.Object
	}
	o.record, o.staleRefs = rec, stale
	o.location = location{base.Host, resource.Key(o.recorded)}
	return nil
}

// locate notes what is live of a recorded object, and that the object is at its location.
func (p *planner) locate(o *object) {
	at := o.location
	if o.record == nil {
		at = o.destination
	} else {
		o.live = p.liveAt(o.location)
		if o.unfinished() && (o.desired == nil || o.location != o.destination) {
			o.live = &drivers.Object{Resource: o.recorded}
		}
	}
	if at != (location{}) {
		p.occupy(at, o)
	}
	if img, ok := o.recorded.(*resource.Image); ok && img.Builds() && mayBeHalf(o.record) {
		// What an interrupted run left of it depends on what it is made from.
		p.occupy(location{o.location.host, volumeKey(img.BuildID(p.in.Hosts[o.location.host].Rules.Defaults().DiskFormat))}, o)
	}
}

// occupy notes that o is at a location. Of two objects that are recorded there it is the one that is not superseded.
func (p *planner) occupy(at location, o *object) {
	if other := p.byLocation[at]; other == nil || other.record == nil || o.record != nil && p.isSuperseded(other, o) {
		p.byLocation[at] = o
	}
}

// isSuperseded tells whether other, which is recorded at the same location as o, is no longer there: a replacement left it to
// be deleted, or it moved to o's address and that was interrupted.
func (p *planner) isSuperseded(other, o *object) bool {
	switch {
	case other.record.Status == state.StatusDeleting:
		return true
	case (other.declared != nil) != (o.declared != nil):
		return o.declared != nil
	}
	return p.ownerMovedAway(other) && !p.ownerMovedAway(o)
}

// ownerMovedAway tells whether the object is part of a block that has moved to another address.
func (p *planner) ownerMovedAway(o *object) bool {
	if o.addr.Part == "" {
		return false
	}
	owner := p.objects[o.addr.Owner()]
	return owner == nil || owner.record == nil || p.byLocation[owner.location] != owner
}

// findRenamedVMs finds recorded vms by their mark when the host has none of the recorded name: somebody renamed them, or an
// interrupted run did.
func (p *planner) findRenamedVMs() {
	lost := p.missingVMs()
	if len(lost) == 0 {
		return
	}
	for _, h := range p.sortedHosts() {
		if h.Observed == nil {
			continue
		}
		for _, key := range slices.Sorted(maps.Keys(h.Observed.Objects)) {
			live := h.Observed.Objects[key]
			if live.Mark == nil || live.Mark.Lineage != p.in.State.Lineage || live.Resource.Kind() != resource.KindVM {
				continue
			}
			if o := lost[live.Mark.Addr]; o != nil {
				p.acceptRenamedVM(o, live, location{h.label, key})
			}
		}
	}
}

// missingVMs gives the recorded vms that are not where they are recorded, by each address that their mark may have.
func (p *planner) missingVMs() map[resource.Addr]*object {
	lost := map[resource.Addr]*object{}
	for _, o := range p.sorted {
		if o.kind == resource.KindVM && o.record != nil && o.live == nil {
			lost[cmp.Or(o.movedFrom, o.addr)], lost[o.addr] = o, o
		}
	}
	return lost
}

// acceptRenamedVM takes live for the missing vm, if it has its UUID and is no other recorded object.
func (p *planner) acceptRenamedVM(o *object, live *drivers.Object, at location) {
	if o.live != nil || o.location.host != at.host || uuidOf(o.recorded) != uuidOf(live.Resource) {
		return
	}
	if taken := p.byLocation[at]; taken != nil && taken.record != nil && taken.addr == live.Mark.Addr {
		return
	}
	if p.byLocation[o.location] == o {
		delete(p.byLocation, o.location)
	}
	o.location, o.live = at, live
	p.byLocation[at] = o
}
