package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vmplan.dev/vmplan/config/resource"
)

const lockedProject = `host "lab" { uri = "sim:lab.json" }
image "debian" { source = "https://img.example/debian.qcow2" }
vm "web" {
  image = image.debian
  disk "root" {}
}
`

var (
	oldSum = "sha256:" + strings.Repeat("a", 64)
	newSum = "sha256:" + strings.Repeat("b", 64)
)

// project opens and loads files; those recorded are as an earlier load left them.
func project(t *testing.T, dir string, recorded map[resource.Addr]resource.Resource) (*Project, *Config) {
	t.Helper()
	p, diags := Open(dir, Options{})
	c, more := p.Load(Prior{Lineage: testLineage, Salt: []byte("salt"), Objects: recorded})
	if diags = append(diags, more...); diags.HasErrors() {
		t.Fatal(diags)
	}
	return p, c
}

func theImage(t *testing.T, c *Config) *resource.Image {
	t.Helper()
	img, ok := c.Set.Get(resource.Addr{Kind: resource.KindImage, Name: "debian"}).(*resource.Image)
	if !ok {
		t.Fatal("the image is not among what is wanted")
	}
	return img
}

func objects(c *Config) map[resource.Addr]resource.Resource {
	out := map[resource.Addr]resource.Resource{}
	for a, r := range c.Set.All() {
		out[a] = r
	}
	return out
}

func writeFiles(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPinningMovesNothingAndUpdatingMakesAnotherBase(t *testing.T) {
	dir := t.TempDir()
	writeFiles(t, dir, map[string]string{"main.hcl": lockedProject})
	p, c := project(t, dir, nil)
	first := theImage(t, c)
	p.Lock().Set(first, resource.Pin{Digest: oldSum, Validator: `"v1"`})
	if changed, err := p.Lock().Write(); err != nil || !changed {
		t.Fatalf("the lock was not written: %v %v", changed, err)
	}

	p, pinned := project(t, dir, objects(c))
	if got := theImage(t, pinned); got.File != first.File || got.Revision != "" {
		t.Errorf("pinning moved the base: %s, revision %q; was %s", got.File, got.Revision, first.File)
	}
	pin, ok := p.Lock().Of(first)
	if want := (resource.Pin{Digest: oldSum, Validator: `"v1"`}); !ok || pin != want {
		t.Errorf("the lock says %+v", pin)
	}

	pin.Digest, pin.Revision = newSum, pin.Revision+1
	p.Lock().Set(first, pin)
	if _, err := p.Lock().Write(); err != nil {
		t.Fatal(err)
	}
	_, moved := project(t, dir, objects(pinned))
	second := theImage(t, moved)
	if second.File == first.File || second.Revision == "" {
		t.Errorf("an update made no other base: %s, revision %q", second.File, second.Revision)
	}
	if _, anew := project(t, dir, nil); theImage(t, anew).File != second.File {
		t.Errorf("without what is recorded the base is another one: %s, not %s", theImage(t, anew).File, second.File)
	}

	if err := os.Remove(filepath.Join(dir, LockName)); err != nil {
		t.Fatal(err)
	}
	if _, unlocked := project(t, dir, objects(moved)); theImage(t, unlocked).File != second.File {
		t.Error("removing the lock moved the base")
	}
}

func TestTheLockIsWrittenOnlyWhenItChanges(t *testing.T) {
	dir := t.TempDir()
	writeFiles(t, dir, map[string]string{"main.hcl": lockedProject})
	p, c := project(t, dir, nil)
	if changed, err := p.Lock().Write(); err != nil || changed {
		t.Errorf("an empty lock was written: %v", err)
	}
	for _, source := range []string{"https://b.example/x", "oci://reg/a:1", "https://user:pw@a.example/x?token=t0p"} {
		p.Lock().Set(&resource.Image{Source: source}, resource.Pin{Digest: newSum, Resolved: "oci://reg/a@" + newSum, Revision: 2})
	}
	p.Lock().Set(theImage(t, c), resource.Pin{Digest: oldSum})
	if changed, err := p.Lock().Write(); err != nil || !changed {
		t.Fatalf("%v %v", changed, err)
	}
	text, err := os.ReadFile(filepath.Join(dir, LockName))
	if err != nil {
		t.Fatal(err)
	}
	want := lockHead + `
source "https://b.example/x" {
  digest   = "` + newSum + `"
  resolved = "oci://reg/a@` + newSum + `"
  revision = 2
}

source "https://img.example/debian.qcow2" {
  digest = "` + oldSum + `"
}

source "https://user:xxxxx@a.example/x?…" {
  digest   = "` + newSum + `"
  resolved = "oci://reg/a@` + newSum + `"
  revision = 2
}

source "oci://reg/a:1" {
  digest   = "` + newSum + `"
  resolved = "oci://reg/a@` + newSum + `"
  revision = 2
}
`
	if string(text) != want {
		t.Errorf("the file is\n%s\nnot\n%s", text, want)
	}
	p, _ = project(t, dir, nil)
	if changed, err := p.Lock().Write(); err != nil || changed {
		t.Errorf("a lock that did not change was written (%v)", err)
	}
}

func TestWhatALockDoesNotHold(t *testing.T) {
	dir := t.TempDir()
	writeFiles(t, dir, map[string]string{"main.hcl": `host "lab" { uri = "sim:lab.json" }
image "summed" {
  source   = "https://img.example/a.qcow2"
  checksum = "` + oldSum + `"
}
image "local" { source = "a.qcow2" }
image "url" { source = "file:///a.qcow2" }
image "there" {
  source  = "https://img.example/a.qcow2"
  managed = false
}
image "one" { source = "https://img.example/x?version=1" }
image "two" { source = "https://img.example/x?version=2" }
image "held" {
  source   = "https://img.example/b.qcow2"
  checksum = "https://img.example/SHA256SUMS"
}
`})
	p, diags := Open(dir, Options{})
	c, more := p.Load(Prior{Lineage: testLineage})
	for img := range resource.Of[*resource.Image](c.Set) {
		if got, want := p.Lock().Holds(img), img.Addr.Name == "held"; got != want {
			t.Errorf("%s: a lock holds it: %v, want %v", img.Addr, got, want)
		}
	}
	if text := append(diags, more...).Error(); !strings.Contains(text, "neither is locked") {
		t.Errorf("of what cannot be told apart it says %s", text)
	}
}
