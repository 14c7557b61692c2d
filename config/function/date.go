package function

import (
	"time"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

func dates() map[string]function.Function {
	return map[string]function.Function{
		"formatdate": stdlib.FormatDateFunc,
		"timeadd":    stdlib.TimeAddFunc,
		"timecmp":    fixed("Compares two RFC 3339 timestamps: -1, 0 or 1 when the first is earlier, the same or later.", cty.Number, timeCmp, text("a"), text("b")),
	}
}

func timeCmp(args []cty.Value) (cty.Value, error) {
	var at [2]time.Time
	for i, a := range args {
		t, err := time.Parse(time.RFC3339, a.AsString())
		if err != nil {
			return cty.NilVal, function.NewArgErrorf(i, "%q is not an RFC 3339 timestamp such as 2026-01-31T12:00:00Z", a.AsString())
		}
		at[i] = t
	}
	return cty.NumberIntVal(int64(at[0].Compare(at[1]))), nil
}
