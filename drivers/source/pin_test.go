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

// pinned makes a store that holds the image to what pin says, as long as that is not nil.
func pinned(t *testing.T, registry source.Registry, pin **resource.Pin) *source.Store {
	t.Helper()
	s, err := source.NewStore(source.Options{Sources: registry, CacheDir: filepath.Join(t.TempDir(), "cache"), Pin: func(*resource.Image) (resource.Pin, bool) {
		if *pin == nil {
			return resource.Pin{}, false
		}
		return **pin, true
	}})
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
	var pin *resource.Pin
	img := image("tag://x", "")
	s := pinned(t, registry, &pin)
	img.Digest = mustFetch(t, s, img, first).Digest
	now, ok := s.Imported(img)
	if want := (resource.Pin{Digest: "sha256:" + sha256sum(first), Resolved: "id://" + sha256sum(first), Validator: sha256sum(first)}); !ok || now != want {
		t.Fatalf("what was imported is %+v, want %+v", now, want)
	}
	pin = &now
	if newer, err := s.Newer(t.Context(), img); err != nil || newer {
		t.Errorf("newer right after locking: %v %v", newer, err)
	}

	src.move(second)
	if newer, err := s.Newer(t.Context(), img); err != nil || !newer {
		t.Errorf("the tag moved, and it is told: %v %v", newer, err)
	}
	fresh := pinned(t, registry, &pin)
	mustFetch(t, fresh, img, first)
	if got := src.fetched[len(src.fetched)-1]; got != now.Resolved {
		t.Errorf("it was got from %s, not from %s", got, now.Resolved)
	}
	latest, err := fresh.Latest(t.Context(), img, nil)
	if err != nil || latest.Digest != "sha256:"+sha256sum(second) {
		t.Errorf("the latest is %+v (%v)", latest, err)
	}
	mustFetch(t, fresh, img, first) // as long as the lock says so

	src.gone = true
	src.move(second)
	if _, err := pinned(t, registry, &pin).Fetch(t.Context(), img, nil); err == nil {
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
	var pin *resource.Pin
	img := image(files.URL+"/x.raw", files.URL+"/SHA512SUMS")
	s := pinned(t, source.Registry{"http": web}, &pin)
	first := content
	img.Digest = mustFetch(t, s, img, first).Digest
	now, ok := s.Imported(img)
	if sum := sha512.Sum512(first); !ok || now.Digest != "sha512:"+hex.EncodeToString(sum[:]) {
		t.Fatalf("what was imported is %+v", now)
	}
	pin = &now
	content = disk(4096, 4)
	if newer, err := s.Newer(t.Context(), img); err != nil || !newer {
		t.Errorf("the sums changed, and it is told: %v %v", newer, err)
	}
	mustFetch(t, s, img, first) // from the cache

	_, err := pinned(t, source.Registry{"http": web}, &pin).Fetch(t.Context(), img, nil)
	if !errors.Is(err, drivers.ErrMoved) || !strings.Contains(err.Error(), "vmplan image update image.debian") {
		t.Errorf("of what moved it says %v", err)
	}
	files.Close()
	if _, err := s.Latest(t.Context(), img, nil); err == nil {
		t.Error("the cache's is taken for the latest while the server cannot be asked")
	}
	mustFetch(t, s, img, first)
}
