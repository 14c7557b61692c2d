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
	p, diags := Open(dir, Options{Defaults: testDefaults})
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
	if got := theImage(t, pinned); got.File != first.File || got.Pin == nil || got.Pin.Version() != "" {
		t.Errorf("pinning moved the base: %s, pin %+v; was %s", got.File, got.Pin, first.File)
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
	if second.File == first.File || second.Pin.Version() == "" {
		t.Errorf("an update made no other base: %s, pin %+v", second.File, second.Pin)
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

source "https://xxxxx@a.example/x?…" {
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
	p, diags := Open(dir, Options{Defaults: testDefaults})
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

// URLs are signed anew every day. What a sum or the lock says makes that no change; without them nobody knows.
func TestWhichSignaturesCount(t *testing.T) {
	const signed, file = "https://img.example/a.qcow2?X-Amz-Signature=", "debian-1234abcd.qcow2"
	for _, c := range []struct {
		name, source, rest, locked string
		same                       bool
	}{
		{"unlocked", signed, "", "", false},
		{"locked", signed, "", "https://img.example/a.qcow2?…", true},
		{"with a sum", signed, "checksum = \"" + oldSum + "\"", "", true},
		{"with a file of sums, unlocked", "https://img.example/a.qcow2", "checksum = \"https://img.example/SUMS?sig=", "", false},
		{"with a file of sums, locked", "https://img.example/a.qcow2", "checksum = \"https://img.example/SUMS?sig=", "https://img.example/a.qcow2", true},
		{"the box of a catalogue, locked", "vagrant+https://img.example/a.json?version=", "", "vagrant+https://img.example/a.json?…", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			day := func(number string) {
				line := "source = \"" + c.source
				if strings.HasSuffix(c.source, "=") {
					line += number
				}
				line += "\"\n" + c.rest
				if strings.HasSuffix(c.rest, "=") {
					line += number + "\""
				}
				writeFiles(t, dir, map[string]string{"main.hcl": "host \"lab\" { uri = \"sim:lab.json\" }\nimage \"debian\" {\n" + line + "\n}\n"})
			}
			if c.locked != "" {
				writeFiles(t, dir, map[string]string{LockName: "source \"" + c.locked + "\" {\n  digest = \"" + oldSum + "\"\n}\n"})
			}
			day("1")
			_, first := project(t, dir, nil)
			was := theImage(t, first)
			was.File = file // as another version called it
			day("2")
			_, second := project(t, dir, objects(first))
			is := theImage(t, second)
			if same := is.File == file && len(resource.Diff(was, is)) == 0; same != c.same {
				t.Errorf("another signature makes %+v, its file %s", resource.Diff(was, is), is.File)
			}
			if !strings.HasSuffix(is.Location()+is.ChecksumLocation(), "2") && !isSum(is.Checksum) {
				t.Errorf("it is got from %s and %s", is.Location(), is.ChecksumLocation())
			}
		})
	}
}

// A state and a lock of an older version, which had names and tokens in them, stand for what they stood for.
func TestCredentialsThatOlderVersionsWroteDown(t *testing.T) {
	dir := t.TempDir()
	const source, boxes = "https://t0ken@img.example/a.qcow2?sig=t0ken", "vagrant+https://me:t0ken@img.example/a.json"
	writeFiles(t, dir, map[string]string{
		"main.hcl": "host \"lab\" { uri = \"sim:lab.json\" }\nimage \"debian\" { source = \"" + source + "\" }\nimage \"box\" { source = \"" + boxes + "\" }\n",
		LockName: "source \"https://t0ken@img.example/a.qcow2?…\" {\n  digest = \"" + oldSum + "\"\n  revision = 2\n}\n" +
			"source \"vagrant+https://me:xxxxx@img.example/a.json\" {\n  digest = \"" + newSum + "\"\n  resolved = \"" + boxes + "?token=t0ken&version=1\"\n}\n",
	})
	p, c := project(t, dir, nil)
	img := theImage(t, c)
	was := resource.Clone(img)
	was.Source, was.FullSource, was.File = source, resource.Secret{}, "debian-1234abcd.qcow2"
	resource.SealLocations(was, []byte("salt")) // as states are read
	_, again := project(t, dir, map[resource.Addr]resource.Resource{img.Addr: was})
	if got := theImage(t, again); got.File != was.File || len(resource.Diff(was, got)) > 0 {
		t.Errorf("the recorded image changes: %+v", resource.Diff(was, got))
	}
	if pin, ok := p.Lock().Of(img); !ok || pin.Revision != 2 {
		t.Errorf("the lock says of it %+v", pin)
	}
	if changed, err := p.Lock().Write(); err != nil || !changed {
		t.Errorf("the lock was not written anew: %v", err)
	}
	text, err := os.ReadFile(filepath.Join(dir, LockName))
	if err != nil || strings.Contains(string(text), "t0ken") || strings.Contains(string(text), "resolved") {
		t.Errorf("%s %v", text, err)
	}
}
