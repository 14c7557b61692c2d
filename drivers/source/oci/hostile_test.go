package oci_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	specs "github.com/opencontainers/image-spec/specs-go/v1"

	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/source/oci"
	"vmplan.dev/vmplan/drivers/source/oci/ocitest"
)

// between is a server in front of a real registry that may answer some requests itself.
type between struct {
	*httptest.Server
	mu    sync.Mutex
	asked []string // "GET /v2/… bytes=N-"
	do    func(n int, w http.ResponseWriter, r *http.Request) (done bool)
}

func before(t *testing.T, reg *ocitest.Registry, do func(n int, w http.ResponseWriter, r *http.Request) bool) *between {
	t.Helper()
	b := &between{do: do}
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: reg.Host})
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.mu.Lock()
		n := len(b.asked)
		b.asked = append(b.asked, strings.TrimSpace(r.Method+" "+r.URL.Path+" "+r.Header.Get("Range")))
		b.mu.Unlock()
		if !b.do(n, w, r) {
			proxy.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(b.Close)
	t.Cleanup(b.CloseClientConnections)
	return b
}

func (b *between) host() string { return b.Listener.Addr().String() }

// blobs are the requests for blobs, without their paths.
func (b *between) blobs() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var found []string
	for _, a := range b.asked {
		if f := strings.Fields(a); strings.Contains(a, "/blobs/") {
			found = append(found, strings.Join(slices.Delete(f, 1, 2), " "))
		}
	}
	return found
}

// count counts the requests of a method.
func (b *between) count(method string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for _, a := range b.asked {
		if strings.HasPrefix(a, method+" ") {
			n++
		}
	}
	return n
}

func isBlob(r *http.Request) bool {
	return r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/")
}

func isManifest(r *http.Request) bool { return strings.Contains(r.URL.Path, "/manifests/") }

// cut sends the first half of an answer and breaks off.
func cut(w http.ResponseWriter, all []byte) {
	w.Header().Set("Content-Length", fmt.Sprint(len(all)))
	w.Write(all[:len(all)/2])
	w.(http.Flusher).Flush()
	panic(http.ErrAbortHandler)
}

func TestALayerThatBreaksOffIsContinuedWhereItBroke(t *testing.T) {
	reg := ocitest.Start(t, ocitest.Options{})
	disk := bits(4<<20, "disk")
	reg.Artifact(t, "x", "v1", map[string][]byte{"disk.raw": disk})
	first := true
	way := before(t, reg, func(_ int, w http.ResponseWriter, r *http.Request) bool {
		if isBlob(r) && first {
			first = false
			cut(w, disk)
		}
		return false
	})
	newUser(t).mustGet("oci://"+way.host()+"/x:v1", disk)
	if got := way.blobs(); !slices.Equal(got, []string{"GET", "GET bytes=2097152-"}) {
		t.Errorf("blobs were asked for with %q", got)
	}
}

func TestADownloadThatIsStoppedGoesOnInAnotherRun(t *testing.T) {
	reg := ocitest.Start(t, ocitest.Options{})
	disk := bits(4<<20, "disk")
	layer := ocitest.Tar(t, "disk/disk.img", disk)
	reg.ContainerDisk(t, "x", "v1", runtime.GOARCH, layer)
	ctx, stop := context.WithCancel(t.Context())
	way := before(t, reg, func(_ int, w http.ResponseWriter, r *http.Request) bool {
		if !isBlob(r) || r.Header.Get("Range") != "" {
			return false
		}
		w.Header().Set("Content-Length", fmt.Sprint(len(layer)))
		w.Write(layer[:2<<20]) // the rest does not come
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		return true
	})
	u := newUser(t)
	at := "oci://" + way.host() + "/x:v1"
	halfway := func(p drivers.Progress) {
		if p.Done > 1<<20 {
			stop()
		}
	}
	if _, err := u.fetch(ctx, at, halfway); !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v, want that it was stopped", err)
	}
	u.mustGet(at, disk)
	got := way.blobs()
	if len(got) != 2 || got[0] != "GET" || !strings.HasPrefix(got[1], "GET bytes=") {
		t.Errorf("blobs were asked for with %q, want the second time only the rest", got)
	}
}

