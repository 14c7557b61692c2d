package planner

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// writers are the files that may write the fields of each part of an object: what an earlier phase has found or decided is only
// read by later ones. So nothing that makes, links or summarises steps, or refuses them, decides anything.
var writers = map[string][]string{
	"facts": {"collect.go", "moved_blocks.go", "ownership.go", "dependencies.go", "predecessor.go"},
	"decision": {
		"decide.go", "decide_unwanted.go", "compare.go", "predecessor.go", // about one object
		"replace_triggered.go", "propagate_replace.go", "propagate_release.go", "propagate_restart.go", "copy_downtime.go", "postpone_delete.go",
	},
	"comparison":    {"decide.go", "compare.go", "compare_guest.go", "volume_origin.go", "propagate_replace.go", "predecessor.go"},
	"powerDecision": {"decide_power.go"},
	"copyDowntime":  {"copy_downtime.go"},
	"keySteps": {
		"steps.go", "steps_update.go", "protect.go", "build_image.go", "copy_downtime.go", "moved_blocks.go", "predecessor.go",
		"replace_triggered.go", "unfinished_restore.go",
	},
}

// notObjects are files with structs of their own that have fields of the same names.
var notObjects = []string{"explain.go", "hosts.go", "graph.go", "orphans.go"}

func TestPhasesOwnWhatTheyDecide(t *testing.T) {
	fset := token.NewFileSet()
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]*ast.File{}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		if files[name], err = parser.ParseFile(fset, name, nil, 0); err != nil {
			t.Fatal(err)
		}
	}
	part := map[string]string{} // of a field
	for _, f := range files {
		ast.Inspect(f, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok || writers[spec.Name.Name] == nil {
				return true
			}
			for _, field := range spec.Type.(*ast.StructType).Fields.List {
				for _, name := range field.Names {
					part[name.Name] = spec.Name.Name
				}
			}
			return true
		})
	}
	if len(part) < len(writers) {
		t.Fatalf("there are no parts of objects: %v", part)
	}
	for file, f := range files {
		if slices.Contains(notObjects, file) {
			continue
		}
		ast.Inspect(f, func(n ast.Node) bool {
			assign, ok := n.(*ast.AssignStmt)
			if !ok {
				return true
			}
			for _, to := range assign.Lhs {
				sel, ok := to.(*ast.SelectorExpr)
				if !ok || part[sel.Sel.Name] == "" {
					continue
				}
				if owner := part[sel.Sel.Name]; !slices.Contains(writers[owner], file) {
					t.Errorf("%s: writes %s, which is of %s", fset.Position(to.Pos()), sel.Sel.Name, owner)
				}
			}
			return true
		})
	}
}
