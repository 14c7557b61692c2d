package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"vmplan.dev/vmplan/config/resource"
)

// maxInstances bounds what count and for_each make in all: more is a slip of the pen, and would fill the memory.
const maxInstances = 100_000

// instance is one of the objects that a block makes.
type instance struct {
	key  string               // as in resource.Addr
	vars map[string]cty.Value // each or count
}

// allows says what is wrong with a reference to each or count in a block that is repeated as r says.
func (r repetition) allows(ref reference) *hcl.Diagnostic {
	switch {
	case ref.root == "each" && r.forEach == nil:
		return mistake(ref.rng, "No for_each here", "each.key and each.value have a meaning only in a block with for_each.")
	case ref.root == "count" && r.count == nil:
		return mistake(ref.rng, "No count here", "count.index has a meaning only in a block with count.")
	case ref.root == "each" && ref.name != "key" && ref.name != "value":
		return mistake(ref.rng, "Unknown name", "There are each.key and each.value.")
	case ref.root == "count" && ref.name != "index":
		return mistake(ref.rng, "Unknown name", "There is count.index.")
	}
	return nil
}

// expand evaluates count or for_each. With ok = false it is wrong, which has been reported, or not known.
func (sc *scope) expand(r repetition, header hcl.Range) (all []instance, ok bool) {
	switch {
	case r.forEach != nil:
		all, ok = sc.expandForEach(r)
	case r.count != nil:
		all, ok = sc.expandCount(r)
	default:
		all, ok = []instance{{}}, true
	}
	e := sc.eval
	if e.instances += len(all); e.instances > maxInstances {
		e.rep.add(mistake(r.at(header), "Too many objects", "Together the blocks make more than %d objects.", maxInstances))
		return nil, false
	}
	return all, ok
}

// at is where the repetition is written, or the block's header.
func (r repetition) at(header hcl.Range) hcl.Range {
	if attr := r.attribute(); attr != nil {
		return attr.Expr.Range()
	}
	return header
}

func (r repetition) attribute() *hclsyntax.Attribute {
	if r.forEach != nil {
		return r.forEach
	}
	return r.count
}

func (sc *scope) expandCount(r repetition) ([]instance, bool) {
	v, ok := sc.repeatValue(r)
	if !ok {
		return nil, false
	}
	if v.IsNull() || v.Type() != cty.Number {
		sc.eval.rep.add(mistake(r.count.Expr.Range(), "Wrong type", "count is a whole number, 0 or more."))
		return nil, false
	}
	n, accuracy := v.AsBigFloat().Int64()
	if accuracy != 0 || n < 0 {
		sc.eval.rep.add(mistake(r.count.Expr.Range(), "Bad count", "count is a whole number, 0 or more, and not %s.", v.AsBigFloat().Text('g', 10)))
		return nil, false
	}
	if n > maxInstances {
		sc.eval.rep.add(mistake(r.count.Expr.Range(), "Too many objects", "count is %d; more than %d objects are not made.", n, maxInstances))
		return nil, false
	}
	all := make([]instance, n)
	for i := range all {
		index := cty.ObjectVal(map[string]cty.Value{"index": cty.NumberIntVal(int64(i))})
		all[i] = instance{resource.IndexKey(i), map[string]cty.Value{"count": index}}
	}
	return all, true
}

func (sc *scope) expandForEach(r repetition) ([]instance, bool) {
	v, ok := sc.repeatValue(r)
	if !ok {
		return nil, false
	}
	t := v.Type()
	rng := r.forEach.Expr.Range()
	switch {
	case v.IsNull():
		sc.eval.rep.add(mistake(rng, "Wrong type", "for_each is null. For no objects write an empty map: {}."))
		return nil, false
	case t.IsTupleType() || t.IsListType():
		sc.eval.rep.add(mistake(rng, "Wrong type", "for_each takes a map or a set of texts, and this is a list, whose elements have no names of their own. Write toset(…), or a map { for x in … : NAME => x }."))
		return nil, false
	case !t.IsMapType() && !t.IsObjectType() && !(t.IsSetType() && (t.ElementType() == cty.String || v.LengthInt() == 0)):
		sc.eval.rep.add(mistake(rng, "Wrong type", "for_each takes a map or a set of texts, and this is %s.", t.FriendlyName()))
		return nil, false
	}
	var all []instance
	for it := v.ElementIterator(); it.Next(); {
		key, val := it.Element()
		if key.IsNull() {
			sc.eval.rep.add(mistake(rng, "Bad key", "for_each has null among its texts."))
			return nil, false
		}
		if !key.IsKnown() {
			return nil, sc.unknownRepeat(r, val)
		}
		each := cty.ObjectVal(map[string]cty.Value{"key": key, "value": val})
		all = append(all, instance{resource.StringKey(key.AsString()), map[string]cty.Value{"each": each}})
	}
	return all, true
}

