package function

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// templateSource gives a template's text and the name that errors call it by.
type templateSource func(arg string) (text, name string, err error)

func (d dir) template(path string) (text, name string, err error) {
	text, err = d.readText(path)
	return text, path, err
}

func inlineTemplate(text string) (_, name string, err error) { return text, "the template", nil }

// templateFunc makes a function that renders what source finds with a map or object of variables; table gives the functions
// that the template can call.
func templateFunc(doc, param string, source templateSource, table func() map[string]function.Function) function.Function {
	return function.New(&function.Spec{
		Description: doc,
		Params:      []function.Parameter{text(param), anything("vars")},
		Type:        function.StaticReturnType(cty.DynamicPseudoType),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			src, name, err := source(args[0].AsString())
			if err != nil {
				return cty.NilVal, function.NewArgError(0, err)
			}
			expr, diags := hclsyntax.ParseTemplate([]byte(src), name, hcl.InitialPos)
			if diags.HasErrors() {
				return cty.NilVal, function.NewArgError(0, renderError(diags))
			}
			return render(expr, args[1], table())
		},
	})
}

func render(expr hclsyntax.Expression, vars cty.Value, table map[string]function.Function) (cty.Value, error) {
	if t := vars.Type(); !t.IsMapType() && !t.IsObjectType() {
		return cty.NilVal, function.NewArgErrorf(1, "must be a map or an object, not %s", t.FriendlyName())
	}
	known := vars.AsValueMap()
	for name := range known {
		if !hclsyntax.ValidIdentifier(name) {
			return cty.NilVal, function.NewArgErrorf(1, "%q cannot be a variable: its name must begin with a letter and hold only letters, digits, _ and -", name)
		}
	}
	for _, ref := range expr.Variables() {
		if _, ok := known[ref.RootName()]; !ok {
			return cty.NilVal, function.NewArgErrorf(1, "%s uses %q, which is not among the variables given: %s",
				ref.SourceRange(), ref.RootName(), strings.Join(slices.Sorted(maps.Keys(known)), ", "))
		}
	}
	v, diags := expr.Value(&hcl.EvalContext{Variables: known, Functions: table})
	if diags.HasErrors() {
		return cty.NilVal, function.NewArgError(0, renderError(diags))
	}
	return v, nil
}

// templateTable gives the functions of templates: all of d's, except those that render templates.
func templateTable(d dir) map[string]function.Function {
	table := table(d)
	for _, name := range []string{"templatefile", "templatestring"} {
		table[name] = refuse("a template cannot call " + name + "(): render the inner one first and give it as a variable")
	}
	return table
}

// renderError joins the mistakes of a template; their ranges are in the template, not in the file that calls.
func renderError(diags hcl.Diagnostics) error { return errors.Join(diags.Errs()...) }
