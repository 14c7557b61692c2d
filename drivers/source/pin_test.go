package source_test

import (
	"bytes"
	"context"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	nethttp "net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/source"
	"vmplan.dev/vmplan/drivers/source/http"
)

// tags is a source whose locations tag://NAME move, and id://DIGEST do not, as a registry's.
type tags struct {
	bits    map[string][]byte // by location
	gone    bool              // what a tag led to earlier can be had no more
	fetched []string
}

func (s *tags) Stat(_ context.Context, location string) (source.Info, error) {
	bits, ok := s.bits[location]
	if !ok {
		return source.Info{}, errors.New("no such thing")
	}
	info := source.Info{Size: int64(len(bits)), Digest: "sha256:" + sha256sum(bits), Validator: sha256sum(bits)}
	if strings.HasPrefix(location, "tag://") {
		info.Resolved = "id://" + sha256sum(bits)
	}
	return info, nil
}

func (s *tags) Open(ctx context.Context, location string, _ source.Position) (io.ReadCloser, source.Info, error) {
	info, err := s.Stat(ctx, location)
	if err != nil {
		return nil, info, err
	}
	s.fetched = append(s.fetched, location)
	return io.NopCloser(bytes.NewReader(s.bits[location])), info, nil
}

// move lets the tag lead to other bits.
func (s *tags) move(bits []byte) {
	if s.gone || s.bits == nil {
		s.bits = map[string][]byte{}
	}
	s.bits["tag://x"], s.bits["id://"+sha256sum(bits)] = bits, bits
}

// fresh makes a store whose cache is empty.
func fresh(t *testing.T, registry source.Registry) *source.Store {
	t.Helper()
	s, err := source.NewStore(source.Options{Sources: registry, CacheDir: filepath.Join(t.TempDir(), "cache")})
	if err != nil {
		t.Fatal(err)
	}
	s.Hurry()
	return s
}

func TestALockedTagGivesWhatItLedToThen(t *testing.T) {
	first, second := disk(4096, 1), disk(4096, 2)
	src := &tags{}
	src.move(first)
	registry := source.Registry{"tag": src, "id": src}
	img := image("tag://x", "")
	s := fresh(t, registry)
	img.Pin = mustFetch(t, s, img, first).Pin
	if want := (resource.Pin{Digest: "sha256:" + sha256sum(first), Resolved: "id://" + sha256sum(first), Validator: sha256sum(first)}); img.Pin == nil || *img.Pin != want {
		t.Fatalf("what was got is %+v, want %+v", img.Pin, want)
	}
	if newer, err := s.Newer(t.Context(), img); err != nil || newer {
		t.Errorf("newer right after locking: %v %v", newer, err)
	}

	src.move(second)
	if newer, err := s.Newer(t.Context(), img); err != nil || !newer {
		t.Errorf("the tag moved, and it is told: %v %v", newer, err)
	}
	img.Pin.Revision = 3
	another := fresh(t, registry)
	if again := mustFetch(t, another, img, first); *again.Pin != *img.Pin {
		t.Errorf("what was got is %+v, want %+v", again.Pin, img.Pin)
	}
	if got := src.fetched[len(src.fetched)-1]; got != img.Pin.Resolved {
		t.Errorf("it was got from %s, not from %s", got, img.Pin.Resolved)
	}
	latest, err := another.Latest(t.Context(), img, nil)
	if err != nil || latest.Digest != "sha256:"+sha256sum(second) {
		t.Errorf("the latest is %+v (%v)", latest, err)
	}
	mustFetch(t, another, img, first) // as long as the lock says so

	src.gone = true
	src.move(second)
	if _, err := fresh(t, registry).Fetch(t.Context(), img, nil); err == nil {
		t.Error("what is gone was had all the same")
	}
}

func TestALockedFileOfSumsIsAskedOnlyForNewer(t *testing.T) {
	content := disk(4096, 3)
	files := httptest.NewServer(nethttp.HandlerFunc(func(w nethttp.ResponseWriter, r *nethttp.Request) {
		if filepath.Base(r.URL.Path) == "SHA512SUMS" {
			fmt.Fprintf(w, "%x  x.raw\n", sha512.Sum512(content))
			return
		}
		w.Write(content)
	}))
	defer files.Close()
	web := http.New(http.Options{})
	img := image(files.URL+"/x.raw", files.URL+"/SHA512SUMS")
	s := fresh(t, source.Registry{"http": web})
	first := content
	img.Pin = mustFetch(t, s, img, first).Pin
	if sum := sha512.Sum512(first); img.Pin == nil || img.Pin.Digest != "sha512:"+hex.EncodeToString(sum[:]) {
		t.Fatalf("what was got is %+v", img.Pin)
	}
	content = disk(4096, 4)
	if newer, err := s.Newer(t.Context(), img); err != nil || !newer {
		t.Errorf("the sums changed, and it is told: %v %v", newer, err)
	}
	mustFetch(t, s, img, first) // from the cache

	_, err := fresh(t, source.Registry{"http": web}).Fetch(t.Context(), img, nil)
	if !errors.Is(err, drivers.ErrMoved) || !strings.Contains(err.Error(), "vmplan image update image.debian") {
		t.Errorf("of what moved it says %v", err)
	}
	files.Close()
	if _, err := s.Latest(t.Context(), img, nil); err == nil {
		t.Error("the cache's is taken for the latest while the server cannot be asked")
	}
	mustFetch(t, s, img, first)
}
