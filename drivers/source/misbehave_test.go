package source_test

import (
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	nethttp "net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/source"
	"vmplan.dev/vmplan/drivers/source/http"
)

const size = 4 << 20

// misbehaviour is a server that does something wrong at first, and what a download must do about it.
var misbehaviours = []struct {
	name  string
	do    func(s *server, n int, w nethttp.ResponseWriter, r *nethttp.Request) bool
	asked []string
}{
	{
		"it breaks off", func(s *server, n int, w nethttp.ResponseWriter, _ *nethttp.Request) bool {
			if n == 0 {
				breakAfter(w, s.etag, size, s.content[:size/2])
			}
			return false
		}, []string{"GET", "GET bytes=2097152-"},
	},
	{
		"it breaks off and knows only times", func(s *server, n int, w nethttp.ResponseWriter, r *nethttp.Request) bool {
			w.Header().Set("Last-Modified", webTime.Format(nethttp.TimeFormat))
			if n == 0 {
				breakAfter(w, "", size, s.content[:size/2])
			}
			nethttp.ServeContent(w, r, "", webTime, bytes.NewReader(s.content))
			return true
		}, []string{"GET", "GET bytes=2097152-"},
	},
	{
		"it breaks off and cannot tell versions", func(s *server, n int, w nethttp.ResponseWriter, r *nethttp.Request) bool {
			if n == 0 {
				breakAfter(w, "", size, s.content[:size/2])
			}
			nethttp.ServeContent(w, r, "", time.Time{}, bytes.NewReader(s.content))
			return true
		}, []string{"GET", "GET"},
	},
	{
		"it breaks off and has a weak tag", func(s *server, n int, w nethttp.ResponseWriter, r *nethttp.Request) bool {
			if n == 0 {
				breakAfter(w, "W/"+s.etag, size, s.content[:size/2])
			}
			return false
		}, []string{"GET", "GET"},
	},
	{
		"it ignores ranges", func(s *server, n int, w nethttp.ResponseWriter, r *nethttp.Request) bool {
			r.Header.Del("Range")
			if n == 0 {
				breakAfter(w, s.etag, size, s.content[:size/2])
			}
			return false
		}, []string{"GET", "GET bytes=2097152-"},
	},
	{
		"it gives another range", func(s *server, n int, w nethttp.ResponseWriter, r *nethttp.Request) bool {
			switch n {
			case 0:
				breakAfter(w, s.etag, size, s.content[:size/2])
			case 1:
				w.Header().Set("ETag", s.etag)
				w.Header().Set("Content-Range", fmt.Sprintf("bytes 5-%d/%d", size-1, size))
				w.WriteHeader(nethttp.StatusPartialContent)
				w.Write(s.content[5:])
				return true
			}
			return false
		}, []string{"GET", "GET bytes=2097152-", "GET"},
	},
	{
		"it has another version meanwhile", func(s *server, n int, w nethttp.ResponseWriter, _ *nethttp.Request) bool {
			if n == 0 {
				breakAfter(w, `"older"`, size, disk(size/2, 77))
			}
			return false
		}, []string{"GET", "GET bytes=2097152-"},
	},
	{
		"it has another version and ignores If-Range", func(s *server, n int, w nethttp.ResponseWriter, r *nethttp.Request) bool {
			r.Header.Del("If-Range")
			if n == 0 {
				breakAfter(w, `"older"`, size, disk(size/2, 77))
			}
			return false
		}, []string{"GET", "GET bytes=2097152-", "GET"},
	},
	{
		"it has a shorter version without a new tag", func(s *server, n int, w nethttp.ResponseWriter, r *nethttp.Request) bool {
			if n == 0 {
				breakAfter(w, s.etag, size+10, s.content[:size/2])
			}
			return false
		}, []string{"GET", "GET bytes=2097152-", "GET"},
	},
	{
		"it announces too much at first", func(s *server, n int, w nethttp.ResponseWriter, _ *nethttp.Request) bool {
			if n == 0 {
				breakAfter(w, "", 2*size, s.content)
			}
			return false
		}, []string{"GET", "GET"},
	},
	{
		"it stalls", func(s *server, n int, w nethttp.ResponseWriter, r *nethttp.Request) bool {
			if n == 0 {
				w.Header().Set("ETag", s.etag)
				w.Header().Set("Content-Length", fmt.Sprint(size))
				w.Write(s.content[:size/2])
				w.(nethttp.Flusher).Flush()
				<-r.Context().Done()
				return true
			}
			return false
		}, []string{"GET", "GET bytes=2097152-"},
	},
	{
		"it stalls before it answers", func(_ *server, n int, _ nethttp.ResponseWriter, r *nethttp.Request) bool {
			if n == 0 {
				<-r.Context().Done()
			}
			return n == 0
		}, []string{"GET", "GET"},
	},
	{
		"it is overloaded", func(_ *server, n int, w nethttp.ResponseWriter, _ *nethttp.Request) bool {
			if n < 3 {
				w.WriteHeader([]int{503, 429, 502}[n])
			}
			return n < 3
		}, []string{"GET", "GET", "GET", "GET"},
	},
	{
		"it says no length", func(s *server, _ int, w nethttp.ResponseWriter, _ *nethttp.Request) bool {
			for part := range slices.Chunk(s.content, 100_000) {
				w.Write(part)
				w.(nethttp.Flusher).Flush()
			}
			return true
		}, []string{"GET"},
	},
	{
		"it redirects", func(_ *server, n int, w nethttp.ResponseWriter, r *nethttp.Request) bool {
			if n < 2 {
				nethttp.Redirect(w, r, fmt.Sprintf("/mirror%d", n), nethttp.StatusFound)
			}
			return n < 2
		}, []string{"GET", "GET", "GET"},
	},
}

