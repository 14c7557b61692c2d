package config

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

// FuzzLoad gives Open and Load the files of an archive: whatever they hold, there is an answer, and no mistake is told
// without a place and a fix. The golden projects are the corpus to start from, besides what is in testdata/fuzz.
func FuzzLoad(f *testing.F) {
	seeds, err := filepath.Glob("testdata/load/*.txtar")
	if err != nil || len(seeds) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, path := range seeds {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			f.Fatal(err)
		}
		archive.Comment = nil
		archive.Files = archive.Files[:len(archive.Files)-1] // what is wanted
		f.Add(txtar.Format(archive))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		for _, file := range txtar.Parse(data).Files {
			name := filepath.Join(dir, filepath.Clean("/"+file.Name))
			if strings.ContainsRune(name, 0) || os.MkdirAll(filepath.Dir(name), 0o755) != nil {
				continue
			}
			if err := os.WriteFile(name, file.Data, 0o644); err != nil {
				continue // a name that is a folder already, or too long
			}
		}
		p, diags := Open(dir, Options{Defaults: testDefaults, Version: "0.1.0", Environ: []string{"VMPLAN_VAR_v=[1]"}})
		c, more := p.Load(Prior{Lineage: testLineage, Salt: []byte("salt")})
		diags = append(diags, more...)
		for _, d := range diags {
			if d.Summary == "" || d.Subject == nil {
				t.Errorf("a mistake without a place: %+v", d)
			}
		}
		if diags.HasErrors() {
			return
		}
		again, diags := p.Load(Prior{Lineage: testLineage, Salt: []byte("salt"), Objects: maps.Collect(c.Set.All())})
		if diags.HasErrors() || setText(again.Set) != setText(c.Set) {
			t.Errorf("once it is recorded, the same files give something else: %s\n%s\n%s", diags.Error(), setText(c.Set), setText(again.Set))
		}
		if _, diags := c.Outputs(nil); diags.HasErrors() {
			t.Errorf("the outputs were right at first, and then not: %s", diags.Error())
		}
		for addr := range c.Set.All() {
			if _, ok := c.Sources.Range(addr, "name"); !ok && addr.Kind != "pool" {
				t.Errorf("%s is nowhere in the files", addr)
			}
		}
	})
}
