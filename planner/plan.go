// Package planner decides what to do. New is a pure function from what is desired, recorded and live to a Plan: no
// context, clock, I/O, prompt, log or map order; the same input gives the same bytes.
//
// It must not know a hypervisor, a state backend or how a plan is shown.
package planner

import (
	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/state"
)

// Input is all a plan is made from. New leaves it unchanged.
type Input struct {
	// Desired is what the files say, as config.Load gives it (New normalises it with each host's Rules).
	Desired *resource.Set
	// State is the recorded state.
	State *state.Snapshot
	// Hosts has an entry for every host that is desired or recorded, by label.
	Hosts map[string]Host
	// Version of vmplan, for marks.
	Version string
	// ConfigHash is config.Config's Hash; it only binds a saved plan to the files.
	ConfigHash string
	// Variables are the values of the project's variables as JSON, by name, without sensitive ones; they too only bind a saved plan.
	Variables map[string]string
	// Moves, Removed and Imports are what the files say of objects whose address or owner changes.
	Moves   []resource.Move
	Removed []resource.Removal
	Imports []resource.Import
	Options
}

// Host is what the planner knows of one host.
type Host struct {
	Rules    drivers.Rules
	Observed *drivers.Observed
}

// Options are the user's wishes for one plan.
type Options struct {
	Destroy bool            `json:"destroy,omitempty"` // plan to delete everything recorded (that Targets select)
	Orphan  bool            `json:"orphan,omitempty"`  // with Destroy: leave vms running, released
	Targets []resource.Addr `json:"targets,omitempty"` // only these, and what they depend on; empty: everything
	Exclude []resource.Addr `json:"exclude,omitempty"` // not these, nor what depends on them
	Replace []resource.Addr `json:"replace,omitempty"` // delete and create anew even if nothing differs
	// RestartPending restarts running vms whose definition has changes that they have not taken up yet.
	RestartPending bool `json:"restart_pending,omitempty"`
	// Limit is how far the plan may go; nil: as far as it must. See Plan.Beyond.
	Limit *Limit `json:"limit,omitempty"`
}

// Plan is what will be done and why. It serialises: see Encode.
type Plan struct {
	Version string  `json:"version"` // of the vmplan that made it
	Lineage string  `json:"lineage"`
	Serial  uint64  `json:"serial"`                // of the state it was made from
	Config  string  `json:"config_hash,omitempty"` // of the files
	Options Options `json:"options"`
	// Variables are Input's.
	Variables map[string]string `json:"variables,omitempty"`
	Inputs    Inputs            `json:"inputs"`
	Changes   []Change          `json:"changes"` // what differs, per object, in order of address
	Drift     []Change          `json:"drift"`   // recorded (Old) against live (New), for objects that somebody else changed
	Pending   []Change          `json:"pending"` // what running guests (Old) take up of their definition (New) when they next start
	Steps     []Step            `json:"steps"`   // the graph, in an order that could be executed one by one
	Findings  []Finding         `json:"findings"`
	Touched   []Touched         `json:"touched"` // the live objects that the steps are about, as the plan saw them
	// Unchanged are the objects that the plan looked at and leaves as they are, in order of address.
	Unchanged []Change `json:"unchanged"`
}

// Inputs are what the command line added to the files, so that applying a saved plan reads them the same way. Values of
// sensitive variables are not among them. New leaves this empty.
type Inputs struct {
	// Dir is the project's folder, as an absolute path of the machine where the plan was made.
	Dir      string            `json:"dir,omitempty"`
	Vars     map[string]string `json:"vars,omitempty"`
	VarFiles []string          `json:"var_files,omitempty"`
}

// Empty tells whether there is nothing to do.
func (p *Plan) Empty() bool { return len(p.Steps) == 0 }

// Refused tells whether a finding forbids applying.
func (p *Plan) Refused() bool {
	for _, f := range p.Findings {
		if f.Severity == SeverityError {
			return true
		}
	}
	return false
}

// Action is what happens to an object as a whole.
type Action string

// The actions.
const (
	ActionCreate  Action = "create"
	ActionUpdate  Action = "update"
	ActionReplace Action = "replace"
	ActionDelete  Action = "delete"
	ActionStart   Action = "start"   // nothing but its power changes
	ActionStop    Action = "stop"    // nothing but its power changes
	ActionAdopt   Action = "adopt"   // a released object is taken back, and updated if Fields say so
	ActionRelease Action = "release" // orphaned or retained: left as it is, no longer managed
	ActionRestore Action = "restore" // its disks are brought back to a snapshot
	ActionFlatten Action = "flatten" // it is made independent of its base
	ActionForget  Action = "forget"  // gone from the host already: only the record goes
	ActionNone    Action = "no-op"   // left as it is
)

// Causes that say nothing beyond the plan itself.
const (
	CauseAbsent  = "not on the host"  // of what is made for the first time
	CauseDestroy = "asked to destroy" // of all that goes in a plan to destroy
)

// NoteRunning is the Note of a field that only the running guest has different from its definition.
const NoteRunning = "in the running guest"

