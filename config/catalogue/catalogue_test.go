package catalogue

import (
	"errors"
	"net/url"
	"path"
	"slices"
	"strings"
	"testing"
)

// The names that everybody has lead to https, with sums, and none of them is ambiguous.
func TestTheBuiltInNamesHold(t *testing.T) {
	c := New()
	seen := map[string]string{}
	for _, name := range c.Names() {
		if !IsName(name) {
			t.Errorf("%q is no name", name)
		}
		if _, err := c.Find(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		img, ok := c.Image(name)
		if !ok {
			continue // an alias
		}
		if img.Title == "" {
			t.Errorf("%s has no title", name)
		}
		for arch, b := range img.Builds {
			for _, location := range []string{b.URL, b.Checksum} {
				if u, err := url.Parse(location); err != nil || u.Scheme != "https" || u.Host == "" || path.Ext(u.Path) == "" && !strings.Contains(strings.ToUpper(path.Base(u.Path)), "SUM") {
					t.Errorf("%s for %s: %q is no https URL of a file", name, arch, location)
				}
			}
			if other := seen[b.URL]; other != "" {
				t.Errorf("%s and %s are the same file", name, other)
			}
			seen[b.URL] = name
		}
	}
	for _, distribution := range []string{"debian", "ubuntu", "fedora", "centos", "rocky", "alma", "opensuse", "arch", "alpine", "freebsd"} {
		if !slices.ContainsFunc(c.Names(), func(n string) bool { return strings.HasPrefix(n, distribution+":") }) {
			t.Errorf("there is no image of %s", distribution)
		}
	}
}

func TestAProjectsNamesCountMore(t *testing.T) {
	c := New()
	err := c.Add([]byte(`{"images": {"debian:12": {"aliases": ["debian:13"], "builds": {"riscv64": {"url": "file:///d.qcow2"}}}}}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"debian:12@riscv64", "debian:13@riscv64", "debian:bookworm@riscv64"} {
		if b, err := c.Find(name); err != nil || b.URL != "file:///d.qcow2" {
			t.Errorf("%s is %+v (%v)", name, b, err)
		}
	}
	var none *NoBuildError
	if _, err := c.Find("debian:12"); !errors.As(err, &none) || !slices.Equal(none.Archs, []string{"riscv64"}) {
		t.Errorf("of an architecture that is not there it says %v", err)
	}
	var unknown *UnknownError
	if _, err := c.Find("debian:99"); !errors.As(err, &unknown) {
		t.Errorf("an unknown name gives %v", err)
	}
}

func TestFilesThatAreNoCatalogueAddNothing(t *testing.T) {
	for _, text := range []string{
		``, `[]`, `{"images": {}} x`, `{"images": {"a:1": {"builds": {"x86_64": {"url": "https://x/y"}}, "typo": 1}}}`,
		`{"images": {"a": {"builds": {"x86_64": {"url": "https://x/y"}}}}}`, `{"images": {"a:1": {"builds": {}}}}`,
		`{"images": {"a:1": {"builds": {"x86_64": {"url": "y"}}}}}`, `{"images": {"a:1": {"builds": {"X/86": {"url": "https://x/y"}}}}}`,
		`{"images": {"a:1": {"aliases": ["b"], "builds": {"x86_64": {"url": "https://x/y"}}}}}`,
	} {
		c := New()
		if err := c.Add([]byte(text)); err == nil {
			t.Errorf("%s was taken", text)
		}
		if _, err := c.Find("a:1"); err == nil {
			t.Errorf("%s: part of it was taken", text)
		}
	}
}

func TestWhatIsAName(t *testing.T) {
	for source, want := range map[string]bool{
		"debian:12": true, "debian:12@aarch64": true, "my-lab:2026.1_a": true,
		"debian": false, "debian.raw": false, "./debian:12": false, "a/b:1": false, "https://x:1": false, "Debian:12": false,
		"debian:": false, ":12": false, "debian:12@": false, "debian:12@a@b": false, "c:\\x.raw": false,
	} {
		if IsName(source) != want {
			t.Errorf("%q is a name: %v", source, !want)
		}
	}
}