// repeatValue evaluates the expression of count or for_each, which must be known and not sensitive.
func (sc *scope) repeatValue(r repetition) (cty.Value, bool) {
	attr := r.attribute()
	v, ok := sc.eval.value(attr.Expr, sc.context(referencesIn(attr.Expr), repetition{}))
	if !ok {
		return v, false
	}
	if v.HasMark(sensitive) || v.Type().IsSetType() && v.HasMarkDeep(sensitive) {
		sc.eval.rep.add(mistake(attr.Expr.Range(), "Sensitive "+attr.Name, "%s would be shown in the addresses of the objects, and comes from a sensitive value. Take the names from a value that is not sensitive.", attr.Name))
		return v, false
	}
	plain, _ := v.Unmark()
	if !plain.IsKnown() {
		return v, sc.unknownRepeat(r, v)
	}
	return plain, true
}

// unknownRepeat reports a count or for_each that only a running guest can tell; what failed before was reported then.
func (sc *scope) unknownRepeat(r repetition, v cty.Value) bool {
	if who, ok := guestOnly(v); ok {
		sc.eval.rep.add(guestMistake(r.attribute().Expr.Range(), who))
	}
	return false
}

// instancesOf gives the scopes of a module's instances.
func (sc *scope) instancesOf(c *call, from hcl.Range) (all []*scope, ok bool) {
	v := sc.demand(c.node(), from, func() cty.Value {
		sc.evaluateNeeds(c.needs)
		all, ok := sc.expand(c.repeat, c.header)
		if !ok || c.target == nil {
			return cty.DynamicVal
		}
		sc.checkInputs(c)
		for _, in := range all {
			child := &scope{mod: c.target, path: sc.address(c.String() + in.key), parent: sc, call: c, instance: in}
			child.names = joinName(sc.names, c.name, in.key)
			if c.appliance != nil {
				sc.openInstance(child)
			}
			sc.children[c.String()] = append(sc.children[c.String()], sc.eval.newScope(child))
		}
		return cty.True
	})
	return sc.children[c.String()], v == cty.True
}

// node is what the instances of a call are known as while they are found.
func (c *call) node() string {
	if c.appliance != nil {
		return "the instance " + c.String()
	}
	return c.String()
}

// checkInputs compares what a call gives with what the module declares.
func (sc *scope) checkInputs(c *call) {
	if c.with != nil {
		return // see checkWith
	}
	given := map[string]hcl.Range{}
	for name, attr := range c.inputs {
		given[name] = attr.NameRange
	}
	sc.checkNames(c, given, c.header)
}

// checkNames compares the names of what a call gives at some places with what the module declares; at is the call.
func (sc *scope) checkNames(c *call, given map[string]hcl.Range, at hcl.Range) {
	declared := c.target.variables
	for _, name := range sortedKeys(given) {
		switch {
		case declared.byName[name] != nil || c.target.isBroken():
		case c.appliance != nil:
			sc.eval.rep.add(mistake(given[name], "Unknown parameter", "%s has no parameter %q.%s", c.appliance, name, didYouMean(name, declared.order)))
		default:
			sc.eval.rep.add(mistake(given[name], "Unknown attribute", "The module in %s has no variable %q.%s", c.target.dir, name, didYouMean(name, append(slices.Clone(declared.order), "source", "count", "for_each", "depends_on"))))
		}
	}
	for _, name := range declared.order {
		v := declared.byName[name]
		_, isGiven := given[name]
		switch {
		case v.value != cty.NilVal || isGiven:
		case c.appliance != nil:
			sc.eval.rep.add(mistake(at, "Missing parameter", "%s needs %s, which %s declares without a default. Write with = { %s = … } in this block.", c, name, place(v.header), name))
		default:
			sc.eval.rep.add(mistake(at, "Missing input", "%s needs %s, which %s declares without a default. Write %s = … in this block.", c, name, place(v.header), name))
		}
	}
}

