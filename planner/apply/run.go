package apply

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"vmplan.dev/vmplan/planner"
	"vmplan.dev/vmplan/state"
)

// Run carries out p and folds what became of it into snap, which it writes at the end when anything changed. A step starts
// when all it depends on is done and recorded. The dependents of a failed step are skipped, all else goes on; a step with Rescue
// runs only when one of those failed. When ctx is cancelled, what runs is let finish undisturbed for Env.Grace, and nothing more is started
// but what rescues a step that has failed.
//
// Failed steps are in the Summary. The error is about the run itself: a plan that is no graph or names a host without a
// driver (nothing was done then), or a state that could not be written (no further step is started then).
func Run(ctx context.Context, p *planner.Plan, snap *state.Snapshot, env Env) (Summary, error) {
	if env.Parallelism <= 0 {
		env.Parallelism = DefaultParallelism
	}
	if env.PerHost <= 0 {
		env.PerHost = DefaultPerHost
	}
	r := &runner{
		env:   env,
		snap:  snap,
		head:  &state.Snapshot{Lineage: snap.Lineage, Serial: snap.Serial, Salt: snap.Salt},
		lanes: map[string]*lane{},
		done:  make(chan message),
	}
	if err := r.build(p.Steps); err != nil {
		return Summary{}, err
	}
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { r.endAfterGrace(work, cancel) })()
	r.work = work
	r.loop(ctx)
	return r.finish(ctx)
}

// endAfterGrace cancels what still runs when the grace time is over.
func (r *runner) endAfterGrace(work context.Context, cancel func()) {
	if r.env.Grace <= 0 {
		return
	}
	select {
	case <-work.Done():
	case <-time.After(r.env.Grace):
		cancel()
	}
}

// runner is one run. All of its fields belong to the goroutine of loop, but for env, head and done, and events under its lock.
type runner struct {
	env       Env
	snap      *state.Snapshot
	head      *state.Snapshot // what the backend knows the journal by; has no records, so that nobody reads them unguarded
	nodes     []*node
	lanes     map[string]*lane
	running   int // operations, in all lanes that count
	unsettled int // nodes that are neither done, failed nor skipped
	stop      error
	stateErr  error // the state could not be written
	changed   bool
	done      chan message
	work      context.Context // of operations: cancelled after Env.Grace
	events    sync.Mutex
	sum       Summary
}

// node is one step of the graph.
type node struct {
	index        int
	step         *planner.Step
	lane         *lane
	waitingFor   int // steps it depends on that are not done yet, and those that it may have to rescue and that are not settled
	dependents   []*node
	rescuers     []*node // steps that run if this one fails
	rescueNeeded bool    // for a step with Rescue: one of those has failed
	settled      bool
	began        bool          // has left the ready queue
	before       *state.Record // the record before the intent
	started      time.Time
	err          error
}

// message tells the loop of progress with a node.
type message struct {
	node       *node
	phase      phase
	entry      *state.Entry // what was journalled
	err        error        // of the operation, with phaseRecorded
	journalErr error        // why the entry could not be journalled
}

type phase uint8

const (
	phaseIntentDurable   phase = iota // the intent is durable
	phaseRan                          // the operation has ended: its slot is free
	phaseRecorded                     // the result is durable
	phaseIntentWithdrawn              // the intent was taken back, as the operation will not start
)

var errInterrupted = errors.New("interrupted before it began")

func (r *runner) build(steps []planner.Step) error {
	byID := make(map[string]*node, len(steps))
	for i := range steps {
		s := &steps[i]
		if s.Op.Op == nil || byID[s.ID] != nil {
			return fmt.Errorf("plan: step %q has no operation or is there twice", s.ID)
		}
		if !recordOnly(s) && r.env.Drivers[s.Host] == nil {
			return fmt.Errorf("plan: step %q: there is no driver for host %q", s.ID, s.Host)
		}
		n := &node{index: i, step: s, lane: r.laneOf(s)}
		deps, err := earlier(byID, s, s.DependsOn)
		if err != nil {
			return err
		}
		saves, err := earlier(byID, s, s.Rescue)
		if err != nil {
			return err
		}
		for _, dep := range deps {
			dep.dependents = append(dep.dependents, n)
		}
		for _, dep := range saves {
			dep.rescuers = append(dep.rescuers, n)
		}
		n.waitingFor = len(deps) + len(saves)
		byID[s.ID] = n
		r.nodes = append(r.nodes, n)
		if n.waitingFor == 0 {
			n.lane.ready.push(n)
		}
	}
	r.unsettled = len(r.nodes)
	return nil
}

// earlier finds the nodes that a step waits for.
func earlier(byID map[string]*node, s *planner.Step, ids []string) ([]*node, error) {
	nodes := make([]*node, len(ids))
	for i, id := range ids {
		if nodes[i] = byID[id]; nodes[i] == nil {
			return nil, fmt.Errorf("plan: step %q waits for %q, which is no earlier step", s.ID, id)
		}
	}
	return nodes, nil
}

func (r *runner) loop(ctx context.Context) {
	run := context.WithoutCancel(ctx)
	cancelled := ctx.Done()
	for r.unsettled > 0 {
		if r.stop == nil && ctx.Err() != nil {
			r.stop, r.sum.Interrupted = errInterrupted, true
		}
		if r.stop != nil {
			r.skipRemaining(run)
		}
		r.dispatch(run)
		if r.unsettled == 0 {
			return
		}
		select {
		case m := <-r.done:
			r.advance(m)
		case <-cancelled:
			cancelled = nil
		}
	}
}

