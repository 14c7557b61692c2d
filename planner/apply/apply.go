// Package apply carries out a plan: it walks the graph, keeps the journal, and tells what happens. It decides nothing: if it
// needed to look into a resource, the planner would have forgotten a step.
package apply

import (
	"time"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
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
	Errors                []error // one per failed step, in the order of the plan, each naming its object
}
