package function_test

import (
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"

	"vmplan.dev/vmplan/config/function"
)

// Whatever a function is called with, it answers or gives an error of its own: never a panic, which cty would turn into an
// error that helps nobody. validate calls functions with values that are not known yet.
func TestNoCallPanics(t *testing.T) {
	values := []cty.Value{
		cty.NullVal(cty.String), cty.NullVal(cty.DynamicPseudoType), cty.UnknownVal(cty.String), cty.DynamicVal, cty.EmptyObjectVal, cty.EmptyTupleVal,
		cty.StringVal(""), cty.StringVal("a"), cty.StringVal("10.0.0.0/8"), cty.NumberIntVal(0), cty.NumberIntVal(-3), cty.MustParseNumberVal("1e40"), cty.PositiveInfinity, cty.True,
		cty.ListVal([]cty.Value{cty.NullVal(cty.String)}), cty.ListVal([]cty.Value{cty.UnknownVal(cty.String)}), cty.SetVal([]cty.Value{cty.UnknownVal(cty.Bool)}),
		cty.TupleVal([]cty.Value{cty.NullVal(cty.DynamicPseudoType), cty.DynamicVal}), cty.MapVal(map[string]cty.Value{"a": cty.NullVal(cty.String)}),
		cty.ObjectVal(map[string]cty.Value{"a": cty.DynamicVal}), cty.StringVal("x").Mark(function.Sensitive), cty.UnknownVal(cty.List(cty.Number)),
		cty.ListVal([]cty.Value{cty.StringVal("a").Mark(function.Sensitive)}), cty.TupleVal([]cty.Value{cty.StringVal("a"), cty.Zero}).Mark(function.Sensitive),
		cty.MapVal(map[string]cty.Value{"a": cty.True.Mark(function.Sensitive)}).Mark(function.Sensitive), cty.MapValEmpty(cty.List(cty.String)), cty.ListVal([]cty.Value{cty.ListValEmpty(cty.Number)}),
	}
	for name, f := range function.Table(t.TempDir()) {
		if name == "try" || name == "can" { // they take expressions, which only hcl can hand them
			continue
		}
		most := len(f.Params())
		if f.VarParam() != nil {
			most = max(most+1, 2)
		}
		var call func(args []cty.Value)
		call = func(args []cty.Value) {
			if len(args) >= len(f.Params()) {
				if _, err := f.Call(args); err != nil && strings.Contains(err.Error(), "panic") {
					t.Errorf("%s(%#v): %.300s", name, args, err)
				}
			}
			if len(args) < most && len(args) < 3 {
				for _, v := range values {
					call(append(args[:len(args):len(args)], v))
				}
			}
		}
		call(nil)
	}
}
