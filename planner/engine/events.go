package engine

import (
	"fmt"
	"time"

	"vmplan.dev/vmplan/config"
	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/planner/apply"
	"vmplan.dev/vmplan/state"
)

// Event is something that happens while a call runs, and does not end it.
type Event interface{ event() }

// Warnings are what the files should say otherwise.
type Warnings struct{ Diagnostics config.Diagnostics }

// Ignored tells that the files have mistakes, which do not matter for this call.
type Ignored struct{ Diagnostics config.Diagnostics }

// Waiting tells that somebody else holds the state's lock, and how long it is waited for.
type Waiting struct {
	Timeout time.Duration
	Holder  *state.LockedError
}

// LockWritten tells that the lock file of images was written: it is to be kept with the files.
type LockWritten struct{ Name string }

// Step is what happens to a step of a plan that is applied.
type Step struct{ apply.Event }

// Transfer tells how far bits are on their way; the last one is Done.
type Transfer struct {
	What     string // "vm.web: disk root"
	Progress drivers.Progress
	Done     bool
}

// MarkPending tells that the mark of a live object still has another address than its record, and why.
type MarkPending struct {
	Addr resource.Addr
	Err  error
}

// Note is a sentence on what a call does, or leaves out.
type Note struct{ Text string }

func (Warnings) event()    {}
func (Ignored) event()     {}
func (Waiting) event()     {}
func (LockWritten) event() {}
func (Step) event()        {}
func (Transfer) event()    {}
func (Note) event()        {}
func (MarkPending) event() {}

// Mistakes is the error of files that are wrong. Diagnostics has all that was found, warnings too.
type Mistakes struct {
	Diagnostics config.Diagnostics
	Files       *config.Project // that they are in
	Because     string          // what cannot be done with them; may be empty
}

func (m *Mistakes) Error() string { return fmt.Sprintf("the files have mistakes: %v", m.Diagnostics) }

// HostError tells why the driver of a host cannot be made.
type HostError struct {
	Host    *resource.Host
	Written bool // its uri stands in the files, and not only in the state
	Err     error
}

func (e *HostError) Error() string { return fmt.Sprintf("host.%s: %v", e.Host.Label(), e.Err) }

// Unwrap gives the cause.
func (e *HostError) Unwrap() error { return e.Err }

// Stale is the error of a saved plan that is not what would be planned now.
type Stale struct {
	Moved  []string // what has changed since it was made
	Edited []string // where it is not what is planned now, though nothing has changed: its file was edited, or something else matters
}

func (e *Stale) Error() string {
	return fmt.Sprintf("the plan is out of date, or was edited: %q", append(e.Moved, e.Edited...))
}

// Broken is the error of an apply after which the hosts are not what was promised, although no step failed. Residue has a line for
// each field.
type Broken struct{ Residue []string }

func (e *Broken) Error() string {
	return fmt.Sprintf("applied, but the hosts are not what was promised: %q", e.Residue)
}

// StateError tells why the state cannot be read: state.ErrCorrupt, state.ErrNewer, or what its backend says.
type StateError struct {
	Settings config.StateSettings
	Err      error
}

func (e *StateError) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *StateError) Unwrap() error { return e.Err }

// note tells a sentence.
func (p *Project) note(text string) { p.tell(Note{Text: text}) }
