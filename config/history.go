package config

import (
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"vmplan.dev/vmplan/config/resource"
)

// checkHistory checks what moved, removed and import blocks say against what the files declare and what is recorded.
func (p *placement) checkHistory() {
	for _, sc := range p.scopes {
		sc.checkMoves()
	}
	root := p.root()
	froms := map[resource.Addr]hcl.Range{}
	for _, m := range root.mod.moves {
		froms[m.from.addr] = m.from.rng
	}
	for _, r := range root.mod.removals {
		if first, ok := froms[r.from.addr]; ok {
			p.rep.add(mistake(r.from.rng, "Named twice", "What becomes of %s is said at %s already.", r.from, place(first)))
		}
		froms[r.from.addr] = r.from.rng
		root.checkGone(r.from, lastKey(r.from.addr) == "", "removed")
	}
	p.checkImports(root)
	if !p.rep.failed() {
		p.checkLost()
	}
}

// checkMoves checks the moved blocks of a module instance.
func (sc *scope) checkMoves() {
	rep := sc.eval.rep
	froms, tos := map[resource.Addr]*move{}, map[resource.Addr]*move{}
	for _, m := range sc.mod.moves {
		if first := froms[m.from.addr]; first != nil {
			rep.add(mistake(m.from.rng, "Named twice", "%s moves to %s already (%s). It can go to one place only.", m.from, first.to, place(first.from.rng)))
			continue
		}
		froms[m.from.addr] = m
		if first := tos[m.to.addr]; first != nil {
			rep.add(mistake(m.to.rng, "Two objects in one place", "%s is where %s moves to already (%s).", m.to, first.from, place(first.from.rng)))
			continue
		}
		tos[m.to.addr] = m
	}
	for _, m := range sc.mod.moves {
		sc.checkGone(m.from, m.whole(), "moved")
		declared, known := sc.mod.find(m.to.addr)
		if !declared && known && froms[m.to.addr] == nil && froms[withoutKey(m.to.addr)] == nil {
			rep.add(mistake(m.to.rng, "Missing object", "%s is not declared, so nothing can become it.%s", m.to, didYouMean(withoutKey(m.to.addr).String(), sc.mod.names())))
		}
	}
	sc.checkRound(froms)
}

// checkRound refuses moves that lead back to where they began.
func (sc *scope) checkRound(froms map[resource.Addr]*move) {
	done := map[*move]bool{}
	for _, first := range sc.mod.moves {
		path := map[*move]bool{}
		for m := first; m != nil && !done[m]; m = froms[m.to.addr] {
			if path[m] {
				sc.eval.rep.add(mistake(m.from.rng, "Cycle", "%s moves to %s and, over further blocks, back again. Keep the way that leads to the name in the files.", m.from, m.to))
				break
			}
			path[m] = true
		}
		maps.Copy(done, path)
	}
}

// checkGone refuses a block that says what became of something that is still there.
func (sc *scope) checkGone(t target, whole bool, what string) {
	there := false
	if whole {
		there, _ = sc.mod.find(t.addr)
	} else {
		there = sc.eval.exists(sc.absolute(t.addr))
	}
	if there {
		sc.eval.rep.add(mistake(t.rng, "Still declared", "%s is %s by this block, and declared all the same. Take out the one or the other.", t, what))
	}
}

// exists tells whether there is an object, or an instance of a module.
func (e *evaluator) exists(a resource.Addr) bool {
	if a.Kind != "" && e.byID[a.String()] != nil {
		return true
	}
	if a.Kind == resource.KindVM { // of an appliance with several, an instance is none itself
		a = resource.Addr{Module: a.String()}
	}
	if a.Kind != "" {
		return false
	}
	return slices.ContainsFunc(e.scopes, func(sc *scope) bool { return sc.path == a.Module })
}

// find tells whether the block or module call that an address names is declared, whatever its instances. known is false when
// that cannot be told.
func (m *module) find(a resource.Addr) (declared, known bool) {
	var path []string
	for rest := a.Module; rest != ""; {
		caller, _ := resource.CutModule(rest)
		_, step := resource.CutModule(withoutKey(resource.Addr{Module: rest}).Module)
		path, rest = append(path, step), caller
	}
	for _, step := range slices.Backward(path) {
		word, name, _ := strings.Cut(step, ".")
		if a := m.appliances.byName[name]; word == applianceBlock && a != nil {
			m = a.shared
			continue
		}
		c := m.callOf(reference{root: word, name: name})
		switch {
		case c == nil:
			return false, !m.isBroken()
		case c.target == nil:
			return false, false
		}
		m = c.target
	}
	if a.Kind == "" {
		return true, true
	}
	return m.blocks.byName[string(a.Kind)+"."+a.Name] != nil, !m.broken
}

// names lists what the module declares, for suggestions.
func (m *module) names() []string {
	out := slices.Clone(m.blocks.order)
	for _, c := range m.calls.order {
		out = append(out, "module."+c)
	}
	return out
}

// checkLost warns of what is recorded and moves to where it cannot stay.
func (e *evaluator) checkLost() {
	if len(e.renames.from) == 0 {
		return
	}
	for _, a := range slices.SortedFunc(maps.Keys(e.prior.Objects), resource.Compare) {
		if a.Part != "" {
			continue
		}
		to, last := a, (*rename)(nil)
		for !e.exists(to) {
			next, by := e.renames.next(to)
			if by == nil {
				break
			}
			to, last = next, by
		}
		switch {
		case last == nil:
		case !e.exists(to):
			e.rep.add(warning(last.rng, "Moved to nowhere", "%s is recorded and would become %s, which is not declared: it will be deleted. Name one that is.", a, to))
		case e.recordedAt(to) != a:
			e.rep.add(warning(last.rng, "Not moved", "%s is recorded and cannot become %s, because that is recorded too: %s will be deleted. To keep it, give it a block of its own again.", a, to, a))
		}
	}
}