func TestALayerInAnObjectStoreIsContinuedThereAndTheStoreSeesNoLogin(t *testing.T) {
	reg := ocitest.Start(t, ocitest.Options{Users: map[string]string{"joe": "s3cret-word"}})
	disk := bits(4<<20, "disk")
	reg.Artifact(t, "x", "v1", map[string][]byte{"disk.raw": disk})
	var asked []string
	store := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Header.Get("Range")+r.Header.Get("Authorization"))
		w.Header().Set("ETag", `"the store's own"`)
		if len(asked) == 1 {
			cut(w, disk)
		}
		http.ServeContent(w, r, "", webTime, strings.NewReader(string(disk)))
	}))
	defer store.Close()
	way := before(t, reg, func(_ int, w http.ResponseWriter, r *http.Request) bool {
		if isBlob(r) {
			http.Redirect(w, r, store.URL+"/bucket?signature=s3cret-sign", http.StatusTemporaryRedirect)
		}
		return isBlob(r)
	})
	u := newUser(t)
	u.login(way.host(), "joe", "s3cret-word")
	u.mustGet("oci://"+way.host()+"/x:v1", disk)
	if !slices.Equal(asked, []string{"", "bytes=2097152-"}) {
		t.Errorf("the store was asked with %q", asked)
	}
	u.saysNothingOf("s3cret")
}

// TestLies: what a registry gets wrong is found out, is no reason to try for long, and leaves nothing behind.
func TestLies(t *testing.T) {
	disk := bits(1<<20, "disk")
	forged := bits(1<<20, "forged")
	answer := func(w http.ResponseWriter, kind string, body []byte) bool {
		w.Header().Set("Content-Type", kind)
		w.Write(body)
		return true
	}
	for _, c := range []struct {
		name string
		do   func(w http.ResponseWriter, r *http.Request) bool
		want string
	}{
		{"other bits", func(w http.ResponseWriter, r *http.Request) bool {
			return isBlob(r) && answer(w, "application/octet-stream", forged)
		}, "wrong checksum: the source promised sha256:"},
		{"more bits", func(w http.ResponseWriter, r *http.Request) bool {
			return isBlob(r) && answer(w, "application/octet-stream", append(slices.Clone(disk), 1))
		}, "sends more than the 1048576 bytes"},
		{"another manifest", func(w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("Docker-Content-Digest", "sha256:"+strings.Repeat("0", 64))
			return isManifest(r) && answer(w, specs.MediaTypeImageManifest, []byte(`{"schemaVersion":2}`))
		}, "the manifest is not what its digest sha256:0000"},
		{"no manifest", func(w http.ResponseWriter, r *http.Request) bool {
			return isManifest(r) && answer(w, "text/html", []byte("<html>log in first</html>"))
		}, "is damaged"},
		{"another kind of manifest", func(w http.ResponseWriter, r *http.Request) bool {
			return isManifest(r) && answer(w, "application/vnd.docker.distribution.manifest.v1+json", []byte(`{"fsLayers":[]}`))
		}, "which is no image"},
		{"a large manifest", func(w http.ResponseWriter, r *http.Request) bool {
			return isManifest(r) && answer(w, specs.MediaTypeImageManifest, make([]byte, 5<<20))
		}, "the manifest is larger than 4 MiB"},
		{"an endless manifest", func(w http.ResponseWriter, r *http.Request) bool {
			if !isManifest(r) {
				return false
			}
			for block := make([]byte, 64<<10); ; {
				if _, err := w.Write(block); err != nil {
					return true
				}
			}
		}, "the manifest is larger than 4 MiB"},
		{"many layers", func(w http.ResponseWriter, r *http.Request) bool {
			layers := strings.Repeat(`{"digest":"sha256:0"},`, 1000)
			return isManifest(r) && answer(w, specs.MediaTypeImageManifest, []byte(`{"layers":[`+strings.TrimSuffix(layers, ",")+`]}`))
		}, "it has 1000 layers"},
		{"many manifests", func(w http.ResponseWriter, r *http.Request) bool {
			all := strings.Repeat(`{"digest":"sha256:0"},`, 1000)
			return isManifest(r) && answer(w, specs.MediaTypeImageIndex, []byte(`{"manifests":[`+strings.TrimSuffix(all, ",")+`]}`))
		}, "it is an index of 1000 manifests"},
		{"a layer of less than nothing", func(w http.ResponseWriter, r *http.Request) bool {
			text := `{"layers":[{"digest":"sha256:` + strings.Repeat("0", 64) + `","size":-5}]}`
			return isManifest(r) && answer(w, specs.MediaTypeImageManifest, []byte(text))
		}, "a layer of -5 bytes"},
		{"a layer with a path for a digest", func(w http.ResponseWriter, r *http.Request) bool {
			return isManifest(r) && answer(w, specs.MediaTypeImageManifest, []byte(`{"layers":[{"digest":"sha256:../../etc/passwd","size":5}]}`))
		}, "which cannot be"},
		{"a manifest of an index with a path for a digest", func(w http.ResponseWriter, r *http.Request) bool {
			return isManifest(r) && answer(w, specs.MediaTypeImageIndex, []byte(`{"manifests":[{"digest":"../../../admin"}]}`))
		}, "which cannot be"},
		{"a layer elsewhere", func(w http.ResponseWriter, r *http.Request) bool {
			text := `{"layers":[{"digest":"sha256:` + strings.Repeat("0", 64) + `","size":5,"urls":["http://169.254.169.254/"]}]}`
			return isManifest(r) && answer(w, specs.MediaTypeImageManifest, []byte(text))
		}, "a foreign layer"},
		{"a circle of redirects", func(w http.ResponseWriter, r *http.Request) bool {
			if isManifest(r) {
				http.Redirect(w, r, r.URL.Path, http.StatusFound)
			}
			return isManifest(r)
		}, "more than 10 redirects"},
	} {
		t.Run(c.name, func(t *testing.T) {
			reg := ocitest.Start(t, ocitest.Options{})
			reg.Artifact(t, "x", "v1", map[string][]byte{"disk.raw": disk})
			way := before(t, reg, func(_ int, w http.ResponseWriter, r *http.Request) bool { return c.do(w, r) })
			newUser(t).mustNotGet("oci://"+way.host()+"/x:v1", c.want)
		})
	}
}

