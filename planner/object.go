package planner

import (
	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/state"
)

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
	toRecord      resource.Resource              // what is recorded in the end: planned, but for ignored fields
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

// powerDecision is what a plan does to a vm's power.
type powerDecision struct {
	stop, start, wait bool
	powerUnrecorded   bool         // its power is as it should be, but the record says otherwise
	restartCause      string       // why the guest is restarted, when its own changes do not ask for it
	ruleChange        *FieldChange // the files say otherwise of the power than they did, and it already is as they say
	powerCause        string
}

// copyDowntime is what a vm has to do with what the plan copies from its disks: volumes and images.
type copyDowntime struct {
	copiedBy []*object // what is copied: its guest is off meanwhile
	// secondDowntimeFor is an image for which its guest is shut down once more: it comes up in this plan, and only then has on its
	// disk what the files want.
	secondDowntimeFor *object
	secondStop        *step // it is off for that
	secondStart       *step // and started again
	// copySteps are the steps that copy from its disks while it is off.
	copySteps []*step
}

// keySteps are the steps of an object that those of others are tied to.
type keySteps struct {
	steps              []*step         // in the order they run in
	dependsOn          []resource.Addr // what its records name
	preamble           int             // how many of them come first and touch only records
	oldRecordForgotten *step           // the record at the address it moved from is gone
	stopped            *step           // the guest is off
	deleted            *step           // it is off the host
	disksRestored      *step           // its disks are all of one time
	copied             *step           // what it begins with is copied
	created            *step           // it is on the host
	updated            *step           // it is as planned
	started            *step           // the guest is started
	ready              *step
	protectSteps       []*step // take the snapshot that protects it
	protectedSteps     []*step // are taken back when one of them fails
	unprotected        *step   // the snapshot that protects its change is no longer needed
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

// volumeID is that of what the object is, or else is to be; empty for one that is no storage volume.
func (o *object) volumeID() string {
	switch {
	case !o.stored():
		return ""
	case o.desired != nil:
		return resource.VolumeID(o.desired)
	}
	return resource.VolumeID(o.recorded)
}

// current is what the object is now: recorded, or live when it is taken back.
func (o *object) current() resource.Resource {
	if o.recorded != nil {
		return o.recorded
	}
	return o.live.Resource
}

func (o *object) recordedPower() string {
	if o.record == nil {
		return ""
	}
	return o.record.Power
}

// livePower is the live power as it is recorded.
func (o *object) livePower() string {
	if o.isOn() {
		return state.PowerOn
	}
	return state.PowerOff
}

// renamed tells whether the object is kept under another name.
func (o *object) renamed() bool {
	return o.action == ActionUpdate && o.location != o.destination && !o.renameWaits
}

// moves tells whether the plan makes the object where it was not before.
func (o *object) moves() bool {
	return o.action == ActionCreate || o.action == ActionReplace && o.location != o.destination || o.renamed()
}

// liveResource is the live object, in the type of the planned one.
func (o *object) liveResource() resource.Resource {
	model := o.planned
	if model == nil {
		model = o.recorded
	}
	return o.asModel(o.live, model)
}

// asModel is a live object in the type of a model of the same object. Volumes have no name but their file.
func (o *object) asModel(live *drivers.Object, model resource.Resource) resource.Resource {
	r := live.Resource
	if r.Kind() != model.Kind() {
		r = model
	}
	if o.stored() && r.Base().Name != model.Base().Name {
		r = resource.Clone(r)
		r.Base().Name = model.Base().Name
	}
	return r
}

// asRecorded is the live object in the fields that are recorded: what is taken away.
func (o *object) asRecorded() resource.Resource {
	before, _ := resource.Overlay(o.recorded, o.recorded, o.liveResource())
	return before
}

// snapshot gives the vm's snapshot of that name; nil when there is none.
func (o *object) snapshot(name string) *drivers.SnapshotInfo {
	if o.live == nil {
		return nil
	}
	return findSnapshot(o.live, name)
}

// hasProtectSnapshot tells whether the snapshot of an earlier run is there still.
func (o *object) hasProtectSnapshot() bool { return o.snapshot(protectSnapshot) != nil }

// restoreUnfinished tells whether the disks of a vm were being brought back to the snapshot that protects it when that failed or was cut
// short: the plan goes on with it, before anything else is done to the vm. What a guest has written that runs since would be lost.
func (o *object) restoreUnfinished() bool {
	return o.action == ActionUpdate && !o.isOn() && o.record != nil && o.record.Restoring == protectSnapshot && o.hasProtectSnapshot()
}

// location is where an object is: its resource.Key on a host.
type location struct{ host, key string }
