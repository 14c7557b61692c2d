package source_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	nethttp "net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/source"
	"vmplan.dev/vmplan/drivers/source/file"
	"vmplan.dev/vmplan/drivers/source/http"
)

// pattern is the content of testdata/pattern.*: mostly zeros, as disks are.
func pattern() []byte {
	var b bytes.Buffer
	b.Write(make([]byte, 200<<10))
	for i := range 1000 {
		fmt.Fprintln(&b, i)
	}
	b.Write(make([]byte, 100<<10))
	return b.Bytes()
}

// disk makes a raw disk of n bytes without any order in them.
func disk(n int, seed byte) []byte {
	b := make([]byte, 0, n+sha256.Size)
	for block := sha256.Sum256([]byte{seed}); len(b) < n; block = sha256.Sum256(block[:]) {
		b = append(b, block[:]...)
	}
	return b[:n]
}

// qcow2 makes an empty qcow2 image (version 3) and lets edit change its first cluster.
func qcow2(virtual uint64, edit func(head []byte)) []byte {
	const cluster = 64 << 10
	b := make([]byte, 4*cluster)
	copy(b, "QFI\xfb")
	for at, v := range map[int]uint32{4: 3, 20: 16, 36: uint32(max(1, (virtual+1<<29-1)>>29)), 56: 1, 96: 4, 100: 104} {
		binary.BigEndian.PutUint32(b[at:], v)
	}
	for at, v := range map[int]uint64{24: virtual, 40: 3 * cluster, 48: cluster, cluster: 2 * cluster} {
		binary.BigEndian.PutUint64(b[at:], v)
	}
	for i := range 4 {
		binary.BigEndian.PutUint16(b[2*cluster+2*i:], 1)
	}
	if edit != nil {
		edit(b)
	}
	return b
}

func sha256sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// server serves one file that may change, and counts what it is asked.
type server struct {
	*httptest.Server
	mu       sync.Mutex
	content  []byte
	etag     string
	requests []string // "GET", or "GET bytes=N-"
	// misbehave, when set, may answer request number n (from 0) itself.
	misbehave func(n int, w nethttp.ResponseWriter, r *nethttp.Request) (done bool)
}

func serve(t *testing.T, content []byte) *server {
	t.Helper()
	s := &server{}
	s.set(content)
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	t.Cleanup(s.CloseClientConnections)
	return s
}

func (s *server) set(content []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.content, s.etag = content, `"`+sha256sum(content)[:8]+`"`
}

// misbehaves sets what the server does wrong.
func (s *server) misbehaves(how func(n int, w nethttp.ResponseWriter, r *nethttp.Request) (done bool)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.misbehave = how
}

func (s *server) asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.requests...)
}

func (s *server) ServeHTTP(w nethttp.ResponseWriter, r *nethttp.Request) {
	s.mu.Lock()
	n := len(s.requests)
	s.requests = append(s.requests, strings.TrimSpace(r.Method+" "+r.Header.Get("Range")))
	content, etag, misbehave := s.content, s.etag, s.misbehave
	s.mu.Unlock()
	if misbehave != nil && misbehave(n, w, r) {
		return
	}
	w.Header().Set("ETag", etag)
	nethttp.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}

// breakAfter sends the beginning of a response and then cuts the connection.
func breakAfter(w nethttp.ResponseWriter, etag string, announced int, part []byte) {
	if etag != "" {
		w.Header().Set("ETag", etag)
	}
	w.Header().Set("Content-Length", fmt.Sprint(announced))
	w.Write(part)
	w.(nethttp.Flusher).Flush()
	panic(nethttp.ErrAbortHandler)
}

// newStore makes a store with a cache of its own.
func newStore(t *testing.T, dir string) *source.Store {
	t.Helper()
	return openStore(t, filepath.Join(dir, "cache"), dir)
}

func openStore(t testing.TB, cache, dir string) *source.Store {
	t.Helper()
	web := http.New(http.Options{IdleTimeout: 2 * time.Second})
	s, err := source.NewStore(source.Options{
		Sources: source.Registry{"http": web, "https": web, "file": file.New()}, CacheDir: cache, Dir: dir,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Hurry()
	return s
}

func image(location, checksum string) *resource.Image {
	img := &resource.Image{Source: location, Checksum: checksum}
	img.Addr = resource.Addr{Kind: resource.KindImage, Name: "debian"}
	return img
}

// mustFetch fetches and compares the bits with what they should be.
func mustFetch(t *testing.T, s *source.Store, img *resource.Image, want []byte) drivers.Bits {
	t.Helper()
	bits, err := s.Fetch(t.Context(), img, nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(bits.Path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("the bits at %s (%d bytes) are not those that were served (%d bytes)", bits.Path, len(got), len(want))
	}
	if bits.Digest != "sha256:"+sha256sum(want) || bits.Size != int64(len(want)) {
		t.Errorf("digest %s and size %d are not those of the bits", bits.Digest, bits.Size)
	}
	return bits
}

// mustFail fetches, wants an error with each text, and looks that no bits were kept.
func mustFail(t *testing.T, s *source.Store, cache string, img *resource.Image, texts ...string) error {
	t.Helper()
	bits, err := s.Fetch(t.Context(), img, nil)
	if err == nil {
		t.Fatalf("no error, but %+v", bits)
	}
	for _, text := range append(texts, "image.debian: ") {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("error %q lacks %q", err, text)
		}
	}
	for _, kept := range cached(t, cache) {
		if strings.HasPrefix(kept, "blobs/") || slices.Contains(strings.Split(kept, "/"), "work") {
			t.Errorf("%s was kept", kept)
		}
	}
	return err
}

// cached lists the cache's files.
func cached(t *testing.T, cache string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(cache, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(cache, path)
			files = append(files, filepath.ToSlash(rel))
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return files
}

// eventually polls for a condition.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			t.Fatalf("never: %s", what)
		case <-tick.C:
		}
	}
}

var webTime = time.Date(2020, time.May, 1, 12, 0, 0, 0, time.UTC)

// contextOfTests is for code outside of a test.
func contextOfTests() context.Context { return context.Background() }

func fileSize(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return -1
	}
	return info.Size()
}

// diskUse is how many bytes of the disk a file takes.
func diskUse(t *testing.T, path string) int64 {
	t.Helper()
	var stat syscall.Stat_t
	if err := syscall.Stat(path, &stat); err != nil {
		t.Fatal(err)
	}
	return stat.Blocks * 512
}

// bootID is the name of this boot of the machine, which Linux gives.
func bootID(t *testing.T) string {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("this system does not name its boots")
	}
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(id))
}
