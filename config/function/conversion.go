package function

import (
	"github.com/hashicorp/hcl/v2/ext/tryfunc"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

type mark string

// Sensitive marks values that must not be shown: config puts it on what comes from sensitive variables, and sensitive() does.
// A function's result bears it when an argument does.
var Sensitive any = mark("sensitive")

func conversions() map[string]function.Function {
	return map[string]function.Function{
		"can":          tryfunc.CanFunc.WithNewDescriptions("Whether the expression can be evaluated without an error.", []string{""}),
		"issensitive":  markFunc("Whether the value is marked as sensitive.", cty.Bool, func(v cty.Value) cty.Value { return cty.BoolVal(v.HasMark(Sensitive)) }),
		"nonsensitive": markFunc("Takes the mark of sensitive off a value that may be shown.", cty.DynamicPseudoType, nonsensitive),
		"sensitive":    markFunc("Marks a value as sensitive: it is never shown.", cty.DynamicPseudoType, func(v cty.Value) cty.Value { return v.Mark(Sensitive) }),
		"tobool":       stdlib.MakeToFunc(cty.Bool),
		"tolist":       ofTuples(stdlib.MakeToFunc(cty.List(cty.DynamicPseudoType))),
		"tomap":        stdlib.MakeToFunc(cty.Map(cty.DynamicPseudoType)),
		"tonumber":     stdlib.MakeToFunc(cty.Number),
		"toset":        ofTuples(stdlib.MakeToFunc(cty.Set(cty.DynamicPseudoType))),
		"tostring":     stdlib.MakeToFunc(cty.String),
		"try":          tryfunc.TryFunc.WithNewDescriptions("Gives the first argument that can be evaluated without an error.", []string{""}),
	}
}

// ofTuples spares a conversion from tuples the search for a type that all elements convert to, where they have one already:
// it compares each element with each.
func ofTuples(convert function.Function) function.Function {
	p := function.Parameter{
		Name: "v", Type: cty.DynamicPseudoType, AllowNull: true, AllowUnknown: true, AllowMarked: true, AllowDynamicType: true,
	}
	return function.New(&function.Spec{
		Description: convert.Description(),
		Params:      []function.Parameter{p},
		Type: func(args []cty.Value) (cty.Type, error) {
			return convert.ReturnTypeForValues([]cty.Value{uniform(args[0])})
		},
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			return convert.Call([]cty.Value{uniform(args[0])})
		},
	})
}

// uniform gives a tuple whose elements have one type as a list, and anything else as it is.
func uniform(v cty.Value) cty.Value {
	if v.IsMarked() || !v.IsKnown() || v.IsNull() || !v.Type().IsTupleType() || v.LengthInt() == 0 {
		return v
	}
	types := v.Type().TupleElementTypes()
	for _, t := range types {
		if t == cty.DynamicPseudoType || !t.Equals(types[0]) {
			return v
		}
	}
	return cty.ListVal(v.AsValueSlice())
}

// markFunc makes a function that sees its argument's marks; its result has type ret, or the argument's when that is dynamic.
func markFunc(doc string, ret cty.Type, f func(cty.Value) cty.Value) function.Function {
	return function.New(&function.Spec{
		Description: doc,
		Params: []function.Parameter{{
			Name: "value", Type: cty.DynamicPseudoType,
			AllowUnknown: true, AllowNull: true, AllowMarked: true, AllowDynamicType: true,
		}},
		Type: func(args []cty.Value) (cty.Type, error) {
			if ret == cty.DynamicPseudoType {
				return args[0].Type(), nil
			}
			return ret, nil
		},
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) { return f(args[0]), nil },
	})
}

func nonsensitive(v cty.Value) cty.Value {
	v, marks := v.Unmark()
	delete(marks, Sensitive)
	return v.WithMarks(marks)
}
