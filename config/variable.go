package config

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// variable is a variable block.
type variable struct {
	word      string // by which expressions refer to it: var, parameter
	name      string
	header    hcl.Range
	typ       cty.Type // DynamicPseudoType: any
	defaults  *typeexpr.Defaults
	value     cty.Value // default; NilVal: must be given
	nullable  bool
	sensitive bool
	rules     []rule // validation
}

func declareVariable(b *hclsyntax.Block, rep *reporter) *variable {
	v := &variable{word: "var", name: b.Labels[0], header: b.DefRange(), typ: cty.DynamicPseudoType, nullable: true}
	if b.Type == parameterBlock {
		v.word = parameterBlock
	}
	attrs := b.Body.Attributes
	if attr := attrs["type"]; attr != nil {
		typ, defaults, diags := typeexpr.TypeConstraintWithDefaults(attr.Expr)
		rep.add(diags...)
		if !diags.HasErrors() {
			v.typ, v.defaults = typ, defaults
		}
	}
	v.nullable = staticBool(attrs["nullable"], true, rep)
	v.sensitive = staticBool(attrs["sensitive"], false, rep)
	staticText(attrs["description"], rep)
	if attr := attrs["default"]; attr != nil {
		v.value = v.defaultValue(attr, rep)
	}
	for _, attr := range sortedAttributes(b.Body) {
		switch attr.Name {
		case "type", "default", "description", "sensitive", "nullable":
		default:
			rep.add(unknownAttribute(attr, b.Type, []string{"type", "default", "description", "sensitive", "nullable"}))
		}
	}
	for _, nested := range b.Body.Blocks {
		if nested.Type != "validation" {
			rep.add(mistake(nested.TypeRange, "Unknown block type", "%s block has no block %q.%s", sentence(article(b.Type)), nested.Type, didYouMean(nested.Type, []string{"validation"})))
			continue
		}
		if r, ok := declareRule(nested, rep); ok {
			v.rules = append(v.rules, r)
		}
	}
	return v
}

func (v *variable) String() string { return v.word + "." + v.name }

// noun is the type of the block that declares it.
func (v *variable) noun() string {
	if v.word == parameterBlock {
		return parameterBlock
	}
	return "variable"
}

// defaultValue evaluates the default; a wrong one counts as a value that is not known, so that it is complained of once.
func (v *variable) defaultValue(attr *hclsyntax.Attribute, rep *reporter) cty.Value {
	val, diags := attr.Expr.Value(nil)
	if diags.HasErrors() {
		rep.add(mistake(attr.Expr.Range(), "Default is not constant", "The default of a "+v.noun()+" cannot refer to anything: %s", diags[0].Detail))
		return cty.DynamicVal
	}
	if val.IsNull() && !v.nullable {
		rep.add(mistake(attr.Expr.Range(), "Default is null", "%s has nullable = false, so null cannot be its default.", v))
		return cty.DynamicVal
	}
	val, err := v.convert(val)
	if err != nil {
		rep.add(mistake(attr.Expr.Range(), "Wrong type", "The default of %s does not fit its type: %s.", v, typeError(err)))
		return cty.DynamicVal
	}
	return val
}

// convert brings a value to the variable's type, filling in the defaults of optional attributes.
func (v *variable) convert(val cty.Value) (cty.Value, error) {
	if v.defaults != nil && !val.IsNull() {
		val = v.defaults.Apply(val)
	}
	return convert.Convert(val, v.typ)
}

func declareOutput(b *hclsyntax.Block, rep *reporter) *output {
	known := []string{"value", "description", "sensitive", "depends_on"}
	o := &output{name: b.Labels[0], header: b.DefRange(), value: b.Body.Attributes["value"]}
	o.sensitive = staticBool(b.Body.Attributes["sensitive"], false, rep)
	o.description = staticText(b.Body.Attributes["description"], rep)
	for _, attr := range sortedAttributes(b.Body) {
		switch attr.Name {
		case "value", "description", "sensitive":
		default:
			rep.add(unknownAttribute(attr, "output", known[:3]))
		}
	}
	for _, nested := range b.Body.Blocks {
		rep.add(mistake(nested.TypeRange, "Unknown block type", "An output block has no blocks."))
	}
	if o.value == nil {
		rep.add(mistake(b.DefRange(), "Missing attribute", "output.%s lacks value.", o.name))
	}
	return o
}

// staticBool reads true or false where nothing can be evaluated yet.
func staticBool(attr *hclsyntax.Attribute, unset bool, rep *reporter) bool {
	if attr == nil {
		return unset
	}
	v, diags := attr.Expr.Value(nil)
	if diags.HasErrors() || v.Type() != cty.Bool || v.IsNull() {
		rep.add(mistake(attr.Expr.Range(), "Wrong type", "%s is written as true or false; it cannot refer to anything.", attr.Name))
		return unset
	}
	return v.True()
}

// staticText reads a text where nothing can be evaluated yet.
func staticText(attr *hclsyntax.Attribute, rep *reporter) string {
	if attr == nil {
		return ""
	}
	text, ok := literal(attr.Expr)
	if !ok {
		rep.add(mistake(attr.Expr.Range(), "Not a plain text", "%s is a plain text in quotes; it cannot refer to anything.", attr.Name))
	}
	return text
}