func TestDownloadsComeThroughWhenAServer(t *testing.T) {
	for _, m := range misbehaviours {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			bits := disk(size, 1)
			web := serve(t, bits)
			web.misbehaves(func(n int, w nethttp.ResponseWriter, r *nethttp.Request) bool { return m.do(web, n, w, r) })
			mustFetch(t, newStore(t, t.TempDir()), image(web.URL+"/disk.raw", ""), bits)
			if asked := web.asked(); !slices.Equal(asked, m.asked) {
				t.Errorf("the server was asked %q, want %q", asked, m.asked)
			}
		})
	}
}

func TestAChecksumThatFailsAfterAResumeIsTriedOnceMoreFromTheStart(t *testing.T) {
	bits := disk(size, 1)
	web := serve(t, bits)
	web.misbehaves(func(n int, w nethttp.ResponseWriter, _ *nethttp.Request) bool {
		if n == 0 { // a mirror with the same tag and other bits
			breakAfter(w, web.etag, size, disk(size/2, 9))
		}
		return false
	})
	mustFetch(t, newStore(t, t.TempDir()), image(web.URL+"/disk.raw", "sha256:"+sha256sum(bits)), bits)
	if asked := web.asked(); len(asked) != 3 || asked[2] != "GET" {
		t.Errorf("asked %q, want a third time from the start", asked)
	}
}

func TestDownloadsGiveUpWhenAServer(t *testing.T) {
	bits := disk(size, 1)
	for _, m := range []struct {
		name  string
		do    func(s *server, n int, w nethttp.ResponseWriter, r *nethttp.Request)
		asked int
		want  string
	}{
		{"does not have the file", func(_ *server, _ int, w nethttp.ResponseWriter, _ *nethttp.Request) { w.WriteHeader(404) }, 1, "404 Not Found: there is no such file"},
		{"wants a login", func(_ *server, _ int, w nethttp.ResponseWriter, _ *nethttp.Request) { w.WriteHeader(403) }, 1, "403 Forbidden: it wants a login"},
		{"stays overloaded", func(_ *server, _ int, w nethttp.ResponseWriter, _ *nethttp.Request) { w.WriteHeader(503) }, 6, "503 Service Unavailable (tried 6 times)"},
		{"announces more than it has", func(s *server, _ int, w nethttp.ResponseWriter, _ *nethttp.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(size+1))
			w.Write(s.content)
		}, 6, "unexpected EOF (tried 6 times)"},
		{"drops every connection early", func(s *server, n int, w nethttp.ResponseWriter, r *nethttp.Request) {
			breakAfter(w, "", size, s.content[:1000])
		}, 6, "(tried 6 times)"},
		{"redirects in a circle", func(_ *server, _ int, w nethttp.ResponseWriter, r *nethttp.Request) {
			nethttp.Redirect(w, r, "/again", nethttp.StatusFound)
		}, 10, "redirect refused: more than 10"},
		{"sends a web page", func(_ *server, _ int, w nethttp.ResponseWriter, _ *nethttp.Request) {
			w.Write([]byte("\n<html><body>Log in first</body></html>"))
		}, 1, "this is a web page, not an image"},
		{"sends nothing", func(_ *server, _ int, _ nethttp.ResponseWriter, _ *nethttp.Request) {}, 1, "the image is empty"},
	} {
		t.Run(m.name, func(t *testing.T) {
			web := serve(t, bits)
			web.misbehaves(func(n int, w nethttp.ResponseWriter, r *nethttp.Request) bool { m.do(web, n, w, r); return true })
			dir := t.TempDir()
			mustFail(t, newStore(t, dir), filepath.Join(dir, "cache"), image(web.URL+"/disk.raw", ""), m.want)
			if asked := web.asked(); len(asked) != m.asked {
				t.Errorf("asked %d times (%q), want %d", len(asked), asked, m.asked)
			}
			for _, f := range cached(t, filepath.Join(dir, "cache")) {
				if !strings.HasSuffix(f, "/lock") {
					t.Errorf("%s was kept", f)
				}
			}
		})
	}
}

