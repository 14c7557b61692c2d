package planner

import (
	"fmt"
	"slices"
	"strings"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/state"
)

// planner is one run of New.
type planner struct {
	graph

	in               Input
	plan             *Plan
	objects          map[resource.Addr]*object
	sorted           []*object // in order of address
	hosts            map[string]*host
	byBlock          map[resource.Addr][]*object       // instances of a block, by their address without key
	byLocation       map[location]*object              // who is, or is recorded to be, at a place
	leftovers        []*object                         // predecessors that are deleted
	diskWriters      map[location][]*object            // vms that may write to a volume: see writersOf
	dependOnReplaced map[*object]bool                  // answers of willDependOnReplaced
	moves            map[resource.Addr]resource.Addr   // blocks that are recorded under another address
	imports          map[resource.Addr]resource.Import // by To
}

// host is one host block, desired or recorded.
type host struct {
	label string
	Host
	desired    *resource.Host
	record     *state.Record
	hasObjects bool // objects are recorded on it
	recordStep *step
}

// each visits all objects, in order of address.
func (p *planner) each(visit func(*planner, *object)) {
	for _, o := range p.sorted {
		visit(p, o)
	}
}

func (p *planner) host(label string, who resource.Addr) (*host, error) {
	if h := p.hosts[label]; h != nil {
		return h, nil
	}
	in, ok := p.in.Hosts[label]
	if !ok || in.Rules == nil || in.Observed == nil {
		return nil, fmt.Errorf("plan: %s lives on host %q, of which nothing is known", who, label)
	}
	h := &host{label: label, Host: in}
	p.hosts[label] = h
	return h, nil
}

func (p *planner) liveAt(at location) *drivers.Object {
	if h := p.hosts[at.host]; h != nil {
		return h.Observed.Objects[at.key]
	}
	return nil
}

func (p *planner) sortedHosts() []*host {
	out := make([]*host, 0, len(p.hosts))
	for _, h := range p.hosts {
		out = append(out, h)
	}
	slices.SortFunc(out, func(a, b *host) int { return strings.Compare(a.label, b.label) })
	return out
}

// users gives the objects known to the plan that use o on its host. The vms of a pool depend on it through their volumes.
func (p *planner) users(o *object) []*object {
	if o.live == nil || o.kind == resource.KindPool {
		return nil
	}
	var out []*object
	for _, key := range o.live.Users {
		if u := p.byLocation[location{o.location.host, key}]; u != nil && u != o {
			out = append(out, u)
		}
	}
	return out
}

// instances gives the object at a, or all instances of the block a, or all that module a holds.
func (p *planner) instances(a resource.Addr) []*object {
	if o := p.objects[a]; o != nil {
		return []*object{o}
	}
	if a.Kind != "" {
		return p.byBlock[a]
	}
	var out []*object
	for _, o := range p.sorted {
		if a.Contains(o.addr) {
			out = append(out, o)
		}
	}
	return out
}

// departingOccupant is the object at o's destination that leaves it in this plan; nil when there is none.
func (p *planner) departingOccupant(o *object) *object {
	occupant := p.byLocation[o.destination]
	if !o.moves() || occupant == nil || occupant == o {
		return nil
	}
	// Without anything live, it is what an interrupted run left beside its place: that goes before a new one is begun.
	if occupant.action == ActionDelete || p.liveAt(o.destination) != nil && (occupant.action == ActionReplace && occupant.destination != occupant.location || occupant.renamed()) {
		return occupant
	}
	return nil
}

func (p *planner) addFinding(f Finding) { p.plan.Findings = append(p.plan.Findings, f) }

func (p *planner) refuseAt(o *object, path, summary, detail string) {
	p.addFinding(Finding{Severity: SeverityError, Addr: o.addr, Path: path, Summary: summary, Detail: detail})
}

// drift adds to what somebody else changed of the object.
func (p *planner) drift(o *object, c Change) {
	n := len(p.plan.Drift)
	if n > 0 && p.plan.Drift[n-1].Addr == o.addr {
		p.plan.Drift[n-1].Fields = append(p.plan.Drift[n-1].Fields, c.Fields...)
		return
	}
	p.plan.Drift = append(p.plan.Drift, o.change(c))
}

// change fills in who c is about.
func (o *object) change(c Change) Change {
	r, at := o.planned, o.destination
	if r == nil {
		r, at = o.recorded, o.location
	}
	c.Addr, c.Kind, c.Name, c.Host = o.addr, o.kind, nameOf(r), at.host
	return c
}

// poolIsUndefined tells whether the object is recorded in a pool that its host does not know, so that it is unknown whether
// its bits are still in the pool's folder.
func (p *planner) poolIsUndefined(o *object) bool {
	if o.record == nil || o.live != nil || !o.stored() {
		return false
	}
	pool, _, _ := strings.Cut(resource.VolumeID(o.recorded), "/")
	at := location{o.location.host, string(resource.KindPool) + "/" + pool}
	return p.byLocation[at] != nil && p.liveAt(at) == nil // it was looked for, and is not there
}

// removal is the removed block that is about the object, or nil. Of several it is the one that says it most closely.
func (p *planner) removal(o *object) *resource.Removal {
	var found *resource.Removal
	for i := range p.in.Removed {
		r := &p.in.Removed[i]
		if o.declared == nil && r.From.Contains(o.addr) && (found == nil || found.From.Contains(r.From)) {
			found = r
		}
	}
	return found
}
