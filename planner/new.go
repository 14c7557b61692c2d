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
func New(in Input) (*Plan, error) {
	p := &planner{
		in:               in,
		plan:             planOf(in),
		hosts:            map[string]*host{},
		dependOnReplaced: map[*object]bool{},
		moves:            map[resource.Addr]resource.Addr{},
		imports:          map[resource.Addr]resource.Import{},
	}
	if err := p.collect(); err != nil { // collect.go, moved_blocks.go, hosts.go; ownership.go says what is ours
		return nil, err
	}
	p.relate()                             // dependencies.go
	p.selectObjects()                      // select.go: --target and --exclude
	p.each((*planner).takeBackPredecessor) // predecessor.go: replacements that were interrupted
	p.each((*planner).decide)              // decide.go, decide_unwanted.go; compare.go, compare_guest.go
	p.propagate()                          // propagate.go: what that does to the objects around
	p.refuse()                             // refuse.go
	p.preflight()                          // preflight.go
	p.each((*planner).keepPredecessor)     // predecessor.go: what is replaced and deleted afterwards
	p.each((*planner).emit)                // steps.go, steps_update.go, protect.go, build_image.go, copy_downtime.go
	p.emitHosts()                          // hosts.go
	p.checkAbilities()                     // abilities.go
	p.link()                               // order.go
	p.order()
	p.summarise() // summarise.go
	return p.plan, nil
}

// each visits all objects, in order of address.
func (p *planner) each(visit func(*planner, *object)) {
	for _, o := range p.sorted {
		visit(p, o)
	}
}

// planOf is a plan of in that does nothing yet.
func planOf(in Input) *Plan {
	return &Plan{
		Version: in.Version, Lineage: in.State.Lineage, Serial: in.State.Serial, Config: in.ConfigHash, Variables: in.Variables, Options: in.Options,
	}
}

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
	leftovers        []*object                         // what deferred replacements leave behind
	diskWriters      map[location][]*object            // vms that may write to a volume: see writersOf
	dependOnReplaced map[*object]bool                  // answers of willDependOnReplaced
	moves            map[resource.Addr]resource.Addr   // blocks that are recorded under another address
	imports          map[resource.Addr]resource.Import // by To
}

// location is where an object is: its resource.Key on a host.
type location struct{ host, key string }

// object is one object on its way through the planner: the facts that were collected, and what each phase decides.
type object struct {
	facts
	selected bool // it takes part: see select.go
	decision
	comparison
	powerDecision
	copyDowntime
	keySteps
}

// facts are what the files, the state and the host say of an object. Phases after collect and relate only read them.
type facts struct {
	addr resource.Addr
	kind resource.Kind

	declared    resource.Resource // what the files say, also with Options.Destroy
	desired     resource.Resource // declared, normalised; nil when it is not to be there
	record      *state.Record     // under the address that the object has now
	recorded    resource.Resource // of record, normalised
	movedFrom   resource.Addr     // where it is recorded, when that is another address
	staleRefs   bool              // the record refers to others by addresses that they have moved from
	live        *drivers.Object   // nil when it is not on the host
	location    location          // where it is, or was recorded
	destination location          // where desired belongs

	requires      []*object // what it depends on, as desired
	dependents    []*object // what depends on it, as desired or recorded
	derivedImages []*object // images that are made from it: they wait for it, and do not need it afterwards
}

// decision is what happens to an object. decide and the rules of propagate make it.
type decision struct {
	action             Action
	cause              string
	trigger            *object // with replace_triggered_by: what changes
	adopt              bool    // it is taken over, or taken back
	replaceForbidden   bool    // it is imported, or attached to what is: a difference must not replace it
	restartReason      string  // why the guest must be off for a while, because of what happens to other objects
	retain             bool    // with ActionRelease: because of on_delete = "retain"
	createBeforeDelete bool    // with ActionReplace: predecessor is deleted after the new one is made
	deletePostponed    bool    // the old one stays until the guest that runs with it stops
	predecessor        *object // the old one, under an address of its own: createBeforeDelete, or restoredFrom
	restoredFrom       *object // the leftover of a replacement that was interrupted, which is what this was before
}

// comparison is what compare.go finds out about an object that is kept or replaced.
type comparison struct {
	planned       resource.Resource              // desired, as far as this plan goes: see compare
	renameWaits   bool                           // planned has the name that the running guest must keep until it is off
	before, after resource.Resource              // live, and what an update makes of it
	toRecord      resource.Resource              // what is recorded in the end: want, but for ignored fields
	changes       []resource.Change              // before to after, host fields
	fields        []FieldChange                  // the same for people, with those that only the record differs in
	impact        drivers.Impact                 // of changes, the worst
	impacts       map[string]drivers.FieldImpact // of changes, by path
	recordChanged bool                           // the record differs from what it should be
	guestChanges  []resource.Change              // what the running guest has different from its definition and can be given now
	guestBefore   resource.Resource
	pending       []FieldChange // what the running guest takes up when it next starts
	inactive      bool          // a network or pool that is defined, but not started
}

// keySteps are the steps of an object that those of others are tied to.
type keySteps struct {
	steps              []*step // in the order they run in
	preamble           int     // how many of them come first and touch only records
	oldRecordForgotten *step   // the record at the address it moved from is gone
	stopped            *step   // the guest is off
	deleted            *step   // it is off the host
	disksRestored      *step   // its disks are all of one time
	copied             *step   // what it begins with is copied
	created            *step   // it is there anew
	updated            *step   // it is as wanted
	started            *step   // started
	ready              *step
	protectSteps       []*step // take the snapshot that protects it
	protectedSteps     []*step // are taken back when one of them fails
	unprotected        *step   // the snapshot that protects its change is no longer needed
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

func newObject(f facts) *object { return &object{facts: f, decision: decision{action: ActionNone}} }

// managed tells whether the object is wanted as one of ours.
func (o *object) managed() bool { return o.desired != nil && o.desired.Base().IsManaged() }

// isOn tells whether the object is a vm whose guest runs, be it paused.
func (o *object) isOn() bool {
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
