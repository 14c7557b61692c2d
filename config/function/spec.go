package function

import (
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// text describes a parameter that takes a string.
func text(name string) function.Parameter { return function.Parameter{Name: name, Type: cty.String} }

// anything describes a parameter whose type the function looks at itself.
func anything(name string) function.Parameter {
	return function.Parameter{Name: name, Type: cty.DynamicPseudoType}
}

// number describes a parameter that takes a number.
func number(name string) function.Parameter { return function.Parameter{Name: name, Type: cty.Number} }

// fixed makes a function whose result always has type ret.
func fixed(doc string, ret cty.Type, impl func(args []cty.Value) (cty.Value, error), params ...function.Parameter) function.Function {
	return function.New(&function.Spec{
		Description: doc,
		Params:      params,
		Type:        function.StaticReturnType(ret),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			if v, ok := unknown(args, ret); ok {
				return v, nil
			}
			return impl(args)
		},
	})
}

// textToText makes a function from strings to a string.
func textToText(doc string, f func(string) (string, error), param string) function.Function {
	return fixed(doc, cty.String, func(args []cty.Value) (cty.Value, error) {
		s, err := f(args[0].AsString())
		if err != nil {
			return cty.NilVal, err
		}
		return cty.StringVal(s), nil
	}, text(param))
}

// unknown gives the unknown result of a call with an argument that is not wholly known: only a part of a list may be.
func unknown(args []cty.Value, ret cty.Type) (cty.Value, bool) {
	for _, a := range args {
		if !a.IsWhollyKnown() {
			return cty.UnknownVal(ret), true
		}
	}
	return cty.NilVal, false
}

// elements lists the members of a list, set or tuple.
func elements(v cty.Value) ([]cty.Value, error) {
	if t := v.Type(); !t.IsListType() && !t.IsSetType() && !t.IsTupleType() {
		return nil, function.NewArgErrorf(0, "must be a list, a set or a tuple, not %s", t.FriendlyName())
	}
	return v.AsValueSlice(), nil
}