// Change is what happens to one object.
type Change struct {
	Addr   resource.Addr  `json:"addr"`
	Kind   resource.Kind  `json:"kind"`
	Name   string         `json:"name"` // on the host
	Host   string         `json:"host"`
	Action Action         `json:"action"`
	Impact drivers.Impact `json:"impact"`           // the worst of the fields'
	Fields []FieldChange  `json:"fields,omitempty"` // for create and delete: every set field that people would want to see
	Cause  string         `json:"cause"`            // "not on the host", "no longer in the files", …
	Power  string         `json:"power,omitempty"`  // "start", "stop" or "restart" when the plan does that to a vm
	// MovedFrom is the address it is recorded at so far.
	MovedFrom resource.Addr `json:"moved_from,omitzero"`
	Loses     []string      `json:"loses,omitempty"` // what cannot be got back: "disk root (20 GiB)"
	Keeps     []string      `json:"keeps,omitempty"` // what stays on the host on purpose
	// Before is the whole object as it is, as far as vmplan knows it: nothing for one that is created, the record for one
	// that is gone from its host. After is what the plan makes of it: nothing for one that goes or is no longer managed.
	// Drift and Pending have neither.
	Before resource.Encoded `json:"before,omitzero"`
	After  resource.Encoded `json:"after,omitzero"`
	Range  *resource.Range  `json:"range,omitempty"` // of its block in the files; see Locate
}

// FieldChange is one line of a Change: a field with its values, which are zero where it is not set.
type FieldChange struct {
	Path   string          `json:"path"`
	Old    resource.Value  `json:"old,omitzero"`
	New    resource.Value  `json:"new,omitzero"`
	Impact drivers.Impact  `json:"impact"`
	Note   string          `json:"note,omitempty"`
	Range  *resource.Range `json:"range,omitempty"` // of it in the files, or of what is around it; see Locate
}

// Sensitive tells whether the values must not be shown.
func (f *FieldChange) Sensitive() bool { return f.Old.IsSecret() || f.New.IsSecret() }

// Step is one operation and when it may run.
type Step struct {
	ID        string          `json:"id"` // "create vm.web.disk.root"; unique in the plan
	Op        drivers.Encoded `json:"op"`
	Addr      resource.Addr   `json:"addr"`
	Host      string          `json:"host"`
	Cause     string          `json:"cause"`
	DependsOn []string        `json:"depends_on,omitempty"` // IDs of earlier steps
	// Rescue are IDs of earlier steps: this one runs only when one of them fails, once all of them are done with.
	Rescue []string       `json:"rescue,omitempty"`
	Group  resource.Addr  `json:"group"` // the block it belongs to: its owner
	Impact drivers.Impact `json:"impact"`
	Loses  []string       `json:"loses,omitempty"`
	// Record is what is recorded once the step is done (nil: the record is removed), and Intent what is recorded before it
	// begins, when an interrupted run would otherwise not be understood. A step that leaves the record as it is sets
	// KeepRecord.
	Intent     *state.Record `json:"intent,omitempty"`
	Record     *state.Record `json:"record,omitempty"`
	KeepRecord bool          `json:"keep_record,omitempty"`
}

// Finding is something a plan has to say beyond its changes: a refusal or a warning. Addr leads to the source position.
type Finding struct {
	Severity Severity      `json:"severity"`
	Addr     resource.Addr `json:"addr"`
	Path     string        `json:"path,omitempty"` // field
	Summary  string        `json:"summary"`        // short, constant
	Detail   string        `json:"detail"`         // what is wrong, why, how to fix it
	// Measured tells that Detail has figures of the host that change by themselves, such as how much memory is free.
	Measured bool `json:"measured,omitempty"`
	// Range is of what it is about in the files; see Locate.
	Range *resource.Range `json:"range,omitempty"`
}

// Severity of a Finding.
type Severity string

// The severities.
const (
	SeverityError   Severity = "error"
	SeverityWarning Severity = "warning"
)

// Limit is how far a plan may go. It is part of the options, so a saved plan takes it along.
type Limit struct {
	Impact drivers.Impact  `json:"impact"`          // the worst that may happen to what exists
	Allow  []resource.Addr `json:"allow,omitempty"` // exceptions: these, and what they own, may go beyond
}

// Touched is a live object that steps of a plan are about, as the plan saw it. Fields that are not set were not there.
type Touched struct {
	Addr    resource.Addr    `json:"addr"`
	Host    string           `json:"host"`
	Key     string           `json:"key"`
	Object  resource.Encoded `json:"object"` // null: it was not on the host
	Running resource.Encoded `json:"running"`
	Power   drivers.Power    `json:"power,omitempty"`
	Mark    *drivers.Mark    `json:"mark,omitempty"`
	// Snapshots of a vm whose snapshots the steps take, delete or come back to, or delete with it or its disks: empty, and not
	// nil, when it had none. Of others they are nil.
	Snapshots []drivers.SnapshotInfo `json:"snapshots,omitzero"`
}
