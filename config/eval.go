package config

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	ctyfunction "github.com/zclconf/go-cty/cty/function"

	"vmplan.dev/vmplan/config/function"
	"vmplan.dev/vmplan/config/internal/complete"
	"vmplan.dev/vmplan/config/resource"
)

// maxChain bounds how many names may stand on one another.
const maxChain = 5000

// evaluator holds one evaluation of a project. Everything is evaluated on demand and once: a name that an expression refers
// to is evaluated before the expression is, and one that is asked for while it is being evaluated stands in a cycle. What
// fails is not known (cty.DynamicVal) to everything that builds on it, which then stays silent.
type evaluator struct {
	project   *Project
	prior     Prior
	rep       *reporter
	scopes    []*scope // the root first, callers before the called
	stack     []frame
	objects   []*object // in the order of evaluation
	byID      map[string]*object
	instances int
	functions map[string]map[string]ctyfunction.Function // by folder, and whether it is closed
	decided   map[string]resource.HostDefaults           // by label of the host
	namespace complete.Identity
	nics      nicDecisions
	renames   renames
	imports   map[resource.Addr]*imported
	live      map[resource.Addr]map[string][]string // addresses of running guests; nil before apply
	wrong     map[hcl.Range]bool                    // references that were reported
}

// frame is a name under evaluation and where it was referred to.
type frame struct {
	name string
	from hcl.Range
}

// scope is one instance of a module: where names have a meaning.
type scope struct {
	eval     *evaluator
	mod      *module
	path     string // as in resource.Addr.Module
	names    string // what the names of objects on the host begin with
	parent   *scope
	call     *call
	instance instance // of the call
	nodes    map[string]*node
	objects  map[string][]*object // by block name, once decoded
	children map[string][]*scope  // by call, once expanded

	outer  *scope            // in an appliance: whose names are seen too
	shared map[string]*scope // what the instances of appliances share, by the appliance's name
	host   string            // label of the host of an appliance's instance, if it says which
}

// node is the value of a name.
type node struct {
	busy, done bool
	value      cty.Value
}

func newEvaluator(p *Project, prior Prior, nics nicDecisions) *evaluator {
	e := &evaluator{
		project: p, prior: prior, rep: &reporter{}, byID: map[string]*object{}, nics: nics, wrong: map[hcl.Range]bool{},
		functions: map[string]map[string]ctyfunction.Function{}, decided: map[string]resource.HostDefaults{}, namespace: complete.NewIdentity(prior.Lineage),
	}
	e.addBuiltins()
	e.newScope(&scope{mod: p.root})
	return e
}

func (e *evaluator) newScope(sc *scope) *scope {
	sc.eval = e
	sc.nodes, sc.objects, sc.children = map[string]*node{}, map[string][]*object{}, map[string][]*scope{}
	e.scopes = append(e.scopes, sc)
	e.addMoves(sc)
	sc.addShared()
	return sc
}

// run evaluates everything that objects are made of.
func (e *evaluator) run() {
	e.findImports()
	e.decodeHosts()
	for i := 0; i < len(e.scopes); i++ {
		sc := e.scopes[i]
		sc.checkWith()
		for _, name := range sc.mod.variables.order {
			sc.variable(name, sc.mod.variables.byName[name].header)
		}
		for _, name := range sc.mod.locals.order {
			sc.local(name, sc.mod.locals.byName[name].NameRange)
		}
		for _, name := range sc.mod.calls.order {
			sc.instancesOf(sc.mod.calls.byName[name], sc.mod.calls.byName[name].header)
		}
		for _, name := range sc.mod.blocks.order {
			sc.decodeBlock(sc.mod.blocks.byName[name], sc.mod.blocks.byName[name].header)
		}
		for _, name := range sc.mod.variables.order {
			sc.validate(sc.mod.variables.byName[name])
		}
	}
}

// decodeHosts evaluates the hosts before all else: they decide where the files say nothing.
func (e *evaluator) decodeHosts() {
	root := e.scopes[0]
	for _, name := range root.mod.blocks.order {
		if b := root.mod.blocks.byName[name]; b.kind == resource.KindHost {
			root.decodeBlock(b, b.header)
		}
	}
}

