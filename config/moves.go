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
	if len(sc.mod.moves) == 0 {
		return
	}
	r := &e.renames
	if r.from == nil {
		r.from, r.to = map[resource.Addr][]*rename{}, map[resource.Addr][]*rename{}
	}
	for _, m := range sc.mod.moves {
		n := &rename{sc.absolute(m.from.addr), sc.absolute(m.to.addr), m.whole(), m.from.rng}
		r.from[n.from] = append(r.from[n.from], n)
		r.to[n.to] = append(r.to[n.to], n)
	}
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
				was, ok := replace(a, n.to, n.from, n.whole)
				if now, _ := r.next(was); ok && now == a {
					out = append(out, was)
				}
			}
		}
	}
	// With count put around it or taken away, one object is still the first.
	if was := a; a.Key == "" || a.Key == firstKey {
		was.Key = ""
		if a.Key == "" {
			was.Key = firstKey
		}
		if _, by := r.next(was); by == nil {
			out = append(out, was)
		}
	}
	return out
}

var firstKey = resource.IndexKey(0)

// next gives where what is at a moves to, by the block that names it most closely.
func (r *renames) next(a resource.Addr) (resource.Addr, *rename) {
	if len(r.from) == 0 {
		return resource.Addr{}, nil
	}
	for _, around := range surrounding(a) {
		for _, n := range r.from[around] {
			if to, ok := replace(a, n.from, n.to, n.whole); ok {
				return to, n
			}
		}
	}
	return resource.Addr{}, nil
}

// replace gives a with from in it replaced by to; ok tells whether it is in it. whole leaves the key of the instance as it is.
func replace(a, from, to resource.Addr, whole bool) (resource.Addr, bool) {
	if from.Kind != "" {
		ok := a.Module == from.Module && a.Kind == from.Kind && a.Name == from.Name && (whole || a.Key == from.Key)
		a.Module, a.Name = to.Module, to.Name
		if !whole {
			a.Key = to.Key
		}
		return a, ok
	}
	rest, ok := strings.CutPrefix(a.Module, from.Module)
	ok = ok && (rest == "" || rest[0] == '.' || whole && rest[0] == '[')
	a.Module = to.Module + rest
	return a, ok
}

// surrounding lists the addresses that a block can name a by, the closest first: itself, its block, and the modules it is in.
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
	for path := a.Module; path != ""; path, _ = cutModule(path) {
		add(resource.Addr{Module: path})
	}
	return out
}

// cutModule splits off the last step of a module's path: module.a, and b["x"] of module.b["x"].
func cutModule(path string) (caller, last string) {
	quoted, at := false, 0
	for i := 0; i < len(path); i++ {
		switch {
		case quoted && path[i] == '\\':
			i++
		case path[i] == '"':
			quoted = !quoted
		case !quoted && strings.HasPrefix(path[i:], "module."):
			at = i
			i += len("module.") - 1
		}
	}
	return strings.TrimSuffix(path[:at], "."), strings.TrimPrefix(path[at:], "module.")
}

// lastKey is the key of what an address names: an object, or a module.
func lastKey(a resource.Addr) string {
	if a.Kind != "" {
		return a.Key
	}
	_, last := cutModule(a.Module)
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
