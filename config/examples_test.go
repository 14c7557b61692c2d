package config

import (
	"path/filepath"
	"testing"
)

// Every example loads without a word of complaint.
func TestExamplesLoad(t *testing.T) {
	files, err := filepath.Glob("../examples/*/*.hcl")
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	dirs := map[string]bool{}
	for _, file := range files {
		dirs[filepath.Dir(file)] = true
	}
	for _, dir := range sortedKeys(dirs) {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			p, diags := Open(dir, Options{Defaults: testDefaults, Vars: map[string]string{"ssh_key": "ssh-ed25519 AAAA me"}, Version: "0.1.0"})
			c, more := p.Load(Prior{Lineage: "6ba7b811-9dad-11d1-80b4-00c04fd430c8", Salt: []byte("salt")})
			for _, d := range append(diags, more...) {
				t.Errorf("%s", d.Error())
			}
			if c.Set.Len() < 2 {
				t.Errorf("only %d objects", c.Set.Len())
			}
			outs, diags := c.Outputs(nil)
			if diags.HasErrors() {
				t.Errorf("outputs: %s", diags.Error())
			}
			t.Logf("%+v", outs)
		})
	}
}
