package source_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"errors"
	"fmt"
	nethttp "net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
)

func TestAnImageWithAChecksumIsDownloadedOnce(t *testing.T) {
	dir := t.TempDir()
	bits := qcow2(10<<30, nil)
	web := serve(t, bits)
	img := image(web.URL+"/debian.qcow2", "sha256:"+strings.ToUpper(sha256sum(bits)))
	got := mustFetch(t, newStore(t, dir), img, bits)
	if got.Format != "qcow2" || got.VirtualSize != 10*resource.GiB {
		t.Errorf("got %+v, want qcow2 of 10 GiB", got)
	}
	if again := mustFetch(t, newStore(t, dir), img, bits); !reflect.DeepEqual(again, got) {
		t.Errorf("the second time gives %+v, the first gave %+v", again, got)
	}
	if asked := web.asked(); len(asked) != 1 {
		t.Errorf("the server was asked %q, want one GET", asked)
	}
	if files := cached(t, filepath.Join(dir, "cache")); slices.ContainsFunc(files, func(f string) bool { return strings.Contains(f, "part") }) {
		t.Errorf("something is left of the download: %q", files)
	}
}

func TestAnImageWithoutAChecksumFollowsItsSource(t *testing.T) {
	dir := t.TempDir()
	first, second := disk(3_000_000, 1), disk(2_000_001, 2)
	web := serve(t, first)
	img := image(web.URL+"/disk.raw", "")
	got := mustFetch(t, newStore(t, dir), img, first)
	if got.Format != "raw" || got.VirtualSize != resource.Size(3_000_320) {
		t.Errorf("got %+v, want raw, rounded up to sectors", got)
	}
	mustFetch(t, newStore(t, dir), img, first)
	web.set(second)
	mustFetch(t, newStore(t, dir), img, second)
	web.Close()
	mustFetch(t, newStore(t, dir), img, second) // offline: what is there is good enough
}

func TestPackedImagesAreUnpacked(t *testing.T) {
	var gz, zst bytes.Buffer
	g := gzip.NewWriter(&gz)
	g.Write(pattern())
	g.Close()
	z, err := zstd.NewWriter(&zst)
	if err != nil {
		t.Fatal(err)
	}
	z.Write(pattern())
	z.Close()
	read := func(name string) []byte {
		data, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	for suffix, packed := range map[string][]byte{".gz": gz.Bytes(), ".zst": zst.Bytes(), ".xz": read("pattern.xz"), ".bz2": read("pattern.bz2")} {
		t.Run(suffix, func(t *testing.T) {
			dir := t.TempDir()
			web := serve(t, packed)
			sum := fmt.Sprintf("sha512:%x", sha512.Sum512(packed))
			img := image(web.URL+"/disk.raw"+suffix, sum)
			got := mustFetch(t, newStore(t, dir), img, pattern())
			mustFetch(t, newStore(t, dir), img, pattern())
			if got.Format != "raw" || len(web.asked()) != 1 {
				t.Errorf("got %+v with requests %q", got, web.asked())
			}

			path := filepath.Join(dir, "local.img"+suffix)
			if err := os.WriteFile(path, packed, 0o600); err != nil {
				t.Fatal(err)
			}
			if local := mustFetch(t, newStore(t, dir), image("local.img"+suffix, sum), pattern()); got.Pin == nil || local.Pin != nil {
				t.Errorf("the pin of a download is %v, that of a file of this machine %v", got.Pin, local.Pin)
			}

			broken := filepath.Join(t.TempDir(), "cache")
			web.set(packed[:len(packed)-9])
			mustFail(t, openStore(t, broken, dir), broken, image(web.URL+"/disk.raw"+suffix, ""), "unpack "+suffix)
			web.set([]byte("<!DOCTYPE html><title>Sign in</title>"))
			mustFail(t, openStore(t, broken, dir), broken, image(web.URL+"/disk.raw"+suffix, ""), "the name ends in "+suffix, "it is a web page")
		})
	}
}

func TestWrongChecksumIsNamedAndNothingIsKept(t *testing.T) {
	dir := t.TempDir()
	cache := filepath.Join(dir, "cache")
	good, bad := disk(1_000_000, 1), disk(1_000_000, 9)
	web := serve(t, bad)
	img := image(web.URL+"/disk.raw?token=hunter2", "sha256:"+sha256sum(good))
	err := mustFail(t, newStore(t, dir), cache, img, "wrong checksum", "want sha256:"+sha256sum(good), "got sha256:"+sha256sum(bad), web.URL+"/disk.raw")
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("error %q shows the token", err)
	}
	if len(web.asked()) != 1 {
		t.Errorf("asked %q: a wrong file is not asked for again", web.asked())
	}
	for _, f := range cached(t, cache) {
		if !strings.HasSuffix(f, "/lock") {
			t.Errorf("%s was kept", f)
		}
	}
	web.set(good)
	mustFetch(t, newStore(t, dir), img, good)
}

