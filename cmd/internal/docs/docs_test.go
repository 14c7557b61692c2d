package main

import (
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vmplan.dev/vmplan/config"
	"vmplan.dev/vmplan/config/function"
	"vmplan.dev/vmplan/config/resource"
)

var update = flag.Bool("update", false, "write the pages")

const folder = "../../../docs/reference"

func TestTheCommittedPagesAreCurrent(t *testing.T) {
	if *update {
		if err := write(folder); err != nil {
			t.Fatal(err)
		}
	}
	pages, err := render()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range pages {
		got, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil || string(got) != want {
			t.Errorf("docs/reference/%s is not what the language is now (%v): run make docs", name, err)
		}
	}
	committed, err := filepath.Glob(filepath.Join(folder, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range committed {
		if _, ok := pages[filepath.Base(path)]; !ok {
			t.Errorf("%s is of nothing that the language has", path)
		}
	}
}

// Every attribute and block that can be written is on its page.
func TestPagesSayEverything(t *testing.T) {
	pages, err := render()
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range config.BlockTypes() {
		text := pages[string(b.Kind)+".md"]
		for _, a := range resource.SchemaOf(b.Type).Attrs {
			want := "`" + a.Name + "`"
			switch {
			case slices.Contains(b.Barred, a.Name):
				if strings.Contains(text, "| "+want) {
					t.Errorf("%s: %s cannot be written, but is on the page", b.Kind, a.Name)
				}
				continue
			case a.Block != resource.NotBlock && !a.Computed:
				want = "\n## " + a.Name
			case a.Block == resource.SingleBlock:
				want = "`" + a.Name + "."
			case a.Block != resource.NotBlock:
				want = "`" + a.Name + ".LABEL."
			}
			if !strings.Contains(text, want) {
				t.Errorf("%s: %s is not on the page", b.Kind, a.Name)
			}
			if a.Doc == "" {
				t.Errorf("%s: %s has no doc", b.Kind, a.Name)
			}
		}
	}
	for name := range function.Table(".") {
		if !strings.Contains(pages["functions.md"], "`"+name) {
			t.Errorf("function %s is not on the page", name)
		}
	}
}

func TestTheExamplesAreOneProjectThatLoads(t *testing.T) {
	dir := t.TempDir()
	for _, kind := range slices.Sorted(maps.Keys(intros)) {
		text := intros[kind].example
		if formatted := string(config.Format([]byte(text))); formatted != text {
			t.Errorf("%s: fmt would write\n%s", kind, formatted)
		}
		writeFile(t, filepath.Join(dir, string(kind)+".hcl"), text)
	}
	for name, p := range plains {
		if formatted := string(config.Format([]byte(p.example))); formatted != p.example {
			t.Errorf("%s: fmt would write\n%s", name, formatted)
		}
		writeFile(t, filepath.Join(dir, name+".hcl"), p.example)
		if p.beside != "" {
			writeFile(t, filepath.Join(dir, p.beside), p.besideText)
		}
	}
	p, diags := config.Open(dir, config.Options{Version: "0.1.0", Defaults: func(string) resource.HostDefaults {
		return resource.HostDefaults{PoolName: "default", PoolPath: "/srv/vms", DiskFormat: "qcow2"}
	}})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	c, diags := p.Load(config.Prior{Lineage: "6d0ac2f8-27a0-4f0c-9f1e-5a8d5b0c1f11", Salt: make([]byte, 32)})
	if len(diags) > 0 {
		t.Fatal(diags)
	}
	if c.Set.Len() < 6 {
		t.Errorf("%d objects", c.Set.Len())
	}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
