package config

import (
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"vmplan.dev/vmplan/config/resource"
)

// renames are the moved blocks of a project, with addresses as seen from the root: by the address as it is written.
type renames struct {
	from, to map[resource.Addr][]*rename
}

// rename is a moved block of one instance of a module.
type rename struct {
	from, to resource.Addr
	whole    bool
	rng      hcl.Range // of from
}

// addMoves takes the moved blocks of a module instance.
func (e *evaluator) addMoves(sc *scope) {
	for _, m := range sc.mod.moves {
		e.addRename(&rename{sc.absolute(m.from.addr), sc.absolute(m.to.addr), m.whole(), m.from.rng})
	}
}

func (e *evaluator) addRename(n *rename) {
	r := &e.renames
	if r.from == nil {
		r.from, r.to = map[resource.Addr][]*rename{}, map[resource.Addr][]*rename{}
	}
	r.from[n.from] = append(r.from[n.from], n)
	r.to[n.to] = append(r.to[n.to], n)
}

// absolute gives an address of the module as seen from the root.
func (sc *scope) absolute(a resource.Addr) resource.Addr {
	if sc.path != "" && a.Module != "" {
		a.Module = sc.path + "." + a.Module
	} else if sc.path != "" {
		a.Module = sc.path
	}
	return a
}

// recordedAt gives the address at which what is now at a is recorded: a itself, or where it moved from. A move that was cut
// short has recorded parts under the new address, and their owner under the old one still.
func (e *evaluator) recordedAt(a resource.Addr) resource.Addr {
	known := e.prior.Objects
	if len(known) == 0 || known[a] != nil {
		return a
	}
	seen := map[resource.Addr]bool{}
	for queue := []resource.Addr{a.Owner()}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		seen[at] = true
		if known[at.WithPart(a.Part)] != nil {
			return at.WithPart(a.Part)
		}
		if known[at] != nil {
			continue // what it has no such part of, it did not have before either
		}
		for _, was := range e.renames.before(at) {
			if !seen[was] {
				queue = append(queue, was)
			}
		}
	}
	return a
}

// before lists what can have become the object at a in one step.
func (r *renames) before(a resource.Addr) []resource.Addr {
	var out []resource.Addr
	if len(r.to) > 0 {
		for _, around := range surrounding(a) {
			for _, n := range r.to[around] {
				was, ok := a.Rename(n.to, n.from, n.whole)
				if now, _ := r.next(was); ok && now == a {
					out = append(out, was)
				}
			}
		}
	}
	// With count put around it or taken away, one object is still the first, and so is one instance of an appliance.
	for _, around := range surrounding(a) {
		if around.Kind == "" || around.Key != "" && around.Key != firstKey {
			continue
		}
		was := around
		was.Key = otherFirst(around.Key)
		if was, ok := a.Rename(around, was, false); ok {
			if _, by := r.next(was); by == nil {
				out = append(out, was)
			}
		}
	}
	return out
}

// otherFirst is the key of the first with count for the one without, and the other way round.
func otherFirst(key string) string {
	if key == "" {
		return firstKey
	}
	return ""
}

var firstKey = resource.IndexKey(0)

// next gives where what is at a moves to, by the block that names it most closely.
func (r *renames) next(a resource.Addr) (resource.Addr, *rename) {
	if len(r.from) == 0 {
		return resource.Addr{}, nil
	}
	for _, around := range surrounding(a) {
		for _, n := range r.from[around] {
			if to, ok := a.Rename(n.from, n.to, n.whole); ok {
				return to, n
			}
		}
	}
	return resource.Addr{}, nil
}

// surrounding lists the addresses that a block can name a by, the closest first: itself, its block, and the modules and instances
// of appliances it is in.
func surrounding(a resource.Addr) []resource.Addr {
	var out []resource.Addr
	add := func(x resource.Addr) {
		if out = append(out, x); lastKey(x) != "" {
			out = append(out, withoutKey(x))
		}
	}
	if a.Kind != "" {
		add(a.Owner())
	}
	for path := a.Module; path != ""; path, _ = resource.CutModule(path) {
		if around, err := resource.ParseAddr(path); err == nil {
			add(around)
		}
	}
	return out
}

// lastKey is the key of what an address names: an object, or a module.
func lastKey(a resource.Addr) string {
	if a.Kind != "" {
		return a.Key
	}
	_, last := resource.CutModule(a.Module)
	if i := strings.IndexByte(last, '['); i >= 0 {
		return last[i:]
	}
	return ""
}

func withoutKey(a resource.Addr) resource.Addr {
	if a.Kind != "" {
		a.Key = ""
		return a
	}
	a.Module = strings.TrimSuffix(a.Module, lastKey(a))
	return a
}

// removed gives what the removed blocks say.
func (e *evaluator) removed() []resource.Removal {
	var out []resource.Removal
	for _, r := range e.root().mod.removals {
		out = append(out, resource.Removal{From: r.from.addr, Cascade: r.cascade})
	}
	return out
}

// moves gives the moves of what is recorded, in order.
func (e *evaluator) moves() []resource.Move {
	var out []resource.Move
	for _, o := range e.objects {
		if from := e.recordedAt(o.addr); from != o.addr {
			out = append(out, resource.Move{From: from, To: o.addr})
		}
	}
	slices.SortFunc(out, func(a, b resource.Move) int { return resource.Compare(a.To, b.To) })
	return out
}