// wanted are the outputs of a module that an expression needs, and where it first says so.
type wanted struct {
	scope *scope // of the call
	from  hcl.Range
	names map[string]bool
}

// wantOutputs notes which outputs of a module r needs; all of them when it does not say.
func (sc *scope) wantOutputs(r reference, all map[string]*wanted) {
	c := sc.mod.calls.byName[r.name]
	w := all[r.name]
	if w == nil {
		w = &wanted{sc, r.rng, map[string]bool{}}
		all[r.name] = w
	}
	if c.target == nil {
		return
	}
	if name, ok := c.outputName(r); ok {
		w.names[name] = true
		return
	}
	for _, name := range c.target.outputs.order {
		w.names[name] = true
	}
}

// outputName is the output that r reads of the module, if it says which.
func (c *call) outputName(r reference) (string, bool) {
	steps := r.steps
	if !c.repeat.single() && len(steps) > 0 {
		steps = steps[1:]
	}
	if len(steps) == 0 {
		return "", false
	}
	return stepName(steps[0])
}

// checkSteps compares what a reference goes on with behind the module's name with the module's outputs.
func (c *call) checkSteps(r reference) *hcl.Diagnostic {
	if c.target == nil || len(r.steps) == 0 {
		return nil
	}
	if step, ok := r.steps[0].(hcl.TraverseAttr); ok && !c.repeat.single() && c.target.outputs.byName[step.Name] != nil {
		return mistake(r.rng, "Instance not named", "module.%s has count or for_each: say which one, such as module.%s[%s].%s, or all: [for m in module.%s : m.%s].", c.name, c.name, c.repeat.exampleKey(), step.Name, c.name, step.Name)
	}
	name, ok := c.outputName(r)
	switch {
	case !ok || c.target.outputs.byName[name] != nil:
		return nil
	case c.target.broken:
		return quiet
	}
	return mistake(r.rng, "Undeclared output", "The module in %s has no output %q.%s", c.target.dir, name, didYouMean(name, c.target.outputs.order))
}

func (r repetition) exampleKey() string {
	if r.count != nil {
		return "0"
	}
	return `"KEY"`
}

// moduleValue is module.NAME with the outputs that are wanted.
func (sc *scope) moduleValue(c *call, w *wanted) cty.Value {
	children, ok := sc.instancesOf(c, w.from)
	if !ok {
		return cty.DynamicVal
	}
	values := make([]cty.Value, len(children))
	for i, child := range children {
		outs := map[string]cty.Value{}
		for name := range w.names {
			outs[name] = child.output(name, w.from)
		}
		values[i] = cty.ObjectVal(outs)
	}
	keys := make([]string, len(children))
	for i, child := range children {
		keys[i] = child.instance.key
	}
	return repeated(c.repeat, keys, values)
}

// repeated puts the values of instances together: one, a tuple with count, a map with for_each.
func repeated(r repetition, keys []string, values []cty.Value) cty.Value {
	switch {
	case r.single():
		return values[0]
	case r.forEach == nil:
		return cty.TupleVal(values)
	case len(values) == 0:
		return cty.EmptyObjectVal
	}
	byKey := make(map[string]cty.Value, len(values))
	alike := true
	for i, v := range values {
		byKey[resource.Addr{Key: keys[i]}.KeyText()] = v
		alike = alike && v.Type().Equals(values[0].Type())
	}
	if alike {
		return cty.MapVal(byKey)
	}
	return cty.ObjectVal(byKey)
}

// joinName puts what stands before a name on the host together: caller-module-key.
func joinName(parts ...string) string {
	var used []string
	for _, p := range parts {
		if strings.HasPrefix(p, "[") {
			p = resource.Addr{Key: p}.KeyText()
		}
		if p != "" {
			used = append(used, p)
		}
	}
	return strings.Join(used, "-")
}

// exampleInstance writes how to name one instance of a block.
func exampleInstance(b *block) string {
	return fmt.Sprintf("%s.%s[%s]", b.kind, b.name, b.repeat.exampleKey())
}
