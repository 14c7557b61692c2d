package oci_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	specs "github.com/opencontainers/image-spec/specs-go/v1"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/source"
	"vmplan.dev/vmplan/drivers/source/oci"
	"vmplan.dev/vmplan/drivers/source/oci/ocitest"
)

// bits makes a raw disk of n bytes without any order in them.
func bits(n int, seed string) []byte {
	b := make([]byte, 0, n+sha256.Size)
	for block := sha256.Sum256([]byte(seed)); len(b) < n; block = sha256.Sum256(block[:]) {
		b = append(b, block[:]...)
	}
	return b[:n]
}

// user is somebody with an environment and a cache of their own.
type user struct {
	t       *testing.T
	cache   string
	environ map[string]string
	said    *bytes.Buffer // the debug log
}

func newUser(t *testing.T) *user {
	home := t.TempDir()
	return &user{t: t, cache: filepath.Join(home, "cache"), environ: map[string]string{"HOME": home}, said: &bytes.Buffer{}}
}

func (u *user) source() *oci.Source {
	return oci.New(oci.Options{IdleTimeout: 2 * time.Second, Getenv: func(name string) string { return u.environ[name] }})
}

// get fetches an image as a plan would.
func (u *user) get(location string) (drivers.Bits, error) {
	return u.fetch(u.t.Context(), location, nil)
}

func (u *user) fetch(ctx context.Context, location string, report func(drivers.Progress)) (drivers.Bits, error) {
	src := u.source()
	store, err := source.NewStore(source.Options{
		Sources:  source.Registry{oci.Scheme: src, oci.SchemePlain: src},
		CacheDir: u.cache, Dir: u.t.TempDir(), Log: slog.New(slog.NewTextHandler(u.said, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		u.t.Fatal(err)
	}
	img := &resource.Image{Source: location}
	img.Addr = resource.Addr{Kind: resource.KindImage, Name: "debian"}
	return store.Fetch(ctx, img, report)
}

func (u *user) mustGet(location string, want []byte) drivers.Bits {
	u.t.Helper()
	got, err := u.get(location)
	if err != nil {
		u.t.Fatal(err)
	}
	text, err := os.ReadFile(got.Path)
	if err != nil {
		u.t.Fatal(err)
	}
	if !bytes.Equal(text, want) {
		u.t.Fatalf("%s: %d bytes came, which are not the %d that were pushed", location, len(text), len(want))
	}
	return got
}

// mustNotGet wants an error with each of the texts.
func (u *user) mustNotGet(location string, texts ...string) {
	u.t.Helper()
	got, err := u.get(location)
	if err == nil {
		u.t.Fatalf("%s: no error, but %+v", location, got)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			u.t.Errorf("error %q lacks %q", err, text)
		}
	}
}

func TestATagIsPinnedByWhatItNamesNow(t *testing.T) {
	reg := ocitest.Start(t, ocitest.Options{})
	old, young := bits(1<<20, "old"), bits(1<<20, "young")
	at := "oci://" + reg.Host + "/files/disk"
	first := reg.Artifact(t, "files/disk", "stable", map[string][]byte{"disk.raw": old})

	u := newUser(t)
	got := u.mustGet(at+":stable", old)
	if want := at + "@" + first.Digest.String(); got.Pin.Resolved != want {
		t.Errorf("resolved to %q, want %q", got.Pin.Resolved, want)
	}
	reg.Artifact(t, "files/disk", "stable", map[string][]byte{"disk.raw": young})
	u.mustGet(at+":stable", young)
	if pinned := u.mustGet(got.Pin.Resolved, old); pinned.Pin.Resolved != "" {
		t.Errorf("a digest does not move, but is resolved to %q", pinned.Pin.Resolved)
	}
}

func TestLocationsThatAreNone(t *testing.T) {
	u := newUser(t)
	for location, want := range map[string]string{
		"oci://127.0.0.1:1/Upper/Case:v1":                 "write it as oci://HOST/REPOSITORY:TAG",
		"oci://127.0.0.1:1":                               "write it as oci://HOST/REPOSITORY:TAG",
		"oci://127.0.0.1:1/x@sha256:123":                  "is no digest",
		"oci://127.0.0.1:1/x:v1?platform=linux":           "after ? there may only be arch=ARCH",
		"oci://joe:s3cret-word@127.0.0.1:1/x:v1":          "log in with docker login or podman login",
		"oci://127.0.0.1:1/x:v1":                          "connection refused",
		"oci://registry.invalid/library/debian:v1":        "there is no host registry.invalid",
		"oci+http://joe:s3cret-word@127.0.0.1:1/x":        "log in with docker login or podman login",
		"oci://127.0.0.1:1/x:" + strings.Repeat("v", 200): "write it as oci://HOST/REPOSITORY:TAG",
	} {
		t.Run(location, func(t *testing.T) {
			_, err := u.source().Stat(t.Context(), location)
			if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("error %v, want one with %q and without passwords", err, want)
			}
		})
	}
}

func TestWhatIsNoDiskIsSaidToBeNone(t *testing.T) {
	reg := ocitest.Start(t, ocitest.Options{})
	at := "oci://" + reg.Host + "/x"
	m := specs.Manifest{MediaType: specs.MediaTypeImageManifest}
	m.SchemaVersion = 2
	m.Config = reg.Blob(t, "x", specs.MediaTypeEmptyJSON, []byte("{}"))
	reg.Manifest(t, "x", "empty", specs.MediaTypeImageManifest, m)
	piece := reg.Blob(t, "x", "application/vnd.cirruslabs.tart.disk.v2", []byte("bv41"))
	m.Layers = []specs.Descriptor{piece}
	reg.Manifest(t, "x", "tart", specs.MediaTypeImageManifest, m)
	u := newUser(t)
	u.mustNotGet(at+":empty", "it has no layers")
	u.mustNotGet(at+":tart", "it is a machine of Tart")
}
