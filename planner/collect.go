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
	p.search()
	for _, o := range p.sorted {
		p.identify(o)
	}
	return nil
}

func (p *planner) collectDesired(r resource.Resource) error {
	base := r.Base()
	h, err := p.host(base.Host, base.Addr)
	if err != nil {
		return err
	}
	o := &object{addr: base.Addr, kind: r.Kind(), file: r}
	p.objects[o.addr] = o
	p.sorted = append(p.sorted, o)
	if p.in.Destroy {
		return nil
	}
	o.want, err = h.Rules.Normalize(r)
	if err != nil {
		o.want = nil
		p.find(Finding{
			Severity: SeverityError, Addr: o.addr, Path: drivers.FieldOf(err), Summary: "the host cannot have this",
			Detail: fmt.Sprintf("host %q: %v", base.Host, err),
		})
		return nil
	}
	o.goal = place{base.Host, resource.Key(o.want)}
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
	h.lived = true
	o := p.objects[base.Addr]
	if o == nil {
		o = &object{addr: base.Addr, kind: rec.Object.Kind()}
		p.objects[o.addr] = o
		p.sorted = append(p.sorted, o)
	}
	if o.kind != rec.Object.Kind() {
		return fmt.Errorf("plan: %s is a %s, but recorded as a %s", o.addr, o.kind, rec.Object.Kind())
	}
	if from != base.Addr {
		o.from = from
	}
	// A record that today's rules do not take is compared as it stands.
	if o.was, err = h.Rules.Normalize(rec.Object); err != nil {
		o.was = rec.Object
	}
	o.rec, o.stale = rec, stale
	o.at = place{base.Host, resource.Key(o.was)}
	return nil
}

// locate notes who is at a place. Of two that are recorded there, it is the one that did not yield.
func (p *planner) locate(o *object) {
	at := o.at
	if o.rec == nil {
		at = o.goal
	} else {
		o.live = p.liveAt(o.at)
		if o.unfinished() && (o.want == nil || o.at != o.goal) {
			o.live = &drivers.Object{Resource: o.was}
		}
	}
	if at != (place{}) {
		p.claim(at, o)
	}
	if img, ok := o.was.(*resource.Image); ok && img.Builds() && mayBeHalf(o.rec) {
		// What a dead run left of it stands upon what it is made from.
		p.claim(place{o.at.host, volumeKey(img.BuildID())}, o)
	}
}

// claim notes that o is at a place, unless one that does not yield is there.
func (p *planner) claim(at place, o *object) {
	if other := p.atPlace[at]; other == nil || other.rec == nil || o.rec != nil && p.yields(other, o) {
		p.atPlace[at] = o
	}
}

// yields tells whether other, recorded at the same place as o, is there no longer: a replacement left it behind, or it moved to
// o's address and that was cut short.
func (p *planner) yields(other, o *object) bool {
	switch {
	case other.rec.Status == state.StatusDeleting:
		return true
	case (other.file != nil) != (o.file != nil):
		return o.file != nil
	}
	return p.stray(other) && !p.stray(o)
}

// stray tells whether the object is a part of a block that has moved on.
func (p *planner) stray(o *object) bool {
	if o.addr.Part == "" {
		return false
	}
	owner := p.objects[o.addr.Owner()]
	return owner == nil || owner.rec == nil || p.atPlace[owner.at] != owner
}

// search finds recorded vms by the mark they bear, where there is none of the recorded name: they were renamed, by hand or by
// a run that was cut short.
func (p *planner) search() {
	lost := p.lost()
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
				p.recognise(o, live, place{h.label, key})
			}
		}
	}
}

// lost gives the recorded vms that are not where they are recorded, by the addresses that their marks may have.
func (p *planner) lost() map[resource.Addr]*object {
	lost := map[resource.Addr]*object{}
	for _, o := range p.sorted {
		if o.kind == resource.KindVM && o.rec != nil && o.live == nil {
			lost[cmp.Or(o.from, o.addr)], lost[o.addr] = o, o
		}
	}
	return lost
}

// recognise takes live for the lost vm, if it is that and nobody else's.
func (p *planner) recognise(o *object, live *drivers.Object, at place) {
	if o.live != nil || o.at.host != at.host || uuidOf(o.was) != uuidOf(live.Resource) {
		return
	}
	if taken := p.atPlace[at]; taken != nil && taken.rec != nil && taken.addr == live.Mark.Addr {
		return
	}
	if p.atPlace[o.at] == o {
		delete(p.atPlace, o.at)
	}
	o.at, o.live = at, live
	p.atPlace[at] = o
}