func TestChecksumFromAFileOfSums(t *testing.T) {
	bits := disk(100_000, 1)
	other := sha256sum([]byte("other"))
	for name, sums := range map[string]string{
		"coreutils":  other + "  other.raw\n" + sha256sum(bits) + " *disk.raw\n",
		"BSD":        "SHA256 (other.raw) = " + other + "\nSHA256 (disk.raw) = " + sha256sum(bits) + "\n",
		"signed":     "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n# disk.raw: 100000 bytes\nSHA256 (disk.raw) = " + sha256sum(bits) + "\n-----BEGIN PGP SIGNATURE-----\n",
		"one bare":   sha256sum(bits) + "\n",
		"both kinds": sha256sum(bits) + "  ./disk.raw\n" + fmt.Sprintf("%x  ./disk.raw\n", sha512.Sum512(bits)),
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			web, list := serve(t, bits), serve(t, []byte(sums))
			img := image(web.URL+"/pub/disk.raw", list.URL+"/SHA256SUMS")
			mustFetch(t, newStore(t, dir), img, bits)
			mustFetch(t, newStore(t, dir), img, bits)
			if len(web.asked()) != 1 || len(list.asked()) != 2 {
				t.Errorf("image asked for %q, sums %q: want the sums afresh each time, the image once", web.asked(), list.asked())
			}
			list.set([]byte(other + "  disk.raw\n")) // the next release
			mustFail(t, newStore(t, t.TempDir()), "", img, "wrong checksum")
			if err := os.WriteFile(filepath.Join(dir, "SUMS"), []byte(sums), 0o600); err != nil {
				t.Fatal(err)
			}
			mustFetch(t, newStore(t, dir), image(web.URL+"/pub/disk.raw", "SUMS"), bits)
		})
	}
	for want, sums := range map[string]string{
		`does not name "disk.raw"`: other + "  other.raw\n",
		"has only md5 sums":        "d41d8cd98f00b204e9800998ecf8427e  disk.raw\n",
		"with different sums":      other + "  a/disk.raw\n" + sha256sum(bits) + "  b/disk.raw\n",
	} {
		list := serve(t, []byte(sums))
		mustFail(t, newStore(t, t.TempDir()), "", image(serve(t, bits).URL+"/disk.raw", list.URL+"/SUMS"), "file of sums "+list.URL, want)
	}
}

func TestChecksumsThatAreNone(t *testing.T) {
	for checksum, want := range map[string]string{
		"md5:d41d8cd98f00b204e9800998ecf8427e": "md5 can be forged: use sha256 or sha512",
		"sha1:xx":                              "sha1 can be forged",
		"sha256:abc":                           "sha256 has 64 hexadecimal digits",
		"crc32:abcd":                           `there is no kind "crc32"`,
		strings.Repeat("ab", 32):               "lacks its kind",
	} {
		mustFail(t, newStore(t, t.TempDir()), "", image("/disk.raw", checksum), want)
	}
}

