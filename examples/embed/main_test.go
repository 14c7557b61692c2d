package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The program of less than 40 lines makes a vm on a simulated host, and has nothing to do the second time.
func TestEmbeddedEngineAppliesAProject(t *testing.T) {
	dir := t.TempDir()
	files := `
host "lab" { uri = "sim:lab.json" }
vm "web" {
  disk "root" { size = "1GiB" }
}
`
	if err := os.WriteFile(filepath.Join(dir, "main.hcl"), []byte(files), 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := apply(context.Background(), dir); err != nil {
			t.Fatal(err)
		}
	}
	host, err := os.ReadFile(filepath.Join(dir, "lab.json"))
	if err != nil || !strings.Contains(string(host), `"web"`) {
		t.Errorf("the host has %s (%v)", host, err)
	}
	program, err := os.ReadFile("main.go")
	if lines := strings.Count(string(program), "\n"); err != nil || lines >= 40 {
		t.Errorf("the program has %d lines (%v)", lines, err)
	}
}
