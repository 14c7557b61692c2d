package planner

import (
	"fmt"
	"slices"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
)

// graph holds the steps of a plan while the plan is made. Every step of every plan comes from add.
type graph struct {
	steps []*step
	ids   map[string]bool
}

// step is a Step whose dependencies are pointers still.
type step struct {
	Step
	deps     []*step
	rescues  []*step        // becomes Rescue
	optional map[*step]bool // those of deps that are dropped where they would make a cycle
	last     bool           // runs after everything else on its host
	visit    uint8
}

// subject says what a step is about.
type subject struct {
	addr  resource.Addr // whose record the step writes
	name  string        // for the step's ID; empty: addr
	owner resource.Addr // the block that the step belongs to; zero: the owner of addr
	host  string
	cause string
}

// add adds a step that carries out op. Unless the caller sets Record or KeepRecord, the step removes
// the record at the subject's address.
func (g *graph) add(about subject, op drivers.Op, impact drivers.Impact) *step {
	if about.name == "" {
		about.name = about.addr.String()
	}
	if about.owner.IsZero() {
		about.owner = about.addr.Owner()
	}
	s := &step{Step: Step{
		ID: g.newID(op.Verb() + " " + about.name), Op: drivers.Encoded{Op: op}, Addr: about.addr, Host: about.host, Cause: about.cause,
		Group: about.owner, Impact: impact,
	}}
	g.steps = append(g.steps, s)
	return s
}

// newID numbers a step that does the same to the same object as an earlier one.
func (g *graph) newID(base string) string {
	id := base
	for n := 2; g.ids[id]; n++ {
		id = fmt.Sprintf("%s #%d", base, n)
	}
	if g.ids == nil {
		g.ids = map[string]bool{}
	}
	g.ids[id] = true
	return id
}

// after has s wait for dep; either may be nil.
func (s *step) after(dep *step) {
	if s != nil && dep != nil && dep != s {
		s.deps = append(s.deps, dep)
	}
}

// preferAfter is after, unless the two would wait for each other then.
func (s *step) preferAfter(dep *step) {
	if s == nil || dep == nil || dep == s || slices.Contains(s.deps, dep) {
		return
	}
	if s.optional == nil {
		s.optional = map[*step]bool{}
	}
	s.optional[dep] = true
	s.after(dep)
}

// waitsFor tells whether s waits for one of the others. There may be cycles still.
func (s *step) waitsFor(others []*step) bool {
	seen := map[*step]bool{}
	var visit func(*step) bool
	visit = func(s *step) bool {
		return slices.ContainsFunc(s.deps, func(d *step) bool {
			if slices.Contains(others, d) {
				return true
			}
			again := seen[d]
			seen[d] = true
			return !again && visit(d)
		})
	}
	return visit(s)
}

// order gives the steps, each behind all it depends on. When some wait for each other, it gives these instead, the first one
// again at the end.
func (g *graph) order() (ordered []Step, cycle []*step) {
	index := make(map[*step]int, len(g.steps))
	for i, s := range g.steps {
		index[s] = i
	}
	for _, s := range g.steps {
		slices.SortFunc(s.deps, func(a, b *step) int { return index[a] - index[b] })
		s.deps = slices.Compact(s.deps)
	}
	ordered, cycle = g.walk()
	for cycle != nil && dropOptional(cycle) {
		ordered, cycle = g.walk()
	}
	return ordered, cycle
}

// walk visits the steps depth first.
func (g *graph) walk() (ordered []Step, cycle []*step) {
	ordered = make([]Step, 0, len(g.steps))
	for _, s := range g.steps {
		s.visit, s.DependsOn, s.Rescue = 0, nil, nil
	}
	var path []*step
	var visit func(*step) bool
	visit = func(s *step) bool {
		if s.visit == visited {
			return true
		}
		path = append(path, s)
		if s.visit == visiting {
			return false
		}
		s.visit = visiting
		for _, d := range s.deps {
			if !visit(d) {
				return false
			}
			s.DependsOn = append(s.DependsOn, d.ID)
		}
		for _, d := range s.rescues {
			if !visit(d) {
				return false
			}
			s.Rescue = append(s.Rescue, d.ID)
		}
		s.visit = visited
		path = path[:len(path)-1]
		ordered = append(ordered, s.Step)
		return true
	}
	for _, s := range g.steps {
		if !visit(s) {
			return nil, path[slices.Index(path, path[len(path)-1]):]
		}
	}
	return ordered, nil
}

const (
	visiting = 1
	visited  = 2
)

// dropOptional drops an optional dependency from a cycle, and tells whether there was one.
func dropOptional(cycle []*step) bool {
	for i, s := range cycle[:len(cycle)-1] {
		if d := cycle[i+1]; s.optional[d] {
			s.deps = slices.DeleteFunc(s.deps, func(x *step) bool { return x == d })
			return true
		}
	}
	return false
}