// advance takes one message in.
func (r *runner) advance(m message) {
	n := m.node
	if m.journalErr != nil && r.stateErr == nil {
		r.stateErr = m.journalErr
		r.stop = errors.New("not started, as the state can no longer be written")
	}
	if m.entry != nil {
		r.snap.Apply(*m.entry)
		r.changed = true
	}
	switch m.phase {
	case phaseIntentDurable:
		if m.journalErr != nil {
			n.lane.inFlight--
			r.fail(n, fmt.Errorf("record the intent: %w", m.journalErr))
			return
		}
		n.lane.runnable.push(n)
	case phaseRan:
		r.release(n.lane)
	case phaseRecorded:
		n.lane.inFlight--
		r.recordResult(n, m)
	case phaseIntentWithdrawn:
		n.lane.inFlight--
		r.skip(r.stop, n)
	}
}

func (r *runner) recordResult(n *node, m message) {
	switch {
	case m.err != nil:
		r.fail(n, m.err)
	case m.journalErr != nil:
		r.fail(n, fmt.Errorf("done, but it could not be recorded: %w", m.journalErr))
	default:
		r.sum.Done++
		r.emit(n, Event{Kind: EventDone, Elapsed: time.Since(n.started)})
		r.complete(n)
	}
}

// complete ends a step that was done, or had nothing to do, and lets those continue that wait for it.
func (r *runner) complete(n *node) {
	r.settleNode(n, false)
	for _, d := range n.dependents {
		r.dependencySettled(d)
	}
}

// settleNode ends a step, and tells those that may have to rescue it whether they must.
func (r *runner) settleNode(n *node, failed bool) {
	n.settled = true
	r.unsettled--
	for _, s := range n.rescuers {
		s.rescueNeeded = s.rescueNeeded || failed
		r.dependencySettled(s)
	}
}

// dependencySettled tells d that one of the steps it waits for is over. A rescue that is not needed is over with that too, without
// an event.
func (r *runner) dependencySettled(d *node) {
	d.waitingFor--
	switch {
	case d.waitingFor > 0 || d.settled:
	case d.isUnneededRescue():
		r.complete(d)
	default:
		d.lane.ready.push(d)
	}
}

// isUnneededRescue tells whether n is there to rescue others, none of which has failed so far.
func (n *node) isUnneededRescue() bool { return len(n.step.Rescue) > 0 && !n.rescueNeeded }

func (r *runner) fail(n *node, err error) {
	n.err = &StepError{Step: n.step.ID, Addr: n.step.Addr, Verb: n.step.Op.Verb(), Err: err}
	r.sum.Failed++
	e := Event{Kind: EventFailed, Err: n.err}
	if !n.started.IsZero() {
		e.Elapsed = time.Since(n.started)
	}
	r.emit(n, e)
	r.skip(fmt.Errorf("%q failed", n.step.ID), n.dependents...)
	r.settleNode(n, true)
}

// skip skips the nodes and all that depends on them, in the order of the plan.
func (r *runner) skip(why error, nodes ...*node) {
	queue := newQueue(nodes...)
	for queue.Len() > 0 {
		n := queue.pop()
		if n.settled {
			continue
		}
		if !n.isUnneededRescue() {
			r.sum.Skipped++
			r.emit(n, Event{Kind: EventSkipped, Err: why})
		}
		r.settleNode(n, false)
		for _, d := range n.dependents {
			queue.push(d)
		}
	}
}

// skipRemaining skips what has not begun, and takes back the intents of what was about to.
func (r *runner) skipRemaining(run context.Context) {
	for _, l := range r.lanes {
		for _, n := range l.runnable.removeIf(r.maySkip) {
			go func() { r.done <- r.journalNotStarted(run, n) }()
		}
	}
	var waiting []*node
	for _, n := range r.nodes {
		if !n.settled && !n.began && r.maySkip(n) {
			waiting = append(waiting, n)
		}
	}
	r.skip(r.stop, waiting...)
}

// maySkip tells whether n is not to begin in a run that was stopped. What rescues others still is, while that can be recorded: it
// restores a guest whose change has failed.
func (r *runner) maySkip(n *node) bool { return len(n.step.Rescue) == 0 || r.stateErr != nil }

// finish writes the state and sums up.
func (r *runner) finish(ctx context.Context) (Summary, error) {
	for _, n := range r.nodes {
		if n.err != nil {
			r.sum.Errors = append(r.sum.Errors, n.err)
		}
	}
	err := r.stateErr
	if err != nil {
		err = fmt.Errorf("journal: %w", err)
	}
	if r.changed {
		if werr := r.env.Backend.Write(context.WithoutCancel(ctx), r.snap); werr != nil {
			err = errors.Join(err, fmt.Errorf("write the state: %w", werr))
		}
	}
	return r.sum, err
}

// emit passes an event of n on.
func (r *runner) emit(n *node, e Event) {
	if r.env.Events == nil {
		return
	}
	e.Step, e.Addr, e.Verb = n.step.ID, n.step.Addr, n.step.Op.Verb()
	r.events.Lock()
	defer r.events.Unlock()
	r.env.Events(e)
}
