package oci_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	specs "github.com/opencontainers/image-spec/specs-go/v1"

	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/source/oci/ocitest"
)

// onDisk puts bits where a push finds them.
func (u *user) onDisk(format string, data []byte) drivers.Bits {
	u.t.Helper()
	path := filepath.Join(u.t.TempDir(), "bits")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		u.t.Fatal(err)
	}
	return drivers.Bits{Path: path, Format: format, Size: int64(len(data))}
}

func (u *user) mustPush(location string, disk drivers.Bits) string {
	u.t.Helper()
	at, err := u.source().PushImage(u.t.Context(), location, disk, nil)
	if err != nil {
		u.t.Fatal(err)
	}
	return at
}

// qcow2 makes a real qcow2 image.
func qcow2(t *testing.T, raw []byte) []byte {
	t.Helper()
	dir := t.TempDir()
	from, to := filepath.Join(dir, "raw"), filepath.Join(dir, "qcow2")
	if err := os.WriteFile(from, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("qemu-img", "convert", "-f", "raw", "-O", "qcow2", from, to).CombinedOutput(); err != nil {
		t.Fatalf("qemu-img: %v: %s", err, out)
	}
	b, err := os.ReadFile(to)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestWhatIsPushedIsAnImageThatKubeVirtRuns(t *testing.T) {
	reg := ocitest.Start(t, ocitest.Options{})
	raw := append(bits(1<<20, "disk"), make([]byte, 30<<20)...)
	u := newUser(t)
	for _, c := range []struct {
		format, name, mediaType string
		data                    []byte
	}{
		{"qcow2", "disk/disk.qcow2", specs.MediaTypeImageLayer, qcow2(t, raw)},
		{"raw", "disk/disk.img", specs.MediaTypeImageLayerGzip, raw},
	} {
		at := u.mustPush("oci://"+reg.Host+"/vm/"+c.format+":v1?arch=aarch64", u.onDisk(c.format, c.data))
		var m specs.Manifest
		reg.Read(t, "vm/"+c.format, "v1", &m)
		var config specs.Image
		if err := json.Unmarshal(reg.ReadBlob(t, "vm/"+c.format, m.Config), &config); err != nil {
			t.Fatal(err)
		}
		if config.Architecture != "arm64" || config.OS != "linux" || config.Created != nil || len(config.RootFS.DiffIDs) != 1 {
			t.Errorf("the configuration is %+v", config)
		}
		if len(m.Layers) != 1 || m.Layers[0].MediaType != c.mediaType || m.Config.MediaType != specs.MediaTypeImageConfig {
			t.Fatalf("the manifest is %+v", m)
		}
		if m.Layers[0].Size > int64(len(c.data))*11/10 || c.format == "raw" && m.Layers[0].Size > 2<<20 {
			t.Errorf("a layer of %d bytes for a disk of %d", m.Layers[0].Size, len(c.data))
		}
		archive := ocitest.Unpack(t, m.Layers[0], reg.ReadBlob(t, "vm/"+c.format, m.Layers[0]))
		in := tar.NewReader(bytes.NewReader(archive))
		for _, want := range []tar.Header{{Name: "disk/", Mode: 0o555}, {Name: c.name, Mode: 0o440, Size: int64(len(c.data))}} {
			h, err := in.Next()
			if err != nil {
				t.Fatal(err)
			}
			if h.Name != want.Name || h.Mode != want.Mode || h.Size != want.Size || h.Uid != 107 || h.Gid != 107 || h.ModTime.Unix() != 0 || h.Uname != "" {
				t.Errorf("the archive has %+v, want %+v of user 107", h, want)
			}
		}
		if got, err := io.ReadAll(in); err != nil || !bytes.Equal(got, c.data) {
			t.Errorf("the disk in the archive is not the one pushed (%v)", err)
		}
		if _, err := in.Next(); err != io.EOF {
			t.Errorf("the archive goes on: %v", err)
		}
		if want := "oci://" + reg.Host + "/vm/" + c.format + "@sha256:"; !strings.HasPrefix(at, want) || !strings.HasSuffix(at, "?arch=arm64") {
			t.Errorf("pushed to %s, want %s…", at, want)
		}
	}
}

func TestTheSameDiskIsTheSameImageAndIsSentOnce(t *testing.T) {
	reg := ocitest.Start(t, ocitest.Options{})
	way := before(t, reg, func(int, http.ResponseWriter, *http.Request) bool { return false })
	at := "oci://" + way.host() + "/vm/disk"
	data := qcow2(t, bits(1<<20, "disk"))
	first := newUser(t).mustPush(at+":v1", newUser(t).onDisk("qcow2", data))
	sent := way.count(http.MethodPatch)
	if again := newUser(t).mustPush(at+":v2", newUser(t).onDisk("qcow2", data)); again != first {
		t.Errorf("the same disk is %s and %s", first, again)
	}
	if now := way.count(http.MethodPatch); sent != 2 || now != sent {
		t.Errorf("%d blobs were sent at first, %d later; want the disk and its configuration, once", sent, now-sent)
	}
}

func TestAPushThatBreaksIsBegunAgain(t *testing.T) {
	reg := ocitest.Start(t, ocitest.Options{})
	data := qcow2(t, bits(8<<20, "disk"))
	broken := false
	way := before(t, reg, func(_ int, w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPatch || broken {
			return false
		}
		broken = true
		r.Body = io.NopCloser(io.MultiReader(io.LimitReader(r.Body, 4<<20), cutOff(func() {})))
		return false
	})
	u := newUser(t)
	u.mustPush("oci://"+way.host()+"/x:v1", u.onDisk("qcow2", data))
	var m specs.Manifest
	reg.Read(t, "x", "v1", &m)
	if got := reg.ReadBlob(t, "x", m.Layers[0]); !bytes.Contains(got, data) {
		t.Error("what is there is not what was pushed")
	}
}

// cutOff is a connection that is cut, with what happens then.
type cutOff func()

func (then cutOff) Read([]byte) (int, error) {
	then()
	return 0, errors.New("cut")
}

func TestAPushThatBrokeOffSendsOnlyWhatDidNotArrive(t *testing.T) {
	reg := ocitest.Start(t, ocitest.Options{})
	u := newUser(t)
	system, data := u.onDisk("qcow2", qcow2(t, bits(2<<20, "system"))), u.onDisk("raw", bits(2<<20, "data"))
	files := map[string][]byte{"appliance.hcl": []byte("appliance \"shop\" {}\n")}
	for _, c := range []struct {
		name       string
		push       func(ctx context.Context, at string) (string, error)
		cut, blobs int // in which blob it breaks off, of how many
	}{
		{"image", func(ctx context.Context, at string) (string, error) {
			return u.source().PushImage(ctx, at, system, nil)
		}, 2, 2},
		{"appliance", func(ctx context.Context, at string) (string, error) {
			p := drivers.Parcel{Files: files, Disks: map[string]drivers.Bits{"data": data, "system": system}}
			return u.source().PushAppliance(ctx, at, p, nil)
		}, 5, 6},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, stop := context.WithCancelCause(t.Context())
			meant := errors.New("the machine was unplugged")
			var sent atomic.Int64
			way := before(t, reg, func(_ int, _ http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodPatch && sent.Add(1) == int64(c.cut) {
					r.Body = io.NopCloser(io.MultiReader(io.LimitReader(r.Body, r.ContentLength/2), cutOff(func() { stop(meant) })))
				}
				return false
			})
			at := "oci://" + way.host() + "/team/" + c.name + ":v1"
			if _, err := c.push(ctx, at); !errors.Is(err, meant) || sent.Load() != int64(c.cut) {
				t.Fatalf("breaks off in blob %d: %v", sent.Load(), err)
			}
			where, err := c.push(t.Context(), at)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := sent.Load(), int64(c.blobs+1); got != want {
				t.Errorf("%d blobs were sent in all, want %d: each once, and again the one that was cut", got, want)
			}
			if whole, err := c.push(t.Context(), at); err != nil || whole != where || sent.Load() != int64(c.blobs+1) {
				t.Errorf("pushed once more it is %s (%v), and was %s; %d blobs were sent in all", whole, err, where, sent.Load())
			}
		})
	}
}