func TestAServerThatIsNotThereIsTriedAFewTimes(t *testing.T) {
	web := serve(t, nil)
	web.Close()
	dir := t.TempDir()
	mustFail(t, newStore(t, dir), filepath.Join(dir, "cache"), image(web.URL+"/disk.raw", ""), "connection refused (tried 6 times)")
}

func TestHTTPSIsNeverLeft(t *testing.T) {
	plain := serve(t, disk(1000, 1))
	secure := httptest.NewTLSServer(nethttp.RedirectHandler(plain.URL+"/disk.raw", nethttp.StatusFound))
	defer secure.Close()
	roots := x509.NewCertPool()
	fetch := func() error {
		web := http.New(http.Options{Transport: &nethttp.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}})
		s, err := source.NewStore(source.Options{Sources: source.Registry{"https": web}, CacheDir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Fetch(t.Context(), image(secure.URL+"/disk.raw", ""), nil)
		return err
	}
	if err := fetch(); err == nil || !strings.Contains(err.Error(), "certificate") || strings.Contains(err.Error(), "tried") {
		t.Errorf("a server with an unknown certificate: %v", err)
	}
	roots.AddCert(secure.Certificate())
	if err := fetch(); err == nil || !strings.Contains(err.Error(), "from https to http") {
		t.Errorf("a redirect to http: %v", err)
	}
	if asked := plain.asked(); len(asked) != 0 {
		t.Errorf("the plain server was asked %q", asked)
	}
}

// A signed URL may lead to another server, which is not told the signature, nor is a login.
func TestAServerThatAnotherLeadsToLearnsNoCredentials(t *testing.T) {
	bits := disk(1<<20, 1)
	var learned []string
	mirror := serve(t, bits)
	mirror.misbehaves(func(_ int, _ nethttp.ResponseWriter, r *nethttp.Request) bool {
		mirror.mu.Lock()
		defer mirror.mu.Unlock()
		learned = append(learned, fmt.Sprint(r.URL, r.Header))
		return false
	})
	web := httptest.NewServer(nethttp.RedirectHandler(mirror.URL+"/disk.raw", nethttp.StatusFound))
	t.Cleanup(web.Close)
	location := strings.Replace(web.URL, "http://", "http://t0ken@", 1) + "/disk.raw?X-Amz-Signature=t0ken"
	mustFetch(t, newStore(t, t.TempDir()), image(location, ""), bits)
	mirror.mu.Lock()
	defer mirror.mu.Unlock()
	if all := strings.Join(learned, "\n"); all == "" || strings.Contains(all, "t0ken") || strings.Contains(all, "Authorization") {
		t.Errorf("it learns %q", learned)
	}
}

func TestBombsAreStopped(t *testing.T) {
	var packed bytes.Buffer
	g := gzip.NewWriter(&packed)
	g.Write(make([]byte, 32<<20))
	g.Close()
	dir := t.TempDir()
	web := serve(t, packed.Bytes())
	s := newStore(t, dir)
	s.LimitBombs(8<<20, 100)
	mustFail(t, s, filepath.Join(dir, "cache"), image(web.URL+"/zeros.raw.gz", ""), "unpack .gz: more than 8388608 bytes come out of")
	s.LimitBombs(8<<20, 2000)
	mustFetch(t, s, image(web.URL+"/zeros.raw.gz", ""), make([]byte, 32<<20))
}

func TestUnpackedZerosTakeNoRoom(t *testing.T) {
	var packed bytes.Buffer
	g := gzip.NewWriter(&packed)
	g.Write(make([]byte, 32<<20))
	g.Close()
	bits := mustFetch(t, newStore(t, t.TempDir()), image(serve(t, packed.Bytes()).URL+"/zeros.raw.gz", ""), make([]byte, 32<<20))
	if used := diskUse(t, bits.Path); used > 1<<20 {
		t.Errorf("32 MiB of zeros take %d bytes", used)
	}
}

func TestAPartFromBeforeACrashOfTheMachineIsNotTrusted(t *testing.T) {
	dir := t.TempDir()
	bits := disk(size, 1)
	web := serve(t, bits)
	down := true
	web.misbehaves(func(n int, w nethttp.ResponseWriter, _ *nethttp.Request) bool {
		switch {
		case n == 0:
			breakAfter(w, web.etag, size, bits[:size/2])
		case down:
			w.WriteHeader(404)
		}
		return down
	})
	img := image(web.URL+"/disk.raw", "")
	mustFail(t, newStore(t, dir), "", img, "404")
	parts, err := filepath.Glob(filepath.Join(dir, "cache", "sources", "*", "part.json"))
	if err != nil || len(parts) != 1 {
		t.Fatalf("found %q (%v), want the part that can be continued", parts, err)
	}
	if size, known, _ := newStore(t, dir).Probe(t.Context(), img); known {
		t.Errorf("probe of a file that is gone says %d", size)
	}
	text, err := os.ReadFile(parts[0])
	if err != nil {
		t.Fatal(err)
	}
	boot := bootID(t)
	text = bytes.ReplaceAll(text, []byte(boot), []byte("another"))
	if err := os.WriteFile(parts[0], text, 0o600); err != nil {
		t.Fatal(err)
	}
	down = false
	mustFetch(t, newStore(t, dir), img, bits)
	if asked := web.asked(); asked[len(asked)-1] != "GET" {
		t.Errorf("asked %q, want the last from the start", asked)
	}
}

func TestASourceThatChangesUnderTheReaderIsNoticed(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "disk.raw")
	if err := os.WriteFile(path, disk(8<<20, 1), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := newStore(t, dir).Fetch(t.Context(), image(path, ""), func(p drivers.Progress) {
		if p.Done > 1<<20 {
			if err := os.WriteFile(path, disk(8<<20, 2), 0o600); err != nil {
				t.Error(err)
			}
		}
	})
	if err == nil || !strings.Contains(err.Error(), "changed while it was read") {
		t.Errorf("error %v", err)
	}
	if errors.Is(err, drivers.ErrNoSpace) {
		t.Error("a changed file is called a full disk")
	}
}

func TestAServerThatTellsNoVersionsApartIsAskedForTheBitsEachTime(t *testing.T) {
	for name, announce := range map[string]bool{"and says how many": true, "and does not": false} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			old, young := disk(100_000, 1), disk(100_000, 2)
			web := serve(t, old)
			web.misbehaves(func(_ int, w nethttp.ResponseWriter, _ *nethttp.Request) bool {
				if !announce {
					w.(nethttp.Flusher).Flush()
				}
				w.Header().Set("Content-Length", fmt.Sprint(len(web.content)))
				w.Write(web.content)
				return true
			})
			img := image(web.URL+"/disk.raw", "")
			mustFetch(t, newStore(t, dir), img, old)
			web.set(young)
			if size, known, err := newStore(t, dir).Probe(t.Context(), img); known != announce || announce && size != 100_000 || err != nil {
				t.Errorf("probe says %d, %v, %v", size, known, err)
			}
			mustFetch(t, newStore(t, dir), img, young)
			// What it had last will do when it cannot be asked, and when that is what is wanted.
			web.Close()
			mustFetch(t, newStore(t, dir), img, young)
			mustFetch(t, newStore(t, dir), image(img.Source, "sha256:"+sha256sum(old)), old)
		})
	}
}
