package function

import (
	"errors"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

func collections() map[string]function.Function {
	return map[string]function.Function{
		"alltrue":         fixed("Whether all elements of the list are true; true for an empty list.", cty.Bool, allTrue, anything("list")),
		"anytrue":         fixed("Whether an element of the list is true; false for an empty list.", cty.Bool, anyTrue, anything("list")),
		"chunklist":       stdlib.ChunklistFunc,
		"coalesce":        coalesceFunc,
		"coalescelist":    stdlib.CoalesceListFunc,
		"compact":         stdlib.CompactFunc,
		"concat":          stdlib.ConcatFunc,
		"contains":        stdlib.ContainsFunc,
		"distinct":        stdlib.DistinctFunc,
		"element":         stdlib.ElementFunc,
		"flatten":         stdlib.FlattenFunc,
		"index":           fixed("Gives the position of a value in a list, counted from 0.", cty.Number, index, anything("list"), nullable(anything("value"))),
		"keys":            stdlib.KeysFunc,
		"length":          lengthFunc,
		"lookup":          lookupFunc,
		"matchkeys":       matchKeysFunc,
		"merge":           guard(stdlib.MergeFunc, checkMerge),
		"one":             oneFunc,
		"range":           stdlib.RangeFunc,
		"reverse":         stdlib.ReverseListFunc,
		"setintersection": untyped(stdlib.SetIntersectionFunc),
		"setproduct":      stdlib.SetProductFunc,
		"setsubtract":     untyped(stdlib.SetSubtractFunc),
		"setunion":        untyped(stdlib.SetUnionFunc),
		"slice":           stdlib.SliceFunc,
		"sort":            stdlib.SortFunc,
		"transpose":       fixed("Swaps keys and values of a map of lists of strings.", cty.Map(cty.List(cty.String)), transpose, function.Parameter{Name: "map", Type: cty.Map(cty.List(cty.String))}),
		"values":          stdlib.ValuesFunc,
		"zipmap":          guard(stdlib.ZipmapFunc, checkZipmap),
	}
}

func nullable(p function.Parameter) function.Parameter {
	p.AllowNull = true
	return p
}

func allTrue(args []cty.Value) (cty.Value, error) { return foldBools(args[0], false) }

func anyTrue(args []cty.Value) (cty.Value, error) { return foldBools(args[0], true) }

// foldBools gives stop when an element equals it, else the contrary. A null counts as false.
func foldBools(v cty.Value, stop bool) (cty.Value, error) {
	list, err := elements(v)
	if err != nil {
		return cty.NilVal, err
	}
	for i, e := range list {
		b, err := convert.Convert(e, cty.Bool)
		if err != nil {
			return cty.NilVal, function.NewArgErrorf(0, "element %d is neither true nor false", i)
		}
		if (!b.IsNull() && b.True()) == stop {
			return cty.BoolVal(stop), nil
		}
	}
	return cty.BoolVal(!stop), nil
}

func index(args []cty.Value) (cty.Value, error) {
	if args[0].Type().IsSetType() {
		return cty.NilVal, function.NewArgErrorf(0, "a set has no order: make it a list with tolist or sort")
	}
	list, err := elements(args[0])
	if err != nil {
		return cty.NilVal, err
	}
	for i, v := range list {
		if eq := v.Equals(args[1]); eq.IsKnown() && eq.True() {
			return cty.NumberIntVal(int64(i)), nil
		}
	}
	return cty.NilVal, errors.New("the value is not in the list")
}

var lengthFunc = function.New(&function.Spec{
	Description: "Gives the number of elements of a list, set, map or object, or of characters of a text.",
	Params:      []function.Parameter{{Name: "value", Type: cty.DynamicPseudoType, AllowDynamicType: true, AllowUnknown: true}},
	Type: func(args []cty.Value) (cty.Type, error) {
		t := args[0].Type()
		if t == cty.String || t == cty.DynamicPseudoType || t.IsTupleType() || t.IsObjectType() || t.IsCollectionType() {
			return cty.Number, nil
		}
		return cty.NilType, function.NewArgErrorf(0, "must be a list, a set, a map, an object or a text, not %s", t.FriendlyName())
	},
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		switch v := args[0]; {
		case v.Type().IsTupleType():
			return cty.NumberIntVal(int64(len(v.Type().TupleElementTypes()))), nil
		case v.Type().IsObjectType():
			return cty.NumberIntVal(int64(len(v.Type().AttributeTypes()))), nil
		case !v.IsKnown():
			return cty.UnknownVal(cty.Number), nil
		case v.Type() == cty.String:
			return stdlib.Strlen(v)
		default:
			return v.Length(), nil
		}
	},
})

var coalesceFunc = function.New(&function.Spec{
	Description: "Gives the first argument that is neither null nor an empty text.",
	VarParam:    &function.Parameter{Name: "values", Type: cty.DynamicPseudoType, AllowNull: true, AllowUnknown: true, AllowDynamicType: true},
	Type: func(args []cty.Value) (cty.Type, error) {
		types := make([]cty.Type, len(args))
		for i, a := range args {
			types[i] = a.Type()
		}
		t, _ := convert.UnifyUnsafe(types)
		if t == cty.NilType {
			return t, errors.New("all arguments must have the same type")
		}
		return t, nil
	},
	Impl: func(args []cty.Value, ret cty.Type) (cty.Value, error) {
		for _, a := range args {
			v, err := convert.Convert(a, ret)
			switch {
			case err != nil:
				return cty.NilVal, err
			case !v.IsKnown():
				return cty.UnknownVal(ret), nil
			case v.IsNull(), ret == cty.String && v.AsString() == "":
			default:
				return v, nil
			}
		}
		return cty.NilVal, errors.New("no argument is set: all are null or empty texts")
	},
})

var oneFunc = function.New(&function.Spec{
	Description: "Gives the only element of a list, or null when the list is empty.",
	Params:      []function.Parameter{anything("list")},
	Type: func(args []cty.Value) (cty.Type, error) {
		switch t := args[0].Type(); {
		case t.IsListType(), t.IsSetType():
			return t.ElementType(), nil
		case t.IsTupleType() && len(t.TupleElementTypes()) == 0:
			return cty.DynamicPseudoType, nil
		case t.IsTupleType() && len(t.TupleElementTypes()) == 1:
			return t.TupleElementTypes()[0], nil
		}
		return cty.NilType, function.NewArgErrorf(0, "must be a list, a set or a tuple with no or one element")
	},
	Impl: func(args []cty.Value, ret cty.Type) (cty.Value, error) {
		switch list := args[0].AsValueSlice(); len(list) {
		case 0:
			return cty.NullVal(ret), nil
		case 1:
			return list[0], nil
		default:
			return cty.NilVal, function.NewArgErrorf(0, "has %d elements, and may have one at most", len(list))
		}
	},
})

func transpose(args []cty.Value) (cty.Value, error) {
	out := map[string][]cty.Value{}
	for key, list := range args[0].AsValueMap() {
		if list.IsNull() {
			return cty.NilVal, function.NewArgErrorf(0, "%q is null", key)
		}
		for _, v := range list.AsValueSlice() {
			if v.IsNull() {
				return cty.NilVal, function.NewArgErrorf(0, "%q holds a null", key)
			}
			out[v.AsString()] = append(out[v.AsString()], cty.StringVal(key))
		}
	}
	lists := map[string]cty.Value{}
	for key, list := range out {
		lists[key], _ = stdlib.Sort(cty.ListVal(list))
	}
	if len(lists) == 0 {
		return cty.MapValEmpty(cty.List(cty.String)), nil
	}
	return cty.MapVal(lists), nil
}
