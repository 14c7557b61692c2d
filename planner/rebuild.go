package planner

import (
	"maps"
	"slices"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/state"
)

// Claim is an object that is on a host, and why Rebuild records it or does not.
type Claim struct {
	Addr resource.Addr `json:"addr"`
	Kind resource.Kind `json:"kind"`
	Host string        `json:"host"`
	Name string        `json:"name"` // on the host
	Why  string        `json:"why"`
}

// Rebuilt is what Rebuild found, each list in order of address.
type Rebuilt struct {
	Records map[resource.Addr]*state.Record
	Taken   []Claim
	Left    []Claim // named by the files, or used by what is taken, but not known to be ours
}

type rebuild struct {
	in      Input
	wanted  []resource.Resource // desired, managed, no hosts
	out     *Rebuilt
	taken   map[location]bool
	skipped map[location]bool
}

func (b *rebuild) claimable(r resource.Resource) bool {
	_, known := b.in.Hosts[r.Base().Host]
	return known && r.Kind() != resource.KindHost && r.Base().IsManaged()
}

// normal is r as its host names it.
func (b *rebuild) normal(r resource.Resource) resource.Resource {
	if n, err := b.in.Hosts[r.Base().Host].Rules.Normalize(r); err == nil {
		return n
	}
	return r
}

func (b *rebuild) placeOf(r resource.Resource) location {
	return location{r.Base().Host, resource.Key(b.normal(r))}
}

func (b *rebuild) live(at location) *drivers.Object {
	return b.in.Hosts[at.host].Observed.Objects[at.key]
}

func (b *rebuild) claim(r resource.Resource, at location, why string) Claim {
	return Claim{Addr: r.Base().Addr, Kind: r.Kind(), Host: at.host, Name: nameOf(b.normal(r)), Why: why}
}

// take records the object at the place: as desired, but for what is otherwise on the host.
func (b *rebuild) take(r resource.Resource, at location, status state.Status, why string) {
	live := b.live(at)
	obj := resource.Clone(b.normal(r))
	if liveKind := live.Resource.Kind(); liveKind == obj.Kind() {
		before, after := resource.Overlay(obj, nil, live.Resource)
		for _, c := range hostChanges(resource.Diff(before, after)) {
			resource.Keep(obj, before, c.Path)
		}
	}
	recordAsFlattened(obj, b.normal(r))
	rec := &state.Record{Object: obj, Status: status, DependsOn: requiredBy(obj)}
	if obj.Kind() == resource.KindVM && live.Power != drivers.PowerOff {
		rec.Power = state.PowerOn
	}
	b.taken[at] = true
	b.out.Records[obj.Base().Addr] = rec
	b.out.Taken = append(b.out.Taken, b.claim(obj, at, why))
}

// recordAsFlattened makes of a volume that depends on nothing any more, although the files want it upon a base, a copy of that: as one
// that was flattened is recorded. A plan would take it for something else otherwise, and recreate it.
func recordAsFlattened(found, wanted resource.Resource) {
	vol, ok := found.(*resource.Volume)
	want, same := wanted.(*resource.Volume)
	if ok && same && want.Backing != "" && vol.Backing == "" {
		vol.CopyOf = want.Backing
	}
}

func (b *rebuild) skip(r resource.Resource, at location, why string) {
	b.skipped[at] = true
	b.out.Left = append(b.out.Left, b.claim(r, at, why))
}

// requiredBy lists the addresses that the object refers to, which must outlast it.
func requiredBy(r resource.Resource) []resource.Addr {
	set := map[resource.Addr]bool{}
	switch r := r.(type) {
	case *resource.VM:
		for _, d := range r.Disks {
			set[d.Volume] = true
		}
		for _, n := range r.NICs {
			set[n.Network] = true
		}
	case *resource.Volume:
		set[r.Pool], set[r.Image] = true, true
	case *resource.Image:
		set[r.Pool], set[r.From] = true, true
	case *resource.Seed:
		set[r.Pool] = true
	}
	for _, a := range r.Base().DependsOn {
		set[a] = true
	}
	delete(set, resource.Addr{})
	return slices.SortedFunc(maps.Keys(set), resource.Compare)
}
