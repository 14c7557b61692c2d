package planner

import (
	"fmt"
	"slices"
	"strings"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/state"
)

// New makes the plan. The error is about in itself (a host that is missing from it); what the user must hear is a Finding.
//
// The way through: collect the objects, under the addresses they have moved to (move.go), and find them on their hosts
// (collect.go, adopt.go), choose which take part (target.go), decide what becomes of each (match.go, gone.go, compare.go), let
// that spread to the objects around (trigger.go, spread.go), refuse what must not be done and foretell what would fail
// (refuse.go, preflight.go), turn it into steps (emit.go, update.go, power.go), and bring them into order (order.go).
func New(in Input) (*Plan, error) {
	p := &planner{
		in:      in,
		plan:    planOf(in),
		objects: map[resource.Addr]*object{},
		hosts:   map[string]*host{},
		atPlace: map[place]*object{},
		ids:     map[string]bool{},
		names:   map[resource.Addr][]*object{},
		moved:   map[resource.Addr]resource.Addr{},
		imports: map[resource.Addr]resource.Import{},
	}
	if err := p.collect(); err != nil {
		return nil, err
	}
	p.relate()
	p.choose()
	for _, o := range p.sorted {
		p.decide(o)
	}
	p.trigger()
	p.spread()
	p.refuse()
	p.preflight()
	for _, o := range p.sorted {
		p.emit(o)
	}
	p.emitHosts()
	p.link()
	p.order()
	p.finish()
	return p.plan, nil
}

// planOf is a plan of in that does nothing yet.
func planOf(in Input) *Plan {
	return &Plan{
		Version: in.Version, Lineage: in.State.Lineage, Serial: in.State.Serial, Config: in.ConfigHash, Variables: in.Variables, Options: in.Options,
	}
}

// planner is one run of New.
type planner struct {
	in      Input
	plan    *Plan
	objects map[resource.Addr]*object
	sorted  []*object // in order of address
	hosts   map[string]*host
	names   map[resource.Addr][]*object       // instances of a block, by their address without key
	atPlace map[place]*object                 // who is, or is recorded to be, at a place
	left    []*object                         // what deferred replacements leave behind
	moved   map[resource.Addr]resource.Addr   // blocks that are recorded under another address
	imports map[resource.Addr]resource.Import // by To
	steps   []*step
	ids     map[string]bool
}

// place is where an object is: its resource.Key on a host.
type place struct{ host, key string }

// fate is what becomes of an object.
type fate uint8

const (
	fateNone    fate = iota // it is left alone: not managed, not chosen, refused
	fateCreate              // it is not there
	fateKeep                // it is there: compare, and update if need be
	fateReplace             // it is there, but must be made anew
	fateDelete
	fateRelease // left on the host, no longer managed
	fateForget  // not there and not wanted
)

// object is one object on its way through the planner.
type object struct {
	addr resource.Addr
	kind resource.Kind

	file resource.Resource // what the files say, also with Options.Destroy
	want resource.Resource // desired, normalised; nil when it is not to be there
	wish resource.Resource // what want was, when a guest must keep its name until it is off
	rec  *state.Record     // under the address that the object has now
	was  resource.Resource // recorded, normalised
	from resource.Addr     // where it is recorded, when that is another address
	// stale: the record refers to others by addresses that they have moved from.
	stale bool
	live  *drivers.Object // of this object; nil when it is not on the host
	at    place           // where it is, or was recorded
	goal  place           // where want belongs

	needs []*object // what it stands on, as desired
	leans []*object // what leans on it, as desired or recorded
	// borrowers are images that are made of it: they wait for it, and then have no need of it any more.
	borrowers []*object
	chosen    bool
	fate      fate
	cause     string
	by        *object // what triggers its replacement
	adopt     bool    // with fateKeep: take it back
	wary      bool    // it is imported, or attached to what is: it must not be replaced by that
	retain    bool    // with fateRelease: because of on_delete = "retain"
	// deferred: with fateReplace, the new one is made before the old one is deleted, which old then stands for.
	deferred  bool
	postponed bool // the old one stays until the guest that runs with it stops
	old       *object
	yielded   *object // with fateKeep: what had taken the place of this, and goes
	former    *object // the one that this takes over from, left behind by a replacement that was cut short
	occupant  *object // who has the goal now, and goes
	guarding  []*step // the steps that take the snapshot which protects it
	guarded   []*step // the steps that are taken back when one fails
	shaky     tristate

	comparison
	power
	lending
	anchors
}

// comparison is what compare.go finds out about an object that is kept or replaced.
type comparison struct {
	before, after resource.Resource              // live, and what an update makes of it
	record        resource.Resource              // what is recorded in the end: want, but for ignored fields
	changes       []resource.Change              // before to after, host fields
	fields        []FieldChange                  // the same for people, with those that only the record differs in
	impact        drivers.Impact                 // of changes, the worst
	impacts       map[string]drivers.FieldImpact // of changes, by path
	rewrite       bool                           // the record differs from what it should be
	guest         []resource.Change              // what the running guest has otherwise than its definition and can be given now
	guestBefore   resource.Resource
	inactive      bool // a network or pool that is defined, but not started
}

// anchors are the steps of an object that those of others are tied to.
type anchors struct {
	steps []*step // in the order they run in
	head  int     // how many of them come first and touch only records
	left  *step   // the record at the address it moved from is gone
	off   *step   // the guest is off
	gone  *step   // it is off the host
	whole *step   // its disks are all of one time
	taken *step   // what it begins with is copied
	made  *step   // it is there anew
	set   *step   // it is as wanted
	up    *step   // started
	ready *step
	guard *step // the snapshot that protects its change is no longer needed
}

// step is a Step whose dependencies are pointers still.
type step struct {
	Step
	deps  []*step
	saves []*step        // Rescue
	soft  map[*step]bool // those of deps that are better waited for, but need not be
	last  bool           // comes behind all else on its host
	seen  uint8
}

// host is one host block, desired or recorded.
type host struct {
	label string
	Host
	want   *resource.Host
	rec    *state.Record
	lived  bool // objects are recorded on it
	record *step
}

// managed tells whether the object is wanted as one of ours.
func (o *object) managed() bool { return o.want != nil && o.want.Base().IsManaged() }

// on tells whether the object is a vm whose guest runs, be it paused.
func (o *object) on() bool {
	return o.kind == resource.KindVM && o.live != nil && o.live.Power != drivers.PowerOff && o.live.Power != ""
}

// stored tells whether the object is bits in a pool: these have no marks and no settings, only content.
func (o *object) stored() bool {
	return o.kind == resource.KindVolume || o.kind == resource.KindImage || o.kind == resource.KindSeed
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

func (p *planner) liveAt(at place) *drivers.Object {
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
