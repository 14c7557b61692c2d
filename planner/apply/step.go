package apply

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/state"
)

// progressEvery is how often a step's progress is passed on at most; a new phase always is.
const progressEvery = 100 * time.Millisecond

// journalIntent makes the intent of n durable.
func (r *runner) journalIntent(ctx context.Context, n *node) message {
	return r.journal(ctx, message{node: n, phase: phaseIntentDurable}, &state.Entry{Phase: state.PhaseIntent, Record: n.step.Intent})
}

// perform does the operation of n and makes its result durable.
func (r *runner) perform(ctx context.Context, n *node) {
	var result drivers.Result
	var err error
	if !recordOnly(n.step) {
		result, err = r.do(n)
	}
	r.done <- message{node: n, phase: phaseRan}
	r.done <- r.journal(ctx, message{node: n, phase: phaseRecorded, err: err}, n.outcome(result, err))
}

// journalNotStarted takes back the intent of n, whose operation will not start.
func (r *runner) journalNotStarted(ctx context.Context, n *node) message {
	var e *state.Entry
	if n.step.Intent != nil {
		e = &state.Entry{Phase: state.PhaseFailed, Record: n.before}
	}
	return r.journal(ctx, message{node: n, phase: phaseIntentWithdrawn}, e)
}

// outcome is what is journalled after an operation: nil when the record stays as it is.
func (n *node) outcome(result drivers.Result, err error) *state.Entry {
	s := n.step
	switch {
	case err != nil && s.Intent == nil:
		return nil
	case errors.Is(err, drivers.ErrConflict), errors.Is(err, drivers.ErrInUse):
		// The host refused: what is there is untouched. With the intent left in place, a later run would take somebody
		// else's object for its own.
		return &state.Entry{Phase: state.PhaseFailed, Record: n.before}
	case err != nil:
		return &state.Entry{Phase: state.PhaseFailed, Record: s.Intent}
	case s.KeepRecord:
		return nil
	}
	record := s.Record
	if record != nil && result.Object != nil {
		filled := *record
		filled.Object = resource.FillComputed(record.Object, result.Object)
		record = &filled
	}
	return &state.Entry{Phase: state.PhaseDone, Record: record}
}

// journal appends e for the message's node, and notes it in the message when there is something to fold in.
func (r *runner) journal(ctx context.Context, m message, e *state.Entry) message {
	if e == nil {
		return m
	}
	e.Step, e.Addr = m.node.step.ID, m.node.step.Addr
	m.journalErr = r.env.Backend.Append(ctx, r.head, *e)
	// An intent that is not durable begins nothing. A result is true even when it could not be written now: the state
	// written at the end may still hold it.
	if m.journalErr == nil || m.phase != phaseIntentDurable {
		m.entry = e
	}
	return m
}

// do calls the driver. A driver that panics fails its step and no other.
func (r *runner) do(n *node) (result drivers.Result, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("this is a bug in vmplan: the driver panicked: %v\n%s", p, debug.Stack())
		}
	}()
	ctx, cancel := r.contextOf(n)
	defer cancel()
	return r.env.Drivers[n.step.Host].Do(ctx, n.step.Op.Op, r.reporter(n))
}

// contextOf is what ends a step: the grace time after an interrupt. A step that rescues others may begin only then, because they
// were ended by that; it has a grace time of its own.
func (r *runner) contextOf(n *node) (context.Context, context.CancelFunc) {
	if len(n.step.Rescue) == 0 || r.work.Err() == nil {
		return context.WithCancel(r.work)
	}
	return context.WithTimeout(context.WithoutCancel(r.work), r.env.Grace)
}

// reporter passes progress on, thinned out.
func (r *runner) reporter(n *node) func(drivers.Progress) {
	var last time.Time
	var phase string
	return func(p drivers.Progress) {
		now := time.Now()
		if p.Phase == phase && now.Sub(last) < progressEvery && (p.Total == 0 || p.Done < p.Total) {
			return
		}
		last, phase = now, p.Phase
		r.emit(n, Event{Kind: EventProgress, Progress: p})
	}
}
