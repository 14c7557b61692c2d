package config

import (
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"vmplan.dev/vmplan/config/internal/complete"
	"vmplan.dev/vmplan/config/resource"
)

// reference is a name in an expression that stands for something declared elsewhere: var.x, local.x, vm.web["a"].name.
type reference struct {
	root  string // "var", "local", "module", "path", "each", "count", a kind, or what was written instead of one
	name  string // behind the root; empty when there is none
	steps hcl.Traversal
	rng   hcl.Range
	// same tells that it goes on with [each.key] or [count.index]: to the instance with the key of the one that refers.
	same bool
	// bits tells that only what the disks of it hold is wanted, and not that it is in place.
	bits  bool
	level int // where it is seen from: see levelScope
}

func (r reference) String() string {
	if r.name == "" {
		return r.root
	}
	return r.root + "." + r.name
}

// referencesIn lists the references of expressions.
func referencesIn(exprs ...hclsyntax.Expression) []reference {
	var out []reference
	for _, expr := range exprs {
		same := sameKeys(expr)
		for _, t := range expr.Variables() {
			r := newReference(t)
			r.same = same[r.rng]
			out = append(out, r)
		}
	}
	return out
}

// sameKeys finds the references in expr that are followed by [each.key] or [count.index].
func sameKeys(expr hclsyntax.Expression) map[hcl.Range]bool {
	found := map[hcl.Range]bool{}
	_ = hclsyntax.VisitAll(expr, func(n hclsyntax.Node) hcl.Diagnostics {
		index, ok := n.(*hclsyntax.IndexExpr)
		if !ok {
			return nil
		}
		key, ok := index.Key.(*hclsyntax.ScopeTraversalExpr)
		of, isName := index.Collection.(*hclsyntax.ScopeTraversalExpr)
		if !ok || !isName {
			return nil
		}
		if k := newReference(key.Traversal).String(); k == "each.key" || k == "count.index" {
			found[of.Traversal.SourceRange()] = true
		}
		return nil
	})
	return found
}

func newReference(t hcl.Traversal) reference {
	r := reference{root: t.RootName(), rng: t.SourceRange()}
	if len(t) > 1 {
		switch step := t[1].(type) {
		case hcl.TraverseAttr:
			r.name, r.steps = step.Name, t[2:]
		case hcl.TraverseIndex:
			// local["x"] is local.x
			if step.Key.Type() == cty.String && step.Key.IsKnown() && !step.Key.IsNull() {
				r.name, r.steps = step.Key.AsString(), t[2:]
			}
		}
	}
	return r
}

// elements gives the elements of a list that is not evaluated; what says what they are.
func elements(attr *hclsyntax.Attribute, what string, rep *reporter) []hcl.Expression {
	items, diags := hcl.ExprList(attr.Expr)
	if diags.HasErrors() {
		rep.add(mistake(attr.Expr.Range(), "Wrong type", "%s is a list of %s.", attr.Name, what))
		return nil
	}
	return items
}

// staticReferences reads depends_on: a list of objects and modules, which is not evaluated.
func staticReferences(attr *hclsyntax.Attribute, rep *reporter) []reference {
	var out []reference
	for _, item := range elements(attr, "objects and modules, such as [vm.db, module.net]", rep) {
		t, diags := hcl.AbsTraversalForExpr(item)
		if diags.HasErrors() {
			rep.add(mistake(item.Range(), "Not a reference", "depends_on names objects and modules as they are, without quotes or calculation: [vm.db, module.net]."))
			continue
		}
		r := newReference(t)
		kind := resource.Kind(r.root)
		if r.name == "" || r.root != "module" && (blockTypes[kind] == nil || kind == kindInstancetype || kind == kindPreference) {
			rep.add(mistake(item.Range(), "Not a reference", "depends_on names objects and modules: %s is neither.", r))
			continue
		}
		out = append(out, r)
	}
	return out
}

// instanceKey gives the key that a reference to a repeated block goes on with: `["a"]`, `[0]`, or nothing.
func (r reference) instanceKey() string {
	if len(r.steps) == 0 {
		return ""
	}
	step, ok := r.steps[0].(hcl.TraverseIndex)
	if !ok {
		return ""
	}
	return indexKey(step.Key)
}