func TestAFileIsUsedWhereItIs(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "my disk.raw")
	first, second := disk(500_000, 1), disk(500_000, 2)
	write := func(b []byte) {
		t.Helper()
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(first)
	for _, location := range []string{"my disk.raw", path, "file://" + strings.ReplaceAll(path, " ", "%20")} {
		if got := mustFetch(t, newStore(t, dir), image(location, "sha256:"+sha256sum(first)), first); got.Path != path {
			t.Errorf("%s: used %s", location, got.Path)
		}
	}
	write(second)
	mustFail(t, newStore(t, dir), filepath.Join(dir, "cache"), image(path, "sha256:"+sha256sum(first)), "wrong checksum")
	mustFetch(t, newStore(t, dir), image(path, ""), second)

	for location, want := range map[string]string{
		"none.raw": "no such file", dir: "not a regular file", "file://disk.raw": "three slashes", "ftp://h/x": `no source for scheme "ftp", there are: file, http, https`,
	} {
		mustFail(t, newStore(t, dir), filepath.Join(dir, "cache"), image(location, ""), want)
	}
}

func TestTheFormatMustBeWhatTheBlockSays(t *testing.T) {
	dir := t.TempDir()
	img := image(serve(t, qcow2(1<<30, nil)).URL+"/x", "")
	img.Format = "raw"
	if _, err := newStore(t, dir).Fetch(t.Context(), img, nil); err == nil || !strings.Contains(err.Error(), `format is "raw", but the bits are qcow2`) {
		t.Errorf("error %v", err)
	}
}

func TestADamagedCacheMendsItself(t *testing.T) {
	dir := t.TempDir()
	bits := disk(1_000_000, 1)
	web := serve(t, bits)
	img := image(web.URL+"/disk.raw", "sha256:"+sha256sum(bits))
	damage := map[string]func(path string) error{
		"a bit flipped": func(path string) error {
			return errors.Join(os.Chmod(path, 0o600), os.WriteFile(path, append([]byte{bits[0] ^ 1}, bits[1:]...), 0o600))
		},
		"cut short": func(path string) error { return os.Truncate(path, 10) },
		"gone":      os.Remove,
		"index unreadable": func(string) error {
			found, err := filepath.Glob(filepath.Join(dir, "cache", "sources", "*", "versions.json"))
			if err != nil || len(found) != 1 {
				return fmt.Errorf("found %q: %w", found, err)
			}
			return os.WriteFile(found[0], []byte(`{"versions":[{"digest":"sha256:"}]}`), 0o600)
		},
	}
	for name, do := range damage {
		got := mustFetch(t, newStore(t, dir), img, bits)
		before := len(web.asked())
		if err := do(got.Path); err != nil {
			t.Fatal(err)
		}
		mustFetch(t, newStore(t, dir), img, bits)
		if len(web.asked()) != before+1 {
			t.Errorf("%s: not downloaded again", name)
		}
	}
	got := mustFetch(t, newStore(t, dir), img, bits)
	before := len(web.asked())
	if err := os.Chtimes(got.Path, webTime, webTime); err != nil {
		t.Fatal(err)
	}
	mustFetch(t, newStore(t, dir), img, bits)
	if len(web.asked()) != before {
		t.Error("bits that are intact but have another time were downloaded again")
	}
}

func TestProgressIsToldWithItsTotal(t *testing.T) {
	web := serve(t, disk(5<<20, 1))
	var last drivers.Progress
	_, err := newStore(t, t.TempDir()).Fetch(t.Context(), image(web.URL+"/disk.raw", ""), func(p drivers.Progress) {
		if p.Phase == last.Phase && p.Done < last.Done {
			t.Errorf("progress went back from %+v to %+v", last, p)
		}
		last = p
	})
	if want := (drivers.Progress{Phase: "downloading", Done: 5 << 20, Total: 5 << 20}); err != nil || last != want {
		t.Errorf("last progress %+v (%v), want %+v", last, err, want)
	}
}

