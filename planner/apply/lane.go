package apply

import (
	"container/heap"
	"context"
	"time"

	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/planner"
)

// lane is a bound that some of the steps share: those of one host, or those that put no load on any.
type lane struct {
	slots    int  // operations at once
	ahead    int  // steps that may be past the ready queue at once: more than slots, so that journal and host work overlap
	counts   bool // its operations count for Env.Parallelism
	running  int
	inFlight int
	ready    queue // all they depend on is done
	runnable queue // their intent is durable
}

// Sizes of what is not bounded by Env: how many steps per slot may be in the journal while others run, and how many
// operations may wait for guests (or only change the record) at once.
const (
	aheadPerSlot = 4
	noLoadSlots  = 64
)

func (r *runner) laneOf(s *planner.Step) *lane {
	name, l := "host "+s.Host, lane{slots: r.env.PerHost, counts: true}
	switch {
	case r.env.Parallelism == 1: // one lane for all keeps the order of the plan
		name, l.slots = "all", 1
	case putsNoLoad(s):
		name, l = "idle", lane{slots: noLoadSlots}
	}
	if r.lanes[name] == nil {
		l.ahead = l.slots * aheadPerSlot
		if l.slots == 1 {
			l.ahead = 1
		}
		r.lanes[name] = &l
	}
	return r.lanes[name]
}

// putsNoLoad tells whether a step leaves the host alone: it waits for a guest, or touches only the record.
func putsNoLoad(s *planner.Step) bool {
	switch s.Op.Op.(type) {
	case *drivers.WaitReady, *drivers.Stop:
		return true
	}
	return recordOnly(s)
}

// recordOnly tells whether a step needs no driver.
func recordOnly(s *planner.Step) bool {
	switch s.Op.Op.(type) {
	case *drivers.Record, *drivers.Forget:
		return true
	}
	return false
}

// dispatch begins all that the bounds allow, earlier steps of the plan first.
func (r *runner) dispatch(run context.Context) {
	for _, l := range r.lanes {
		for l.inFlight < l.ahead && l.ready.Len() > 0 {
			n := l.ready.pop()
			if n.settled {
				continue // skipped since
			}
			n.began = true
			l.inFlight++
			if n.step.Intent == nil {
				l.runnable.push(n)
				continue
			}
			n.before = r.snap.Records[n.step.Addr]
			go func() { r.done <- r.journalIntent(run, n) }()
		}
	}
	for l := r.nextLane(); l != nil; l = r.nextLane() {
		n := l.runnable.pop()
		l.running++
		if l.counts {
			r.running++
		}
		n.started = time.Now()
		r.emit(n, Event{Kind: EventStarted})
		go r.perform(run, n)
	}
}

// nextLane gives the lane with a free slot whose next step is the earliest of the plan, or nil.
func (r *runner) nextLane() *lane {
	var best *lane
	for _, l := range r.lanes {
		if l.runnable.Len() == 0 || l.running >= l.slots || l.counts && r.running >= r.env.Parallelism {
			continue
		}
		if best == nil || l.runnable.first().index < best.runnable.first().index {
			best = l
		}
	}
	return best
}

func (r *runner) release(l *lane) {
	l.running--
	if l.counts {
		r.running--
	}
}

// queue gives nodes in the order of the plan.
type queue struct{ nodes nodeHeap }

func newQueue(nodes ...*node) *queue {
	q := &queue{}
	for _, n := range nodes {
		q.push(n)
	}
	return q
}

func (q *queue) Len() int     { return len(q.nodes) }
func (q *queue) first() *node { return q.nodes[0] }
func (q *queue) push(n *node) { heap.Push(&q.nodes, n) }
func (q *queue) pop() *node   { return heap.Pop(&q.nodes).(*node) }

// removeIf removes and gives the nodes that are meant.
func (q *queue) removeIf(meant func(*node) bool) []*node {
	var out []*node
	rest := newQueue()
	for q.Len() > 0 {
		if n := q.pop(); meant(n) {
			out = append(out, n)
		} else {
			rest.push(n)
		}
	}
	*q = *rest
	return out
}

type nodeHeap []*node

func (h nodeHeap) Len() int           { return len(h) }
func (h nodeHeap) Less(i, j int) bool { return h[i].index < h[j].index }
func (h nodeHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *nodeHeap) Push(x any)        { *h = append(*h, x.(*node)) }
func (h *nodeHeap) Pop() any {
	old := *h
	n := old[len(old)-1]
	*h = old[:len(old)-1]
	return n
}
