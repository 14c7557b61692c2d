package source_test

import (
	"context"
	"crypto/sha512"
	"fmt"
	"io"
	nethttp "net/http"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"vmplan.dev/vmplan/drivers/source"
	"vmplan.dev/vmplan/drivers/source/http"
)

// promiser is a registry in small: it serves by http, and promises digests.
type promiser struct {
	*http.Source
	digest, resolved string
}

func (p *promiser) Stat(ctx context.Context, location string) (source.Info, error) {
	info, err := p.Source.Stat(ctx, location)
	info.Digest, info.Resolved = p.digest, p.resolved
	return info, err
}

func (p *promiser) Open(ctx context.Context, location string, from source.Position) (io.ReadCloser, source.Info, error) {
	body, info, err := p.Source.Open(ctx, location, from)
	info.Digest, info.Resolved = p.digest, p.resolved
	return body, info, err
}

func promisingStore(t *testing.T, dir string, p *promiser) *source.Store {
	t.Helper()
	s, err := source.NewStore(source.Options{Sources: source.Registry{"http": p}, CacheDir: filepath.Join(dir, "cache"), Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	s.Hurry()
	return s
}

func TestASourceIsHeldToTheDigestThatItPromises(t *testing.T) {
	dir := t.TempDir()
	bits, other := disk(1_000_000, 1), disk(1_000_000, 2)
	web := serve(t, bits)
	img := image(web.URL+"/disk.raw", "")
	p := &promiser{Source: http.New(http.Options{}), resolved: "reg/disk@1"}
	for _, digest := range []string{"sha256:" + sha256sum(other), fmt.Sprintf("sha512:%x", sha512.Sum512(other))} {
		p.digest = digest
		mustFail(t, promisingStore(t, dir, p), filepath.Join(dir, "cache"), img, "wrong checksum", "the source promised "+digest)
	}
	for _, digest := range []string{"sha256:abc", "crc32:00", "latest"} {
		p.digest = digest
		mustFail(t, promisingStore(t, dir, p), filepath.Join(dir, "cache"), img, `the source promises the digest "`+digest+`"`)
	}

	p.digest = fmt.Sprintf("sha512:%x", sha512.Sum512(bits))
	got := mustFetch(t, promisingStore(t, dir, p), img, bits)
	if got.Pin.Resolved != "reg/disk@1" || got.Pin.Digest != p.digest {
		t.Errorf("got %+v, want the resolved location and the file's digest", got.Pin)
	}
	web.set(bits) // the same file
	web.mu.Lock()
	web.etag = `"pushed again"`
	web.mu.Unlock()
	before := len(web.asked())
	if again := mustFetch(t, promisingStore(t, dir, p), img, bits); !reflect.DeepEqual(again, got) {
		t.Errorf("the second time gives %+v, the first gave %+v", again, got)
	}
	if files := len(web.asked()) - before; files != 1 {
		t.Errorf("%d requests, want one that sees the digest", files)
	}

	// It lies about a newer one: what the cache has of the older is no answer.
	p.digest = "sha256:" + sha256sum(disk(5, 5))
	if _, err := promisingStore(t, dir, p).Fetch(t.Context(), img, nil); err == nil || !strings.Contains(err.Error(), "the source promised") {
		t.Errorf("error %v, want a wrong checksum", err)
	}
}

func TestADownloadOfAPromisedDigestIsContinuedAndChecked(t *testing.T) {
	dir := t.TempDir()
	bits := disk(4<<20, 1)
	web := serve(t, bits)
	web.misbehaves(func(n int, w nethttp.ResponseWriter, _ *nethttp.Request) bool {
		if n == 0 {
			breakAfter(w, web.etag, len(bits), bits[:1<<20])
		}
		return false
	})
	p := &promiser{Source: http.New(http.Options{}), digest: fmt.Sprintf("sha512:%x", sha512.Sum512(bits))}
	mustFetch(t, promisingStore(t, dir, p), image(web.URL+"/disk.raw", ""), bits)
	if asked := web.asked(); len(asked) != 2 || asked[1] != "GET bytes=1048576-" {
		t.Errorf("asked %q, want the rest after what had come", asked)
	}
}
