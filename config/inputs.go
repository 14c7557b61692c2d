package config

import (
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// variable gives the value of var.NAME, or parameter.NAME in an appliance.
func (sc *scope) variable(name string, from hcl.Range) cty.Value {
	v := sc.mod.variables.byName[name]
	return sc.demand(v.String(), from, func() cty.Value {
		val := sc.variableValue(v)
		if v.sensitive {
			val = val.Mark(sensitive)
		}
		return val
	})
}

// variableValue is what is given, or the default, in the variable's type.
func (sc *scope) variableValue(v *variable) cty.Value {
	val, rng, from := sc.givenValue(v)
	if val == cty.NilVal {
		return v.value
	}
	if val.IsNull() && !v.nullable {
		if v.value != cty.NilVal {
			return v.value
		}
		sc.eval.rep.addFirst(mistake(rng, "Value is null", "%s has nullable = false and no default, so it must be given a value.", v))
		return cty.DynamicVal
	}
	converted, err := v.convertMarked(val)
	if err != nil {
		sc.eval.rep.addFirst(mistake(rng, "Wrong type", "%s: the value of %s does not fit its type: %s.", from, v, typeError(err)))
		return cty.DynamicVal
	}
	return converted
}

// givenValue is the value from outside: the files and the command line for the root, the call for a module. NilVal when
// there is none, and the default is to be used; a missing value is reported.
func (sc *scope) givenValue(v *variable) (val cty.Value, rng hcl.Range, from string) {
	if sc.parent == nil {
		g, ok := sc.eval.project.values[v.name]
		if ok {
			return g.value, g.rng, g.from
		}
		if v.value == cty.NilVal && sc.eval.project.opts.AnyValue {
			return cty.UnknownVal(v.typ), v.header, ""
		}
		if v.value == cty.NilVal {
			sc.eval.rep.addFirst(mistake(v.header, "Missing variable", "var.%s has no default and no value was given. Give one with --var %s=…, in %s.hcl, or as %s%s in the environment.", v.name, v.name, valuesName, envPrefix, v.name))
			return cty.DynamicVal, v.header, ""
		}
		return cty.NilVal, v.header, ""
	}
	attr := sc.call.inputs[v.name]
	switch {
	case attr != nil:
		return sc.input(attr), attr.Expr.Range(), sc.call.String()
	case sc.call.with != nil:
		if val = sc.withValue(v.name); val != cty.NilVal {
			return val, sc.call.with.Expr.Range(), sc.call.String()
		}
	}
	if v.value == cty.NilVal {
		return cty.DynamicVal, v.header, "" // reported at the call
	}
	return cty.NilVal, v.header, ""
}

// input evaluates what the call of a module instance gives.
func (sc *scope) input(attr *hclsyntax.Attribute) cty.Value {
	ctx := sc.parent.context(referencesIn(attr.Expr), sc.call.repeat).NewChild()
	ctx.Variables = sc.instance.vars
	val, _ := sc.eval.value(attr.Expr, ctx)
	return val
}

// withValue gives a parameter of a with that is one value, or NilVal when that does not have it.
func (sc *scope) withValue(name string) cty.Value {
	with, marks := sc.input(sc.call.with).Unmark()
	switch t := with.Type(); {
	case !with.IsKnown():
		return cty.DynamicVal
	case with.IsNull() || !t.IsObjectType() && !t.IsMapType():
		return cty.DynamicVal // reported by checkWith
	case t.IsObjectType() && t.HasAttribute(name):
		return with.GetAttr(name).WithMarks(marks)
	case t.IsMapType() && with.HasIndex(cty.StringVal(name)).True():
		return with.Index(cty.StringVal(name)).WithMarks(marks)
	}
	return cty.NilVal
}

// checkWith compares a with that is one value with the parameters that there are.
func (sc *scope) checkWith() {
	if sc.parent == nil || sc.call.with == nil {
		return
	}
	with, _ := sc.input(sc.call.with).Unmark()
	rng := sc.call.with.Expr.Range()
	switch t := with.Type(); {
	case !with.IsKnown():
		return
	case with.IsNull() || !t.IsObjectType() && !t.IsMapType():
		sc.eval.rep.addFirst(mistake(rng, "Wrong type", "with gives parameters by their names, { NAME = VALUE }, and this is %s.", t.FriendlyName()))
		return
	}
	given := map[string]hcl.Range{}
	for name := range with.AsValueMap() {
		given[name] = rng
	}
	sc.parent.checkNames(sc.call, given, rng)
}

// convertMarked is convert for values that may bear marks, which the defaults of optional attributes cannot look through.
func (v *variable) convertMarked(val cty.Value) (cty.Value, error) {
	if v.defaults == nil || !val.ContainsMarked() {
		return v.convert(val)
	}
	plain, paths := val.UnmarkDeepWithPaths()
	converted, err := v.convert(plain)
	if err != nil {
		return converted, err
	}
	for _, pvm := range paths {
		if _, err := pvm.Path.Apply(converted); err != nil {
			_, all := val.UnmarkDeep()
			return converted.WithMarks(all), nil
		}
	}
	return converted.MarkWithPaths(paths), nil
}

// validate checks the validation blocks of a variable.
func (sc *scope) validate(v *variable) {
	for _, r := range v.rules {
		if text, failed := sc.broken(r, sc.context(r.references(), repetition{})); failed {
			sc.eval.rep.addFirst(mistake(sc.valueRange(v), "Invalid value for "+v.noun(), "%s\n\nThis was checked by the validation at %s.", text, place(r.condition.Range())))
		}
	}
}

func (sc *scope) message(r rule, ctx *hcl.EvalContext) string {
	val, ok := sc.eval.value(r.message, ctx)
	if !ok {
		return "The condition does not hold."
	}
	if val.HasMarkDeep(sensitive) {
		return "The condition does not hold; the message uses a sensitive value and is not shown."
	}
	val, _ = val.UnmarkDeep()
	text, err := convert.Convert(val, cty.String)
	if err != nil || text.IsNull() || !text.IsKnown() {
		sc.eval.rep.addFirst(mistake(r.message.Range(), "Wrong type", "error_message is a text."))
		return "The condition does not hold."
	}
	return strings.TrimSpace(text.AsString())
}

// valueRange is where the value of a variable was written, or the variable itself.
func (sc *scope) valueRange(v *variable) hcl.Range {
	if sc.parent != nil {
		attr := sc.call.inputs[v.name]
		if attr == nil {
			attr = sc.call.with
		}
		if attr != nil {
			return attr.Expr.Range()
		}
		return v.header
	}
	if g, ok := sc.eval.project.values[v.name]; ok && sc.eval.project.files.parsed[g.rng.Filename] != nil {
		return g.rng
	}
	return v.header
}
