package cli

import (
	"strings"

	"github.com/spf13/pflag"
)

// notApplied are the flags of plan that apply does not need.
var notApplied = map[string]bool{"out": true, "format": true, "json": true, "detailed-exitcode": true, "full": true, "no-color": true, "debug": true}

// applyCommandLine is what to type to have carried out what plan was asked for with these arguments and flags. Values of
// variables are left out: they may be secrets.
func applyCommandLine(args []string, flags *pflag.FlagSet) string {
	words := append([]string{"vmplan", "apply"}, args...)
	flags.Visit(func(f *pflag.Flag) {
		values := []string{f.Value.String()}
		if list, ok := f.Value.(pflag.SliceValue); ok {
			values = list.GetSlice()
		}
		for _, v := range values {
			if name, _, ok := strings.Cut(v, "="); ok && f.Name == "var" {
				v = name + "=…"
			}
			switch {
			case notApplied[f.Name]:
			case f.Value.Type() == "bool" && v == "true":
				words = append(words, "--"+f.Name)
			default:
				words = append(words, "--"+f.Name, shellQuote(v))
			}
		}
	})
	return strings.Join(words, " ")
}

// shellQuote quotes a word where a shell would not take it as it is.
func shellQuote(word string) string {
	if word != "" && strings.Trim(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/=:,@…") == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