func TestAPushThatIsStoppedLeavesNoTag(t *testing.T) {
	reg := ocitest.Start(t, ocitest.Options{})
	old, young := qcow2(t, bits(1<<20, "old")), qcow2(t, bits(8<<20, "young"))
	u := newUser(t)
	at := "oci://" + reg.Host + "/x"
	first := u.mustPush(at+":v1", u.onDisk("qcow2", old))
	for _, tag := range []string{"v1", "v2"} {
		ctx, stop := context.WithCancelCause(t.Context())
		meant := errors.New("stopped by hand")
		_, err := u.source().PushImage(ctx, at+":"+tag, u.onDisk("qcow2", young), func(p drivers.Progress) {
			if p.Phase == "uploading" && p.Done > p.Total/2 {
				stop(meant)
			}
		})
		if !errors.Is(err, meant) {
			t.Errorf("error %v", err)
		}
	}
	var m specs.Manifest
	if got := reg.Read(t, "x", "v1", &m); !strings.HasSuffix(first, string(got)) {
		t.Errorf("v1 is %s now, it was %s", got, first)
	}
	if _, err := u.source().Stat(t.Context(), at+":v2"); err == nil || !strings.Contains(err.Error(), "the registry has no v2") {
		t.Errorf("v2: %v, want that it is not there", err)
	}
	if at2 := u.mustPush(at+":v2", u.onDisk("qcow2", young)); at2 == first {
		t.Error("another disk is the same image")
	}
}