// outputs evaluates the outputs that nothing has referred to: they may use what is decided last.
func (e *evaluator) outputs() {
	for _, sc := range e.scopes {
		for _, name := range sc.mod.outputs.order {
			sc.output(name, sc.mod.outputs.byName[name].header)
		}
	}
}

// demand gives the value of a name, evaluating it if nobody has yet; from is the reference to it.
func (sc *scope) demand(name string, from hcl.Range, evaluate func() cty.Value) cty.Value {
	e := sc.eval
	n := sc.nodes[name]
	switch {
	case n == nil:
		n = &node{}
		sc.nodes[name] = n
	case n.done:
		return n.value
	case n.busy:
		e.cycle(sc.address(name), from)
		return cty.DynamicVal
	}
	if len(e.stack) >= maxChain {
		e.rep.add(mistake(from, "Chain too long", "More than %d names stand on one another here.", maxChain))
		n.done, n.value = true, cty.DynamicVal
		return n.value
	}
	n.busy = true
	e.stack = append(e.stack, frame{sc.address(name), from})
	n.value = evaluate()
	e.stack = e.stack[:len(e.stack)-1]
	n.busy, n.done = false, true
	return n.value
}

func (sc *scope) address(name string) string {
	if sc.path == "" {
		return name
	}
	return sc.path + "." + name
}

// cycle reports that name, referred to at from, is under evaluation already, with the whole way round.
func (e *evaluator) cycle(name string, from hcl.Range) {
	first := len(e.stack) - 1
	for first > 0 && e.stack[first].name != name {
		first--
	}
	var way strings.Builder
	for i := first; i < len(e.stack); i++ {
		next := frame{name, from}
		if i+1 < len(e.stack) {
			next = e.stack[i+1]
		}
		fmt.Fprintf(&way, "\n  %s refers to %s (%s)", e.stack[i].name, next.name, place(next.from))
	}
	e.rep.add(mistake(from, "Cycle", "These need one another, so none can come first:%s\nTake one of the references out, or move the value that both need to a local value.", way.String()))
}

// value evaluates an expression; with ok = false it was wrong, which has been reported.
func (e *evaluator) value(expr hclsyntax.Expression, ctx *hcl.EvalContext) (v cty.Value, ok bool) {
	if e.hasWrongReference(expr) {
		return cty.DynamicVal, false
	}
	v, diags := expr.Value(ctx)
	if !diags.HasErrors() {
		return v, true
	}
	for _, d := range diags {
		if usesSensitive(expr, ctx) {
			d.Detail = "What is wrong is not shown, because the expression uses a sensitive value."
			d.Expression, d.EvalContext = nil, nil
		}
		e.rep.addFirst(d)
	}
	return cty.DynamicVal, false
}

// refuse reports a reference; expressions with it are not evaluated.
func (e *evaluator) refuse(r reference, d *hcl.Diagnostic) {
	if d != quiet {
		e.rep.add(d)
	}
	e.wrong[r.rng] = true
}

func (e *evaluator) hasWrongReference(expr hclsyntax.Expression) bool {
	return len(e.wrong) > 0 && slices.ContainsFunc(expr.Variables(), func(t hcl.Traversal) bool { return e.wrong[t.SourceRange()] })
}

func usesSensitive(expr hclsyntax.Expression, ctx *hcl.EvalContext) bool {
	for _, t := range expr.Variables() {
		if v, diags := t.TraverseAbs(ctx); !diags.HasErrors() && v.HasMarkDeep(sensitive) {
			return true
		}
	}
	return false
}

// local gives the value of local.NAME.
func (sc *scope) local(name string, from hcl.Range) cty.Value {
	return sc.demand("local."+name, from, func() cty.Value {
		expr := sc.mod.locals.byName[name].Expr
		v, _ := sc.eval.value(expr, sc.context(referencesIn(expr), repetition{}))
		return v
	})
}

