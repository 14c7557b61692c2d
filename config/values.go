package config

import (
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// envPrefix begins the names of environment variables that give values.
const envPrefix = "VMPLAN_VAR_"

// given is a value for a variable from outside the .hcl files.
type given struct {
	value cty.Value
	from  string    // for messages: "--var", "VMPLAN_VAR_x", a file
	rng   hcl.Range // in a file; else of nothing but a name
}

// readValues gathers the values of the root's variables. In rising precedence: environment, vmplan.vmvars.hcl,
// vmplan.vmvars.json, other *.vmvars.hcl of the folder in name order, --var-file in order, --var.
func (l *loader) readValues(m *module, opts Options) map[string]given {
	values := map[string]given{}
	for _, entry := range opts.Environ {
		key, text, _ := strings.Cut(entry, "=")
		if name, ok := strings.CutPrefix(key, envPrefix); ok && m.variables.byName[name] != nil {
			l.text(m, values, name, text, key)
		}
	}
	files, err := l.files.list(m.dir)
	if err == nil {
		slices.SortStableFunc(files.values, func(a, b string) int { return valueRank(a) - valueRank(b) })
	}
	for _, name := range append(files.values, opts.VarFiles...) {
		l.valueFile(m, values, name)
	}
	for _, name := range slices.Sorted(maps.Keys(opts.Vars)) {
		if m.variables.byName[name] == nil && !m.broken {
			l.rep.add(mistake(start("--var "+name), "Undeclared variable",
				"--var gives %q a value, and no variable block declares it.%s", name, didYouMean(name, m.variables.order)))
			continue
		}
		l.text(m, values, name, opts.Vars[name], "--var "+name)
	}
	return values
}

func valueRank(path string) int {
	switch {
	case strings.HasSuffix(path, valuesName+".hcl"):
		return 0
	case strings.HasSuffix(path, ".json"):
		return 1
	}
	return 2
}

// text takes a value from the command line or the environment: as it is for a variable whose type is string or not given,
// else as an expression.
func (l *loader) text(m *module, values map[string]given, name, text, from string) {
	rng := start(from)
	v := m.variables.byName[name]
	if v == nil {
		return
	}
	if v.typ == cty.String || v.typ == cty.DynamicPseudoType {
		values[name] = given{cty.StringVal(text), from, rng}
		return
	}
	if d := tooDeep([]byte(text), from); d != nil {
		l.rep.add(d)
		return
	}
	expr, diags := hclsyntax.ParseExpression([]byte(text), from, hcl.InitialPos)
	val := cty.DynamicVal
	if !diags.HasErrors() {
		val, diags = expr.Value(nil)
	}
	if diags.HasErrors() {
		l.rep.add(mistake(rng, "Bad value of a variable", "%s: %s is wanted, written as in a file, such as '[\"a\", \"b\"]' for a list: %s", from, v.typ.FriendlyName(), diags[0].Detail))
		val = cty.DynamicVal
	}
	values[name] = given{val, from, rng}
}

// valueFile takes the values of a file, in HCL or, by its name, JSON.
func (l *loader) valueFile(m *module, values map[string]given, name string) {
	var body hcl.Body
	var diags hcl.Diagnostics
	if strings.HasSuffix(name, ".json") {
		body, diags = l.files.json(name)
	} else {
		var native *hclsyntax.Body
		if native, diags = l.files.native(name); native != nil {
			body = native
		}
	}
	l.rep.add(diags...)
	if body == nil {
		return
	}
	attrs, diags := body.JustAttributes()
	if !diags.HasErrors() {
		diags = nil
	}
	l.rep.add(diags...)
	for _, key := range slices.Sorted(maps.Keys(attrs)) {
		attr := attrs[key]
		if m.variables.byName[key] == nil {
			if !m.broken {
				l.rep.add(warning(attr.NameRange, "Undeclared variable", "No variable block declares %q, so this value is not used.%s", key, didYouMean(key, m.variables.order)))
			}
			continue
		}
		val, diags := attr.Expr.Value(nil)
		if diags.HasErrors() {
			l.rep.add(mistake(attr.Expr.Range(), "Value is not constant", "A file of variable values cannot refer to anything or call functions: %s", diags[0].Detail))
			val = cty.DynamicVal
		}
		values[key] = given{val, name, attr.Expr.Range()}
	}
}
