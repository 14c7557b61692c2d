package vagrant_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	nethttp "net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/source"
	"vmplan.dev/vmplan/drivers/source/file"
	"vmplan.dev/vmplan/drivers/source/http"
	"vmplan.dev/vmplan/drivers/source/vagrant"
)

// shop is a web server with boxes and a catalogue.
type shop struct {
	t   *testing.T
	dir string
	url string

	mu     sync.Mutex
	asked  []string
	breaks int // how many of the next boxes break off in the middle
}

func newShop(t *testing.T) *shop {
	t.Helper()
	s := &shop{t: t, dir: t.TempDir()}
	web := httptest.NewServer(s)
	t.Cleanup(web.Close)
	t.Cleanup(web.CloseClientConnections)
	s.url = web.URL
	return s
}

func (s *shop) ServeHTTP(w nethttp.ResponseWriter, r *nethttp.Request) {
	s.mu.Lock()
	s.asked = append(s.asked, strings.TrimSpace(r.Method+" "+r.URL.Path+" "+r.Header.Get("Range")))
	breaks := s.breaks > 0 && strings.HasSuffix(r.URL.Path, ".box")
	if breaks {
		s.breaks--
	}
	s.mu.Unlock()
	if !breaks {
		nethttp.ServeFile(w, r, filepath.Join(s.dir, r.URL.Path))
		return
	}
	content, err := os.ReadFile(filepath.Join(s.dir, r.URL.Path))
	if err != nil {
		nethttp.NotFound(w, r)
		return
	}
	info, err := os.Stat(filepath.Join(s.dir, r.URL.Path))
	if err == nil {
		w.Header().Set("Last-Modified", info.ModTime().UTC().Format(nethttp.TimeFormat))
	}
	w.Header().Set("Content-Length", fmt.Sprint(len(content)))
	_, _ = w.Write(content[:len(content)/2])
	panic(nethttp.ErrAbortHandler)
}