// quiet stands for a mistake that is not worth a word: it may come of another, which was reported.
var quiet = &hcl.Diagnostic{}

// missing says what is wrong with a reference to something that is not declared.
func (sc *scope) missing(r reference) *hcl.Diagnostic {
	if sc.mod.isBroken() {
		return quiet
	}
	hint := didYouMean(r.String(), sc.seen())
	switch {
	case r.root == "var":
		return mistake(r.rng, "Undeclared variable", "There is no variable %q. Declare it: variable %q {}.%s", r.name, r.name, hint)
	case r.root == parameterBlock:
		return sc.missingParameter(r, hint)
	case r.root == "local":
		return mistake(r.rng, "Undeclared local value", "There is no local value %q. Declare it: locals { %s = … }.%s", r.name, r.name, hint)
	case r.root == moduleWord:
		return mistake(r.rng, "Undeclared module", "There is no module %q.%s", r.name, hint)
	case r.root == "path":
		return mistake(r.rng, "Unknown name", "There are path.module, path.root and path.cwd.")
	}
	kind := resource.Kind(r.root)
	if blockTypes[kind] == nil {
		return sc.unknownName(r)
	}
	where := ""
	switch {
	case sc.mod.inline != nil:
		where = fmt.Sprintf(" in %s or around it", sc.mod.inline)
	case sc.path != "":
		where = " in this module (a module sees nothing of its caller's but its inputs)"
	}
	return mistake(r.rng, "Missing object", "%s is not declared%s.%s", r, where, hint)
}

func (sc *scope) missingParameter(r reference, hint string) *hcl.Diagnostic {
	switch a := sc.mod.inline; {
	case a == nil:
		return mistake(r.rng, "Not in an appliance", "parameter.NAME has a meaning only in an appliance. What a project or module is given is var.NAME.")
	case sc.mod == a.shared:
		return mistake(r.rng, "Shared by all instances", "What the instances of %s share exists once, so it cannot depend on a parameter of one of them. Take shared out, or the parameter.", a)
	}
	return mistake(r.rng, "Undeclared parameter", "%s has no parameter %q. Declare it: parameter %q {}.%s", sc.mod.inline, r.name, r.name, hint)
}

// seen lists what can be referred to, for suggestions.
func (sc *scope) seen() []string {
	var out []string
	add := func(order []string, prefix string) {
		for _, n := range order {
			out = append(out, prefix+n)
		}
	}
	for s := sc; s != nil; s = s.outer {
		variables := "var."
		if s.mod.inline != nil {
			variables = parameterBlock + "."
		}
		add(s.mod.variables.order, variables)
		add(s.mod.locals.order, "local.")
		add(s.mod.calls.order, moduleWord+".")
		add(s.mod.blocks.order, "")
	}
	return append(append(out, builtinNames(kindInstancetype)...), builtinNames(kindPreference)...)
}

func (sc *scope) unknownName(r reference) *hcl.Diagnostic {
	roots := sc.roots()
	if r.name == "" {
		return mistake(r.rng, "Unknown name", "%s is not a name that can be used here. A text is written in quotes: %q.%s", r.root, r.root, didYouMean(r.root, roots))
	}
	return mistake(r.rng, "Unknown name", "%s is not a name that can be used here. There are: %s.%s", r.root, strings.Join(roots, ", "), didYouMean(r.root, roots))
}

func (sc *scope) roots() []string {
	names := []string{"var", "local", moduleWord, "each", "count", "path"}
	if sc.mod.inline != nil {
		names = append([]string{parameterBlock}, names...)
	}
	return append(names, kindNames()...)
}

func kindNames() []string {
	var out []string
	for _, k := range sortedKeys(blockTypes) {
		out = append(out, string(k))
	}
	return out
}

func builtinNames(kind resource.Kind) []string {
	var out []string
	if kind == kindInstancetype {
		for _, n := range sortedKeys(complete.BuiltinInstancetypes) {
			out = append(out, string(kind)+"."+n)
		}
		return out
	}
	for _, n := range sortedKeys(complete.BuiltinPreferences) {
		out = append(out, string(kind)+"."+n)
	}
	return out
}
