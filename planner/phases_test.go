package planner

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"maps"
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
		"steps.go", "steps_object.go", "steps_update.go", "steps_power.go", "steps_delete.go", "protect.go",
		"build_image.go", "copy_downtime.go", "moved_blocks.go", "predecessor.go", "replace_triggered.go", "unfinished_restore.go",
	},
}

// notObjects are files with structs of their own that have fields of the same names.
var notObjects = []string{"explain.go", "hosts.go", "graph.go", "orphans.go"}

// parsed gives the files of the package but for tests, by name.
func parsed(t *testing.T, fset *token.FileSet) map[string]*ast.File {
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
	return files
}

func TestPhasesOwnWhatTheyDecide(t *testing.T) {
	fset := token.NewFileSet()
	files := parsed(t, fset)
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

// TestFilesFormNoCycle holds that whoever reads a file has to know only those below it.
func TestFilesFormNoCycle(t *testing.T) {
	fset := token.NewFileSet()
	files := parsed(t, fset)
	uses := map[string]map[string]string{} // file → file → for the sake of what
	for from, objects := range usedObjects(t, fset, files) {
		for _, o := range objects {
			if to := filepath.Base(fset.Position(o.Pos()).Filename); to != from {
				if uses[from] == nil {
					uses[from] = map[string]string{}
				}
				uses[from][to] = o.Name()
			}
		}
	}
	if len(uses) < len(files)/2 {
		t.Fatalf("only %d of %d files use others: what they use is not found", len(uses), len(files))
	}
	done := map[string]bool{}
	var path []string
	var visit func(string)
	visit = func(file string) {
		if i := slices.Index(path, file); i >= 0 {
			t.Fatalf("files refer to each other in a cycle: %s → %s", strings.Join(path[i:], " → "), file)
		}
		if done[file] {
			return
		}
		done[file] = true
		path = append(path, file)
		for _, to := range slices.Sorted(maps.Keys(uses[file])) {
			visit(to)
		}
		path = path[:len(path)-1]
	}
	for _, file := range slices.Sorted(maps.Keys(files)) {
		visit(file)
	}
}

// usedObjects lists what of the package each file names. Other packages are not looked into, which is fast and enough for that.
func usedObjects(t *testing.T, fset *token.FileSet, files map[string]*ast.File) map[string][]types.Object {
	t.Helper()
	info := &types.Info{Uses: map[*ast.Ident]types.Object{}}
	conf := types.Config{Importer: noPackages{}, Error: func(error) {}}
	pkg, _ := conf.Check("planner", fset, slices.Collect(maps.Values(files)), info)
	out := map[string][]types.Object{}
	for name, o := range info.Uses {
		v, isVar := o.(*types.Var)
		if o.Pkg() == pkg && (!isVar || v.IsField() || v.Parent() == pkg.Scope()) {
			from := filepath.Base(fset.Position(name.Pos()).Filename)
			out[from] = append(out[from], o)
		}
	}
	return out
}

// noPackages imports every package as an empty one.
type noPackages struct{}

func (noPackages) Import(path string) (*types.Package, error) {
	p := types.NewPackage(path, filepath.Base(path))
	p.MarkComplete()
	return p, nil
}
