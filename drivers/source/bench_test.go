package source_test

import (
	"fmt"
	"io"
	nethttp "net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
)

const benchSize = 256 << 20

// BenchmarkFetch gets an image over loopback, checksum and all. Its floor is BenchmarkPlainCopy.
func BenchmarkFetch(b *testing.B) {
	path, sum := benchDisk(b)
	web := httptest.NewServer(nethttp.FileServer(nethttp.Dir(filepath.Dir(path))))
	defer web.Close()
	img := image(web.URL+"/"+filepath.Base(path), sum)
	b.SetBytes(benchSize)
	for i := 0; b.Loop(); i++ {
		cache := filepath.Join(b.TempDir(), fmt.Sprint(i))
		if _, err := openStore(b, cache, "").Fetch(b.Context(), img, nil); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		os.RemoveAll(cache)
		b.StartTimer()
	}
}

// BenchmarkFetchCached is what a later run costs.
func BenchmarkFetchCached(b *testing.B) {
	path, sum := benchDisk(b)
	web := httptest.NewServer(nethttp.FileServer(nethttp.Dir(filepath.Dir(path))))
	defer web.Close()
	cache, img := b.TempDir(), image(web.URL+"/"+filepath.Base(path), sum)
	if _, err := openStore(b, cache, "").Fetch(b.Context(), img, nil); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := openStore(b, cache, "").Fetch(b.Context(), img, nil); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPlainCopy downloads the same bytes to a file and syncs it, and nothing else.
func BenchmarkPlainCopy(b *testing.B) {
	path, _ := benchDisk(b)
	web := httptest.NewServer(nethttp.FileServer(nethttp.Dir(filepath.Dir(path))))
	defer web.Close()
	target := filepath.Join(b.TempDir(), "copy")
	b.SetBytes(benchSize)
	for b.Loop() {
		resp, err := nethttp.Get(web.URL + "/" + filepath.Base(path))
		if err != nil {
			b.Fatal(err)
		}
		f, err := os.Create(target)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(f, resp.Body); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
		f.Close()
		resp.Body.Close()
		b.StopTimer()
		os.Remove(target)
		b.StartTimer()
	}
}

func benchDisk(b *testing.B) (path, checksum string) {
	b.Helper()
	bits := disk(benchSize, 1)
	path = filepath.Join(b.TempDir(), "disk.raw")
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(bits); err != nil {
		b.Fatal(err)
	}
	if err := f.Sync(); err != nil { // or the first to sync anything later pays for it
		b.Fatal(err)
	}
	return path, "sha256:" + sha256sum(bits)
}
