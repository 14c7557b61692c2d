package function

import (
	"errors"
	"math/big"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// guard makes f refuse what check refuses, where go-cty's own function would panic.
func guard(f function.Function, check func(args []cty.Value) error) function.Function {
	return wrap(f, func(args []cty.Value) (cty.Type, error) {
		if err := check(args); err != nil {
			return cty.NilType, err
		}
		return f.ReturnTypeForValues(args)
	}, f.Call)
}

// untyped makes f give an unknown value when the type of an argument is not known yet, where go-cty's own function would panic.
func untyped(f function.Function) function.Function {
	missing := func(args []cty.Value) bool {
		for _, a := range args {
			if a.Type() == cty.DynamicPseudoType {
				return true
			}
		}
		return false
	}
	return wrap(f, func(args []cty.Value) (cty.Type, error) {
		if missing(args) {
			return cty.DynamicPseudoType, nil
		}
		return f.ReturnTypeForValues(args)
	}, func(args []cty.Value) (cty.Value, error) {
		if missing(args) {
			return cty.DynamicVal, nil
		}
		return f.Call(args)
	})
}

// wrap makes a function with f's parameters and description.
func wrap(f function.Function, typ function.TypeFunc, call func([]cty.Value) (cty.Value, error)) function.Function {
	return function.New(&function.Spec{
		Description: f.Description(),
		Params:      f.Params(),
		VarParam:    f.VarParam(),
		Type:        typ,
		Impl:        func(args []cty.Value, _ cty.Type) (cty.Value, error) { return call(args) },
	})
}

func checkLog(args []cty.Value) error {
	for i, a := range args {
		if !a.IsKnown() {
			continue
		}
		if n := a.AsBigFloat(); n.Sign() <= 0 || n.IsInf() || i == 1 && n.Cmp(big.NewFloat(1)) == 0 {
			return function.NewArgErrorf(i, "a logarithm is of a number above 0, to a base above 0 that is not 1")
		}
	}
	return nil
}

// maxIndent bounds what one argument can make of a text.
const maxIndent = 1000

func checkIndent(args []cty.Value) error {
	if !args[0].IsKnown() {
		return nil
	}
	if n := args[0].AsBigFloat(); n.Sign() < 0 || n.Cmp(big.NewFloat(maxIndent)) > 0 {
		return function.NewArgErrorf(0, "must be from 0 to %d", maxIndent)
	}
	return nil
}

func checkMerge(args []cty.Value) error {
	for i, a := range args {
		t := a.Type()
		if t != cty.DynamicPseudoType && !t.IsMapType() && !t.IsObjectType() {
			return function.NewArgErrorf(i, "must be a map or an object, not %s", t.FriendlyName())
		}
	}
	return nil
}

func checkZipmap(args []cty.Value) error {
	keys, _ := args[0].Unmark()
	if !keys.IsKnown() {
		return nil
	}
	for _, key := range keys.AsValueSlice() {
		if key.IsNull() {
			return function.NewArgError(0, errors.New("a key is null"))
		}
	}
	return nil
}
