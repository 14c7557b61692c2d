// Package apply carries out a plan: it walks the graph, keeps the journal, and tells what happens. It decides nothing: if it
// needed to look into a resource, the planner would have forgotten a step.
package apply

import (
	"fmt"
	"strings"
	"time"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/state"
)

// Env is what a run works with.
type Env struct {
	// Drivers are the hosts by label. Every step that touches a host needs its.
	Drivers map[string]drivers.Driver
	// Backend keeps the journal and the state; the caller holds its lock.
	Backend state.Backend
	// Parallelism is how many operations run at once in all; 0 means DefaultParallelism. With 1, the steps run one after
	// the other in the order of the plan. Operations that only wait for a guest do not count otherwise.
	Parallelism int
	// PerHost is how many operations run at once on one host; 0 means DefaultPerHost.
	PerHost int
	// Grace is how long operations may go on once the context of Run is cancelled; then they are cancelled too, as Driver.Do
	// allows at any time. 0: they are let finish.
	Grace time.Duration
	// Events is told what happens, one call at a time; nil when nobody wants to know. It must not block for long.
	Events func(Event)
}

// The bounds when the caller names none. More than four at once on one hypervisor was measured to gain nothing.
const (
	DefaultParallelism = 16
	DefaultPerHost     = 4
)

// Event is something that happened to a step.
type Event struct {
	Step     string
	Addr     resource.Addr
	Verb     string
	Kind     EventKind
	Progress drivers.Progress // with EventProgress
	Err      error            // with EventFailed and EventSkipped
	Elapsed  time.Duration    // with EventDone and EventFailed
}

// EventKind says what happened.
type EventKind uint8

// The kinds of events.
const (
	EventStarted EventKind = iota
	EventProgress
	EventDone
	EventFailed
	EventSkipped // a step it depends on failed, or the run was cancelled
)

// Summary counts what became of the steps.
type Summary struct {
	Done, Failed, Skipped int
	Errors                []error // one *StepError per failed step, in the order of the plan
	Interrupted           bool    // the context was cancelled before everything was started
}

// OK tells whether every step was done.
func (s Summary) OK() bool { return s.Failed == 0 && s.Skipped == 0 }

// StepError is the failure of one step.
type StepError struct {
	Step string // the step's ID
	Addr resource.Addr
	Verb string
	Err  error
}

// Error names the object first, once.
func (e *StepError) Error() string {
	text := e.Err.Error()
	if strings.HasPrefix(text, e.Addr.String()+": ") {
		return text
	}
	return fmt.Sprintf("%s: %s: %s", e.Addr, e.Verb, text)
}

// Unwrap gives the cause.
func (e *StepError) Unwrap() error { return e.Err }
