package config

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/rogpeppe/go-internal/txtar"

	"vmplan.dev/vmplan/config/resource"
)

var update = flag.Bool("update", false, "write what the golden files want anew")

const (
	testLineage = "6ba7b811-9dad-11d1-80b4-00c04fd430c8"
	wantFile    = "want"
	argsFile    = "args"

	beforeFolder = "before"
)

// Each archive holds the files of a project and, last, what loading it must give: the diagnostics with their ranges or, when
// there are none, all objects and outputs. A file args holds what the command line adds, a line each: "var NAME=VALUE",
// "var-file NAME", "env NAME=VALUE", "version V", "recorded VM NIC ADDRESS", "live VM NIC ADDRESS". What is in the folder
// before was applied earlier and is recorded.
func TestLoad(t *testing.T) {
	archives, err := filepath.Glob("testdata/load/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatalf("no test data: %v", err)
	}
	for _, path := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			file, err := filepath.Abs(path)
			if err != nil {
				t.Fatal(err)
			}
			got := loadArchive(t, archive)
			if cwd, err := os.Getwd(); err == nil {
				got = strings.ReplaceAll(got, cwd, "DIR")
			}
			want := ""
			kept := archive.Files[:0]
			for _, f := range archive.Files {
				if f.Name == wantFile {
					want = string(f.Data)
				} else {
					kept = append(kept, f)
				}
			}
			if got == want {
				return
			}
			if *update {
				archive.Files = append(kept, txtar.File{Name: wantFile, Data: []byte(got)})
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			t.Errorf("got:\n%s\nwant:\n%s", got, want)
		})
	}
}

// loadArchive writes the files to a folder of their own, and loads them there.
func loadArchive(t *testing.T, archive *txtar.Archive) string {
	t.Helper()
	t.Chdir(t.TempDir())
	a := arguments{prior: Prior{Lineage: testLineage, Salt: []byte("salt")}, opts: Options{Defaults: testDefaults, ExampleURI: "qemu:///system", Version: "0.1.0", Schemes: []string{"file", "http", "https"}}}
	before := false
	for _, f := range archive.Files {
		switch f.Name {
		case wantFile:
		case argsFile:
			a.read(t, string(f.Data))
		default:
			before = before || strings.HasPrefix(f.Name, beforeFolder+"/")
			if err := os.MkdirAll(filepath.Dir(f.Name), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(f.Name, f.Data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	if before {
		p, diags := Open(beforeFolder, a.opts)
		c, more := p.Load(a.prior)
		if diags = append(diags, more...); diags.HasErrors() {
			t.Fatal(diags)
		}
		a.prior.Objects = maps.Collect(c.Set.All())
	}
	p, diags := Open(".", a.opts)
	c, more := p.Load(a.prior)
	diags = append(diags, more...)
	var b strings.Builder
	writeDiagnostics(&b, diags)
	if diags.HasErrors() {
		return b.String()
	}
	b.WriteString(setText(c.Set))
	a.prior.Objects = maps.Collect(c.Set.All())
	again, more := p.Load(a.prior)
	if got := setText(again.Set); more.HasErrors() || got != setText(c.Set) || len(again.Moves) > 0 {
		t.Errorf("once this is recorded, the same files give something else: %v %v\n%s", more, again.Moves, got)
	}
	for _, m := range c.Moves {
		fmt.Fprintf(&b, "moved %s to %s\n", m.From, m.To)
	}
	for _, r := range c.Removed {
		fmt.Fprintf(&b, "removed %s cascade %v\n", r.From, r.Cascade)
	}
	for _, i := range c.Imports {
		fmt.Fprintf(&b, "import %s as %s\n", i.To, i.ID)
	}
	outs, diags := c.Outputs(a.live)
	writeDiagnostics(&b, diags)
	for _, o := range outs {
		fmt.Fprintf(&b, "output %s: %s = %v", o.Name, o.Type, o.Value)
		if o.Sensitive {
			b.WriteString(" sensitive")
		}
		if !o.Known {
			b.WriteString(" not known")
		}
		b.WriteString("\n")
	}
	return b.String()
}

func setText(set *resource.Set) string {
	var b strings.Builder
	for addr, r := range set.All() {
		fmt.Fprintf(&b, "%s: %s\n", addr, r.Kind())
		for _, f := range resource.Fields(r) {
			fmt.Fprintf(&b, "  %s = %s\n", f.Path, valueText(f.Value))
		}
	}
	return b.String()
}

// valueText shows secrets in clear, unlike all that users see.
func valueText(v any) string {
	if s, ok := v.(resource.Secret); ok {
		text, _ := s.Clear()
		return "\n    " + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n    ")
	}
	return resource.Format(v)
}

func writeDiagnostics(b *strings.Builder, diags hcl.Diagnostics) {
	for _, d := range diags {
		kind := "error"
		if d.Severity == hcl.DiagWarning {
			kind = "warning"
		}
		where := "nowhere"
		if d.Subject != nil {
			where = d.Subject.String()
		}
		fmt.Fprintf(b, "%s: %s: %s\n  %s\n", where, kind, d.Summary, strings.ReplaceAll(d.Detail, "\n", "\n  "))
	}
}

type arguments struct {
	opts  Options
	prior Prior
	live  map[resource.Addr]map[string][]string
}

func (a *arguments) read(t *testing.T, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch word {
		case "var":
			name, value, _ := strings.Cut(rest, "=")
			if a.opts.Vars == nil {
				a.opts.Vars = map[string]string{}
			}
			a.opts.Vars[name] = value
		case "var-file":
			a.opts.VarFiles = append(a.opts.VarFiles, rest)
		case "env":
			a.opts.Environ = append(a.opts.Environ, rest)
		case "version":
			a.opts.Version = rest
		case "recorded", "live":
			f := strings.Fields(rest)
			vm, err := resource.ParseAddr(f[0])
			if err != nil {
				t.Fatal(err)
			}
			if word == "live" {
				a.live = map[resource.Addr]map[string][]string{vm: {f[1]: f[2:]}}
				continue
			}
			if a.prior.Objects == nil {
				a.prior.Objects = map[resource.Addr]resource.Resource{}
			}
			a.prior.Objects[vm] = &resource.VM{NICs: []resource.NIC{{Label: f[1], Address: f[2]}}}
		default:
			t.Fatalf("args: unknown word %q", word)
		}
	}
}