func TestAPushLogsInAndTellsNobodyElse(t *testing.T) {
	const password = "s3cret-word"
	data := qcow2(t, bits(1<<20, "disk"))
	for _, tokens := range []bool{false, true} {
		t.Run(fmt.Sprintf("tokens %v", tokens), func(t *testing.T) {
			reg := ocitest.Start(t, ocitest.Options{Users: map[string]string{"joe": password}, Tokens: tokens})
			at := "oci://" + reg.Host + "/team/x:v1"
			u := newUser(t)
			if _, err := u.source().PushImage(t.Context(), at, u.onDisk("qcow2", data), nil); err == nil || !strings.Contains(err.Error(), "docker login "+reg.Host) {
				t.Errorf("without a login: %v", err)
			}
			u.login(reg.Host, "joe", password)
			u.mustPush(at, u.onDisk("qcow2", data))
		})
	}

	reg := ocitest.Start(t, ocitest.Options{Users: map[string]string{"joe": password}})
	var sent []string
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { sent = append(sent, r.Method) }))
	defer other.Close()
	elsewhere := other.URL
	way := before(t, reg, func(_ int, w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPost {
			return false
		}
		w.Header().Set("Location", elsewhere+"/upload")
		w.WriteHeader(http.StatusAccepted)
		return true
	})
	u := newUser(t)
	u.login(way.host(), "joe", password)
	_, err := u.source().PushImage(t.Context(), "oci://"+way.host()+"/x:v1", u.onDisk("qcow2", data), nil)
	if err == nil || !strings.Contains(err.Error(), "wants uploads sent to "+elsewhere) || len(sent) > 0 {
		t.Errorf("error %v, sent elsewhere: %q", err, sent)
	}
}

func TestPushingNeedsATag(t *testing.T) {
	u := newUser(t)
	for location, want := range map[string]string{
		"oci://127.0.0.1:1/x@sha256:" + strings.Repeat("0", 64): "name a tag",
		"oci://127.0.0.1:1/x:v1#disk.raw":                       "leave out what follows #",
		"oci://joe:s3cret@127.0.0.1:1/x:v1":                     "docker login",
	} {
		if _, err := u.source().PushImage(t.Context(), location, drivers.Bits{}, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", location, err, want)
		}
	}
}