// box makes a box for libvirt whose disk is filled with a letter, with tar, and gives its sha256.
func (s *shop) box(name string, letter byte) string {
	s.t.Helper()
	work := s.t.TempDir()
	for file, content := range map[string]string{
		"metadata.json": `{"provider":"libvirt","format":"raw"}`, "box.img": strings.Repeat(string(letter), 1<<20),
	} {
		if err := os.WriteFile(filepath.Join(work, file), []byte(content), 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
	path := filepath.Join(s.dir, name)
	if out, err := exec.Command("tar", "-C", work, "-cf", path, "metadata.json", "box.img").CombinedOutput(); err != nil {
		s.t.Fatalf("tar: %v: %s", err, out)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		s.t.Fatal(err)
	}
	return fmt.Sprintf("%x", sha256.Sum256(content))
}

type offer struct{ version, provider, architecture, url, kind, sum string }

// publish writes the catalogue.
func (s *shop) publish(offers ...offer) {
	s.t.Helper()
	type provider map[string]any
	type version struct {
		Version   string     `json:"version"`
		Status    string     `json:"status"`
		Providers []provider `json:"providers"`
	}
	var versions []version
	for _, o := range offers {
		p := provider{"name": o.provider, "url": o.url, "checksum": o.sum, "checksum_type": o.kind}
		if o.architecture != "" {
			p["architecture"] = o.architecture
		}
		status := "active"
		if strings.HasPrefix(o.version, "99") {
			status = "revoked"
		}
		versions = append(versions, version{o.version, status, []provider{p}})
	}
	text, err := json.Marshal(map[string]any{"name": "shop/debian", "versions": versions})
	if err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.dir, "box.json"), text, 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// fetch gets an image as an apply would, in a cache of its own.
func (s *shop) fetch(location string) (drivers.Bits, error) {
	s.t.Helper()
	web := http.New(http.Options{})
	sources := source.Registry{"http": web, "https": web, "file": file.New()}
	for _, scheme := range vagrant.Schemes {
		sources[scheme] = vagrant.New(sources)
	}
	store, err := source.NewStore(source.Options{Sources: sources, CacheDir: s.t.TempDir(), Dir: s.dir})
	if err != nil {
		s.t.Fatal(err)
	}
	img := &resource.Image{Source: location}
	img.Addr = resource.Addr{Kind: resource.KindImage, Name: "box"}
	return store.Fetch(s.t.Context(), img, nil)
}

// mustHave fetches, and looks that the disk is the one of the letter.
func (s *shop) mustHave(location string, letter byte) drivers.Bits {
	s.t.Helper()
	bits, err := s.fetch(location)
	if err != nil {
		s.t.Fatalf("%s: %v", location, err)
	}
	content, err := os.ReadFile(bits.Path)
	if err != nil {
		s.t.Fatal(err)
	}
	if len(content) != 1<<20 || content[0] != letter || content[len(content)-1] != letter {
		s.t.Errorf("%s: got %d bytes of %q, want %q", location, len(content), content[:1], letter)
	}
	return bits
}

func TestACatalogueLeadsToTheBoxThatIsWanted(t *testing.T) {
	s := newShop(t)
	s.publish(
		offer{"1.9.0", "libvirt", "", s.url + "/old.box", "sha256", s.box("old.box", 'o')},
		offer{"1.10.0", "libvirt", "amd64", "new.box", "SHA256", strings.ToUpper(s.box("new.box", 'n'))},
		offer{"1.10.0", "libvirt", "arm64", "arm.box", "sha256", s.box("arm.box", 'a')},
		offer{"1.11.0", "hyperv", "amd64", "hyperv.box", "sha256", s.box("hyperv.box", 'h')},
		offer{"1.2.0", "virtualbox", "", "virtualbox.box", "md5", "x"},
		offer{"99.0.0", "libvirt", "", "revoked.box", "sha256", s.box("revoked.box", 'r')},
	)
	catalogue := "vagrant+" + s.url + "/box.json"
	bits := s.mustHave(catalogue, 'n')
	if want := catalogue + "?architecture=amd64&provider=libvirt&version=1.10.0"; bits.Pin.Resolved != want {
		t.Errorf("resolved to %q, want %q", bits.Pin.Resolved, want)
	}
	s.mustHave(bits.Pin.Resolved, 'n')
	s.mustHave(catalogue+"?version=1.9.0", 'o')
	s.mustHave(catalogue+"?architecture=arm64", 'a')
	s.mustHave(catalogue+"?version=99.0.0", 'r')
	s.mustHave("vagrant+file://"+s.dir+"/box.json", 'n')
	for query, want := range map[string]string{
		"?version=3.0":                       `it has no version "3.0"; the newest is 99.0.0`,
		"?provider=hyperv":                   "no version has a box for hyperv (amd64); there are: hyperv (amd64), libvirt,",
		"?architecture=s390x":                "no version has a box for libvirt, qemu, virtualbox (s390x)",
		"?provider=virtualbox&version=1.2.0": "404",
	} {
		if _, err := s.fetch(catalogue + query); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", query, err, want)
		}
	}
}

func TestABoxThatBreaksOffIsContinued(t *testing.T) {
	s := newShop(t)
	s.publish(offer{"1.0.0", "libvirt", "", "x.box", "sha256", s.box("x.box", 'x')})
	s.breaks = 1
	s.mustHave("vagrant+"+s.url+"/box.json", 'x')
	if got := strings.Join(s.asked, ", "); !strings.HasPrefix(got, "GET /box.json, GET /x.box, GET /box.json, GET /x.box bytes=") {
		t.Errorf("asked %s: want the rest of the box", got)
	}
}

func TestACatalogueIsNotTrusted(t *testing.T) {
	s := newShop(t)
	sum := s.box("x.box", 'x')
	for want, o := range map[string]offer{
		"wrong checksum: the source promised sha256:":     {url: "x.box", kind: "sha256", sum: strings.Repeat("0", 64)},
		"the source promises the digest":                  {url: "x.box", kind: "sha256", sum: "abc"},
		"may not send anyone":                             {url: "file:///etc/shadow", kind: "sha256", sum: sum},
		"file://, where a catalogue from http:// may not": {url: "file://" + s.dir + "/x.box", kind: "sha256", sum: sum},
		"the box is at no URL":                            {url: "http://[", kind: "sha256", sum: sum},
		"the box of version 1.0.0 has no URL":             {kind: "sha256", sum: sum},
		"ftp://, where a catalogue from http:// may not":  {url: "ftp://h/x.box", kind: "sha256", sum: sum},
	} {
		o.version, o.provider = "1.0.0", "libvirt"
		s.publish(o)
		if _, err := s.fetch("vagrant+" + s.url + "/box.json"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	for text, want := range map[string]string{"<html>": "it cannot be read", `{"versions":[]}`: "it lists no versions"} {
		if err := os.WriteFile(filepath.Join(s.dir, "box.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := s.fetch("vagrant+" + s.url + "/box.json"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// TestATransportIsNeverWeakerThanTheCatalogues looks at what cannot be served here: a catalogue over https.
func TestATransportIsNeverWeakerThanTheCatalogues(t *testing.T) {
	for _, c := range []struct {
		to     string
		digest bool
		ok     bool
	}{{"x.box", false, true}, {"https://cdn/x.box", false, true}, {"http://cdn/x.box", false, false}, {"http://cdn/x.box", true, true}, {"file:///x", true, false}} {
		_, err := vagrant.Follow("https://boxes/box.json", c.to, c.digest)
		if (err == nil) != c.ok {
			t.Errorf("%s (with a digest: %v): error %v", c.to, c.digest, err)
		}
	}
}

// FuzzCatalogue looks that whatever is chosen stands in the catalogue, and that no text crashes.
func FuzzCatalogue(f *testing.F) {
	f.Add([]byte(`{"versions":[{"version":"1.0","providers":[{"name":"libvirt","url":"x.box","checksum":"00","checksum_type":"sha256"}]}]}`), "1.0")
	f.Add([]byte(`{"versions":[{"version":"x","status":"active","providers":[{"name":"qemu","architecture":"arm64"}]}]}`), "")
	f.Fuzz(func(t *testing.T, text []byte, version string) {
		found, digest, err := vagrant.Choose(text, version)
		if err != nil {
			return
		}
		if version != "" && found != version {
			t.Errorf("chose version %q, not %q", found, version)
		}
		if digest != "" && !strings.HasPrefix(digest, "sha256:") && !strings.HasPrefix(digest, "sha512:") {
			t.Errorf("digest %q", digest)
		}
	})
}
