package function

import (
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

func numbers() map[string]function.Function {
	return map[string]function.Function{
		"abs":      stdlib.AbsoluteFunc,
		"ceil":     stdlib.CeilFunc,
		"floor":    stdlib.FloorFunc,
		"log":      guard(stdlib.LogFunc, checkLog),
		"max":      stdlib.MaxFunc,
		"min":      stdlib.MinFunc,
		"parseint": stdlib.ParseIntFunc,
		"pow":      stdlib.PowFunc,
		"signum":   stdlib.SignumFunc,
		"sum":      fixed("Adds the numbers of a list or set.", cty.Number, sum, anything("list")),
	}
}

func sum(args []cty.Value) (cty.Value, error) {
	list, err := elements(args[0])
	if err != nil {
		return cty.NilVal, err
	}
	if len(list) == 0 {
		return cty.NilVal, function.NewArgErrorf(0, "there is nothing to add: the list is empty")
	}
	total := cty.Zero
	for i, v := range list {
		n, err := convert.Convert(v, cty.Number)
		if err != nil || n.IsNull() {
			return cty.NilVal, function.NewArgErrorf(0, "element %d is not a number", i)
		}
		total = total.Add(n)
	}
	return total, nil
}