// context is the names that refs need, each evaluated. What cannot be referred to is reported.
func (sc *scope) context(refs []reference, repeat repetition) *hcl.EvalContext {
	values := map[string]map[string]cty.Value{}
	outputs := map[string]*wanted{}
	instances := map[string]*wanted{}
	for _, r := range refs {
		if d := sc.check(r, repeat); d != nil {
			sc.eval.refuse(r, d)
			continue
		}
		if r.root == "each" || r.root == "count" {
			continue
		}
		if values[r.root] == nil {
			values[r.root] = map[string]cty.Value{}
		}
		s := sc.declaring(r)
		switch {
		case r.root == moduleWord:
			s.wantOutputs(r, outputs)
		case s != nil && s.isInstance(r):
			s.wantMembers(r, instances)
		default:
			values[r.root][r.name] = sc.resolve(r)
		}
	}
	for name, w := range outputs {
		values[moduleWord][name] = w.scope.moduleValue(w.scope.mod.calls.byName[name], w)
	}
	for name, w := range instances {
		values[string(resource.KindVM)][name] = w.scope.instanceValue(w.scope.mod.blocks.byName[string(resource.KindVM)+"."+name], w)
	}
	ctx := (&hcl.EvalContext{Functions: sc.eval.functionsIn(sc.mod)}).NewChild()
	ctx.Variables = make(map[string]cty.Value, len(values))
	for root, byName := range values {
		ctx.Variables[root] = cty.ObjectVal(byName)
	}
	return ctx
}

// check says what is wrong with a reference, before anything is evaluated.
func (sc *scope) check(r reference, repeat repetition) *hcl.Diagnostic {
	if r.root == "each" || r.root == "count" {
		return repeat.allows(r)
	}
	if r.name == "" || !sc.declared(r) {
		return sc.missing(r)
	}
	s := sc.declaring(r)
	switch {
	case s == nil:
		return nil
	case r.root == moduleWord:
		return s.mod.calls.byName[r.name].checkSteps(r)
	case s.unnamed(r):
		return s.ownVM().checkMembers(r, append(hcl.Traversal{hcl.TraverseAttr{Name: r.name}}, r.steps...))
	}
	if b := s.mod.blocks.byName[r.String()]; b != nil {
		return b.checkSteps(r)
	}
	return nil
}

func (e *evaluator) functionsIn(m *module) map[string]ctyfunction.Function {
	key, table := m.dir, function.Table
	switch {
	case m.closed():
		key, table = "closed "+m.dir, function.Closed
	case e.project.opts.Confined:
		table = func(dir string) map[string]ctyfunction.Function { return function.Confined(e.project.dir, dir) }
	}
	if e.functions[key] == nil {
		e.functions[key] = table(m.dir)
	}
	return e.functions[key]
}

// declared tells whether what r names exists.
func (sc *scope) declared(r reference) bool {
	if r.root == "path" {
		return r.name == "module" || (r.name == "root" || r.name == "cwd") && !sc.mod.closed()
	}
	return sc.declaring(r) != nil || isBuiltin(r.String())
}

// declaring gives the scope in which r is declared: this one or, in an appliance, the nearest around it; nil when none has it.
func (sc *scope) declaring(r reference) *scope {
	for s := sc; s != nil; s = s.outer {
		if s.declares(r) {
			return s
		}
	}
	return nil
}

func (sc *scope) declares(r reference) bool {
	switch r.root {
	case "var":
		return sc.mod.inline == nil && sc.mod.variables.byName[r.name] != nil
	case parameterBlock:
		return sc.mod.inline != nil && sc.mod.variables.byName[r.name] != nil
	case "local":
		return sc.mod.locals.byName[r.name] != nil
	case moduleWord:
		return sc.mod.calls.byName[r.name] != nil
	}
	return sc.mod.blocks.byName[r.String()] != nil || sc.unnamed(r)
}

// resolve gives the value of what r names, which is declared.
func (sc *scope) resolve(r reference) cty.Value {
	if r.root == "path" {
		return cty.StringVal(sc.folder(r.name))
	}
	s := sc.declaring(r)
	switch {
	case s == nil:
		return builtinValue(r.String())
	case r.root == "var" || r.root == parameterBlock:
		return s.variable(r.name, r.rng)
	case r.root == "local":
		return s.local(r.name, r.rng)
	case s.unnamed(r):
		return s.ownAttribute(r)
	}
	return s.blockValue(s.mod.blocks.byName[r.String()], r.rng)
}

func (sc *scope) folder(name string) string {
	switch {
	case sc.mod.closed():
		return "."
	case name == "module":
		return filepath.ToSlash(sc.mod.dir)
	case name == "root":
		return filepath.ToSlash(sc.eval.project.root.dir)
	}
	cwd, err := os.Getwd()
	if err != nil {
		return "."
	}
	return filepath.ToSlash(cwd)
}
