package function

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

func texts() map[string]function.Function {
	return map[string]function.Function{
		"chomp":       stdlib.ChompFunc,
		"endswith":    textTest("Whether the text ends with suffix.", strings.HasSuffix, "suffix"),
		"format":      stdlib.FormatFunc,
		"formatlist":  stdlib.FormatListFunc,
		"indent":      guard(stdlib.IndentFunc, checkIndent),
		"join":        stdlib.JoinFunc,
		"lower":       stdlib.LowerFunc,
		"regex":       stdlib.RegexFunc,
		"regexall":    stdlib.RegexAllFunc,
		"replace":     fixed("Replaces each occurrence of substr, which is a regular expression when written between slashes (\"/a+/\"); then replacement may use $1.", cty.String, replace, text("str"), text("substr"), text("replacement")),
		"split":       stdlib.SplitFunc,
		"startswith":  textTest("Whether the text begins with prefix.", strings.HasPrefix, "prefix"),
		"strcontains": textTest("Whether substr occurs in the text.", strings.Contains, "substr"),
		"strrev":      stdlib.ReverseFunc,
		"substr":      stdlib.SubstrFunc,
		"title":       stdlib.TitleFunc,
		"trim":        stdlib.TrimFunc,
		"trimprefix":  stdlib.TrimPrefixFunc,
		"trimspace":   stdlib.TrimSpaceFunc,
		"trimsuffix":  stdlib.TrimSuffixFunc,
		"upper":       stdlib.UpperFunc,
	}
}

func textTest(doc string, test func(s, part string) bool, part string) function.Function {
	return fixed(doc, cty.Bool, func(args []cty.Value) (cty.Value, error) {
		return cty.BoolVal(test(args[0].AsString(), args[1].AsString())), nil
	}, text("str"), text(part))
}

func replace(args []cty.Value) (cty.Value, error) {
	str, old, repl := args[0].AsString(), args[1].AsString(), args[2].AsString()
	if len(old) < 2 || !strings.HasPrefix(old, "/") || !strings.HasSuffix(old, "/") {
		return cty.StringVal(strings.ReplaceAll(str, old, repl)), nil
	}
	re, err := regexp.Compile(old[1 : len(old)-1])
	if err != nil {
		return cty.NilVal, function.NewArgError(1, fmt.Errorf("bad regular expression: %w", err))
	}
	return cty.StringVal(re.ReplaceAllString(str, repl)), nil
}