func TestProbeTellsWhatWillBeDownloaded(t *testing.T) {
	dir := t.TempDir()
	bits := disk(1_000_000, 1)
	web := serve(t, bits)
	img := image(web.URL+"/disk.raw", "")
	probe := func(img *resource.Image, wantSize int64, wantKnown bool) {
		t.Helper()
		size, known, err := newStore(t, dir).Probe(t.Context(), img)
		if size != wantSize || known != wantKnown || known && err != nil {
			t.Errorf("%s: %d, %v, %v; want %d, %v", img.Source, size, known, err, wantSize, wantKnown)
		}
	}
	probe(img, 1_000_000, true)
	if files := cached(t, filepath.Join(dir, "cache")); len(files) != 0 {
		t.Errorf("a probe has written %q", files)
	}
	mustFetch(t, newStore(t, dir), img, bits)
	probe(img, 0, true)
	web.set(disk(300_000, 2))
	probe(img, 300_000, true)
	probe(image(web.URL+"/disk.raw", "sha256:"+sha256sum(bits)), 0, true)

	if err := os.WriteFile(filepath.Join(dir, "local.raw"), bits, 0o600); err != nil {
		t.Fatal(err)
	}
	probe(image("local.raw", ""), 0, true)
	probe(image("missing.raw", ""), 0, false)
	web.misbehaves(func(_ int, w nethttp.ResponseWriter, _ *nethttp.Request) bool {
		w.WriteHeader(nethttp.StatusMethodNotAllowed)
		return true
	})
	probe(image(web.URL+"/other.raw", ""), 0, false)
}

func TestCancellingEndsADownloadAtOnceAndKeepsWhatCame(t *testing.T) {
	dir := t.TempDir()
	bits := disk(4<<20, 1)
	web := serve(t, bits)
	release := make(chan struct{})
	defer close(release)
	web.misbehaves(func(n int, w nethttp.ResponseWriter, r *nethttp.Request) bool {
		if n > 0 {
			return false
		}
		w.Header().Set("ETag", web.etag)
		w.Header().Set("Content-Length", fmt.Sprint(len(bits)))
		w.Write(bits[:1<<20])
		w.(nethttp.Flusher).Flush()
		select {
		case <-release:
		case <-r.Context().Done():
		}
		return true
	})
	ctx, cancel := context.WithCancel(t.Context())
	_, err := newStore(t, dir).Fetch(ctx, image(web.URL+"/disk.raw", ""), func(p drivers.Progress) {
		if p.Done > 0 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v, want context.Canceled", err)
	}
	mustFetch(t, newStore(t, dir), image(web.URL+"/disk.raw", ""), bits)
	if asked := web.asked(); len(asked) != 2 || !strings.HasPrefix(asked[1], "GET bytes=") {
		t.Errorf("asked %q, want the rest after what had come", asked)
	}
}

func TestAFileOfOneSumNeedNotNameTheImageAsItIsCalledNow(t *testing.T) {
	bits := disk(4096, 1)
	files := httptest.NewServer(nethttp.HandlerFunc(func(w nethttp.ResponseWriter, r *nethttp.Request) {
		switch filepath.Base(r.URL.Path) {
		case "latest.raw":
			w.Write(bits)
		case "latest.raw.sha256", "other.sha256":
			fmt.Fprintf(w, "# built at night\n%s  build-17.raw\n", sha256sum(bits))
		default:
			nethttp.NotFound(w, r)
		}
	}))
	defer files.Close()
	dir := t.TempDir()
	mustFetch(t, newStore(t, dir), image(files.URL+"/latest.raw", files.URL+"/latest.raw.sha256"), bits)
	mustFail(t, newStore(t, t.TempDir()), dir+"/none", image(files.URL+"/latest.raw", files.URL+"/other.sha256"), `does not name "latest.raw"`)
}
