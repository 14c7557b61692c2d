package main

import (
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the plan in README.md")

// TestReadmeShowsTheTruth plans the example of README.md, on a simulated host and with an image server on loopback in place
// of the real ones, and compares the plan with the one README.md shows below it.
func TestReadmeShowsTheTruth(t *testing.T) {
	const imageHost = "https://cloud.debian.org"
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	parts := regexp.MustCompile("(?s)```hcl project\n(.*?)```\n(.*?)```text\n(.*?)```").FindSubmatch(readme)
	if parts == nil {
		t.Fatal("README.md has no ```hcl project block with a ```text block below it")
	}
	example, shown := string(parts[1]), string(parts[3])

	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "SUMS") {
			fmt.Fprintf(w, "%0128d  debian-12-genericcloud-amd64.qcow2\n", 0)
			return
		}
		w.Header().Set("Content-Length", "347996160")
	}))
	defer server.Close()
	dir := t.TempDir()
	project := strings.NewReplacer("qemu:///system", "sim:lab.json", imageHost, server.URL).Replace(example)
	if err := os.WriteFile(filepath.Join(dir, "main.hcl"), []byte(project), 0o600); err != nil {
		t.Fatal(err)
	}
	identity := `{"lineage":"7f5d3a52-6a0e-4a4b-9d37-0d4a3c9d2f11","salt":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}`
	if err := os.MkdirAll(filepath.Join(dir, ".vmplan"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, ".vmplan", "identity.json"), []byte(identity), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("vmplan", "plan", "--var", "ssh_key=ssh-ed25519 AAAA me")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "NO_COLOR=1", "VMPLAN_CACHE="+t.TempDir())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("plan: %v\n%s", err, out)
	}
	plan := strings.ReplaceAll(string(out), server.URL, imageHost)
	if plan == shown {
		return
	}
	if !*update {
		t.Fatalf("README.md shows another plan than (-update rewrites it):\n%s", plan)
	}
	if err := os.WriteFile("../../README.md", []byte(strings.Replace(string(readme), shown, plan, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
}