func TestARegistryThatIsBusyIsAskedAgain(t *testing.T) {
	reg := ocitest.Start(t, ocitest.Options{})
	disk := bits(1<<20, "disk")
	reg.Artifact(t, "x", "v1", map[string][]byte{"disk.raw": disk})
	busy := []int{503, 429}
	way := before(t, reg, func(_ int, w http.ResponseWriter, r *http.Request) bool {
		if !isManifest(r) || len(busy) == 0 {
			return false
		}
		w.WriteHeader(busy[0])
		busy = busy[1:]
		return true
	})
	newUser(t).mustGet("oci://"+way.host()+"/x:v1", disk)
}

// TestARegistryOutThereCannotSendUsInside: it may send us to other servers out there, and to none that are nearer to us.
func TestARegistryOutThereCannotSendUsInside(t *testing.T) {
	reg := ocitest.Start(t, ocitest.Options{})
	disk := bits(1<<20, "disk")
	reg.Artifact(t, "x", "v1", map[string][]byte{"disk.raw": disk})
	asked := 0
	inside := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		w.Write(disk)
	}))
	defer inside.Close()
	_, port, _ := strings.Cut(inside.Listener.Addr().String(), ":")

	for _, c := range []struct{ registry, to, want string }{
		{"203.0.113.7", "127.0.0.1", "an address of this machine"},
		{"203.0.113.7", "localhost", "an address of this machine"},
		{"203.0.113.7", "0.0.0.0", "an address of this machine"},
		{"203.0.113.7", "[::ffff:127.0.0.1]", "an address of this machine"},
		{"203.0.113.7", "169.254.169.254", "a link-local address"},
		{"203.0.113.7", "[fe80::1]", "a link-local address"},
		{"203.0.113.7", "10.1.2.3", "an address of a private network"},
		{"203.0.113.7", "100.100.100.200", "an address of a private network"},
		{"203.0.113.7", "inside.example", "an address of this machine"}, // a name that resolves to it
		{"10.0.0.7", "127.0.0.1", "an address of this machine"},
		{"10.0.0.7", "169.254.169.254", "a link-local address"},
		{"127.0.0.7", "169.254.169.254", "a link-local address"},
		{"10.0.0.7", "outside.example", ""},
		{"127.0.0.7", "127.0.0.1", ""},
	} {
		for _, what := range []string{"bits", "manifests", "tokens"} {
			t.Run(c.registry+" to "+c.to+" for "+what, func(t *testing.T) {
				asked = 0
				target := "http://" + c.to + ":" + port + "/latest/meta-data"
				way := before(t, reg, func(_ int, w http.ResponseWriter, r *http.Request) bool {
					switch {
					case what == "bits" && isBlob(r), what == "manifests" && isManifest(r):
						http.Redirect(w, r, target, http.StatusFound)
						return true
					case what == "tokens":
						w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm=%q,service="x"`, target))
						w.WriteHeader(http.StatusUnauthorized)
						return true
					}
					return false
				})
				src := newUser(t).source()
				src.Pretend("registry.example", netip.MustParseAddr(c.registry), way.host())
				src.Pretend("inside.example", netip.MustParseAddr("127.0.0.1"), inside.Listener.Addr().String())
				src.Pretend("outside.example", netip.MustParseAddr("203.0.113.9"), inside.Listener.Addr().String())
				body, _, err := src.Open(t.Context(), "oci+http://registry.example/x:v1", position)
				if err == nil {
					body.Close()
				}
				switch {
				case c.want == "" && what == "bits":
					if err != nil || asked != 1 {
						t.Errorf("asked %d times, error %v, want bits from there", asked, err)
					}
				case c.want != "" && (err == nil || asked > 0):
					t.Errorf("asked %d times, error %v", asked, err)
				case c.want != "" && what != "tokens" && !strings.Contains(err.Error(), c.want):
					t.Errorf("error %v lacks %q", err, c.want)
				}
			})
		}
	}
}

func TestALoginIsForItsRegistryAlone(t *testing.T) {
	reg := ocitest.Start(t, ocitest.Options{})
	for realm, mine := range map[string]bool{
		"auth.registry.example": true, "registry.example": true, "www.registry.example": true, // a part of the same site
		"registry.example.evil.example": false, "evil.example": false,
	} {
		t.Run(realm, func(t *testing.T) {
			var asked, logins int
			tokens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked++
				body, _ := io.ReadAll(r.Body)
				if r.Header.Get("Authorization") != "" || len(body) > 0 {
					logins++
				}
				w.Write([]byte(`{"token":"x"}`))
			}))
			defer tokens.Close()
			way := before(t, reg, func(_ int, w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path == "/token" {
					tokens.Config.Handler.ServeHTTP(w, r)
					return true
				}
				w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="http://%s/token",service="x"`, realm))
				w.WriteHeader(http.StatusUnauthorized)
				return true
			})
			u := newUser(t)
			u.login("registry.example", "joe", "s3cret-word")
			src := u.source()
			elsewhere := netip.MustParseAddr("203.0.113.7")
			src.Pretend(realm, elsewhere, tokens.Listener.Addr().String())
			src.Pretend("registry.example", elsewhere, way.host())
			_, err := src.Stat(t.Context(), "oci+http://registry.example/x:v1")
			if err == nil || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("error %v, want one without the password", err)
			}
			if mine != (logins > 0) {
				t.Errorf("%d logins sent to %s (asked %d times): %v", logins, realm, asked, err)
			}
			if !mine && !strings.Contains(err.Error(), "which is not of the same site") {
				t.Errorf("error %v does not say why", err)
			}
		})
	}
}

func TestPlainHTTPIsOnlyForThisMachineAndWhereTheLocationSaysSo(t *testing.T) {
	reg := ocitest.Start(t, ocitest.Options{})
	disk := bits(1<<20, "disk")
	reg.Artifact(t, "x", "v1", map[string][]byte{"disk.raw": disk})
	src := newUser(t).source()
	src.Pretend("registry.example", netip.MustParseAddr("203.0.113.7"), reg.Host)
	_, err := src.Stat(t.Context(), "oci://registry.example/x:v1")
	if err == nil || !strings.Contains(err.Error(), "speaks plain http") || !strings.Contains(err.Error(), oci.SchemePlain+"://") {
		t.Errorf("error %v, want one that says how to take it", err)
	}
	for _, location := range []string{"oci+http://registry.example/x:v1", "oci://" + reg.Host + "/x:v1", "oci://localhost:" + strings.Split(reg.Host, ":")[1] + "/x:v1"} {
		if _, err := src.Stat(t.Context(), location); err != nil {
			t.Errorf("%s: %v", location, err)
		}
	}
}
