package function

import (
	"fmt"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"
)

var lookupFunc = function.New(&function.Spec{
	Description: "Gives the element of a map or object with the key, or the default when there is none.",
	Params:      []function.Parameter{anything("map"), text("key")},
	VarParam:    &function.Parameter{Name: "default", Type: cty.DynamicPseudoType, AllowNull: true, AllowUnknown: true, AllowDynamicType: true},
	Type:        lookupType,
	Impl: func(args []cty.Value, ret cty.Type) (cty.Value, error) {
		m, key := args[0], args[1].AsString()
		switch {
		case m.Type().IsObjectType() && m.Type().HasAttribute(key):
			return convert.Convert(m.GetAttr(key), ret)
		case m.Type().IsMapType() && m.HasIndex(args[1]).True():
			return m.Index(args[1]), nil
		case len(args) == 3:
			return convert.Convert(args[2], ret)
		}
		return cty.NilVal, function.NewArgErrorf(1, "there is no key %q, and no default is given as third argument", key)
	},
})

func lookupType(args []cty.Value) (cty.Type, error) {
	if len(args) > 3 {
		return cty.NilType, fmt.Errorf("lookup takes a map, a key and a default, not %d arguments", len(args))
	}
	switch t := args[0].Type(); {
	case t.IsMapType():
		if len(args) == 3 {
			if _, err := convert.Convert(args[2], t.ElementType()); err != nil {
				return cty.NilType, function.NewArgErrorf(2, "the default must be of the map's element type: %w", err)
			}
		}
		return t.ElementType(), nil
	case t.IsObjectType():
		if !args[1].IsKnown() {
			return cty.DynamicPseudoType, nil
		}
		if key := args[1].AsString(); t.HasAttribute(key) {
			return t.AttributeType(key), nil
		}
		if len(args) == 3 {
			return args[2].Type(), nil
		}
		return cty.DynamicPseudoType, nil
	default:
		return cty.NilType, function.NewArgErrorf(0, "must be a map or an object, not %s", t.FriendlyName())
	}
}

var matchKeysFunc = function.New(&function.Spec{
	Description: "Gives the elements of values whose element of keys, at the same position, is in searchset.",
	Params: []function.Parameter{
		{Name: "values", Type: cty.List(cty.DynamicPseudoType)},
		{Name: "keys", Type: cty.List(cty.DynamicPseudoType)},
		{Name: "searchset", Type: cty.List(cty.DynamicPseudoType)},
	},
	Type: func(args []cty.Value) (cty.Type, error) {
		if t, _ := convert.UnifyUnsafe([]cty.Type{args[1].Type(), args[2].Type()}); t == cty.NilType {
			return cty.NilType, function.NewArgErrorf(1, "keys and searchset must be of the same type")
		}
		return args[0].Type(), nil
	},
	Impl: func(args []cty.Value, ret cty.Type) (cty.Value, error) {
		if v, ok := unknown(args, ret); ok {
			return v, nil
		}
		values, keys := args[0].AsValueSlice(), args[1].AsValueSlice()
		if len(values) != len(keys) {
			return cty.NilVal, function.NewArgErrorf(1, "has %d elements and values has %d: they must be as long", len(keys), len(values))
		}
		var out []cty.Value
		for i, key := range keys {
			if among(key, args[2].AsValueSlice()) {
				out = append(out, values[i])
			}
		}
		if len(out) == 0 {
			return cty.ListValEmpty(ret.ElementType()), nil
		}
		return cty.ListVal(out), nil
	},
})

// among tells whether list holds v. Values of two types are compared as their common one.
func among(v cty.Value, list []cty.Value) bool {
	for _, e := range list {
		t, _ := convert.UnifyUnsafe([]cty.Type{v.Type(), e.Type()})
		if t == cty.NilType {
			continue
		}
		a, errA := convert.Convert(v, t)
		b, errB := convert.Convert(e, t)
		if errA == nil && errB == nil && a.RawEquals(b) {
			return true
		}
	}
	return false
}
