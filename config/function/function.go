// Package function owns the functions that expressions in project files can call. Their names and meanings are Terraform's,
// so that what people know (and have written) carries over.
//
// Every function is pure, given the project's files: the same project must give the same plan, byte for byte. So there is
// no timestamp(), uuid() or bcrypt(); calling one is an error that says what to write instead. Nothing here may reach the
// network, run a program or read the environment (pathexpand reads the home folder's name, no more).
package function

import (
	"errors"
	"maps"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// Group is a family of functions, as the reference shows them.
type Group struct {
	Title     string
	Functions map[string]function.Function
}

// Table gives all functions by name, for an evaluation context. Relative paths given to the functions that read files are
// relative to baseDir, the folder of the module that calls them.
func Table(baseDir string) map[string]function.Function { return table(dir{path: baseDir}) }

// Closed is Table for files that may come from anybody: its functions read nothing outside of baseDir, and tell nothing of
// where that is.
func Closed(baseDir string) map[string]function.Function {
	return table(dir{baseDir, appliance(baseDir)})
}

func appliance(folder string) limits { return limits{folder, "the appliance's folder"} }

// Confined is Table for the module in baseDir of a project that is not trusted: its functions read nothing outside of the
// project's folder.
func Confined(project, baseDir string) map[string]function.Function {
	return table(dir{baseDir, limits{project, "the project's folder"}})
}

func table(d dir) map[string]function.Function {
	table := map[string]function.Function{}
	for _, g := range groups(d) {
		maps.Copy(table, g.Functions)
	}
	for name, why := range Refused {
		table[name] = refuse(name + "() is left out, because the same files must always give the same plan: " + why)
	}
	return table
}

// Groups gives the functions of Table by family, without the refused ones.
func Groups(baseDir string) []Group { return groups(dir{path: baseDir}) }

func groups(d dir) []Group {
	return []Group{
		{"Numbers", numbers()},
		{"Texts", texts()},
		{"Collections", collections()},
		{"Encodings", encodings()},
		{"Files", files(d)},
		{"Dates", dates()},
		{"Hashes", hashes()},
		{"Networks", networks()},
		{"Types", conversions()},
	}
}

// Refused are Terraform's functions that give another value at each call, with what to do instead.
var Refused = map[string]string{
	"timestamp":     "give the time as a variable",
	"plantimestamp": "give the time as a variable",
	"uuid":          `use uuidv5("dns", NAME), which gives the same UUID each time`,
	"bcrypt":        "it draws a new salt each time: make the hash once and give it as a sensitive variable",
}

// refuse makes a function whose every call is the error why.
func refuse(why string) function.Function {
	return function.New(&function.Spec{
		VarParam: &function.Parameter{
			Name: "args", Type: cty.DynamicPseudoType,
			AllowNull: true, AllowUnknown: true, AllowDynamicType: true, AllowMarked: true,
		},
		Type: func([]cty.Value) (cty.Type, error) {
			return cty.NilType, errors.New(why)
		},
		Impl: func([]cty.Value, cty.Type) (cty.Value, error) {
			panic("function: the call was refused by its type")
		},
	})
}
