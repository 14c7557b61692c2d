package sim_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/sim"
)

func TestAPoolRunsFull(t *testing.T) {
	d := openMemory(t, sim.New(func(d *sim.Data) {
		d.Pools = map[string]*sim.Pool{"small": {Capacity: 10 * resource.GiB}}
	}))
	raw := &resource.Volume{Meta: named("a"), PoolName: "small", File: "a.raw", Format: "raw", Size: 6 * resource.GiB}
	do(t, d, drivers.NewCreate(raw, nil))
	again := *raw
	again.File = "b.raw"
	_, err := d.Do(t.Context(), drivers.NewCreate(&again, nil), nil)
	if !errors.Is(err, drivers.ErrNoSpace) || !strings.Contains(err.Error(), "pool small has 4 GiB left and this takes 6 GiB") {
		t.Errorf("a second of 6 GiB gives %v", err)
	}
	bigger := *raw
	bigger.Size = 11 * resource.GiB
	if _, err := d.Do(t.Context(), drivers.NewUpdate(raw, &bigger, false), nil); !errors.Is(err, drivers.ErrNoSpace) {
		t.Errorf("growing to 11 GiB gives %v", err)
	}
	thin := again
	thin.Format, thin.Size = "qcow2", 100*resource.GiB
	do(t, d, drivers.NewCreate(&thin, nil))
	pool := observe(t, d, &resource.Pool{Meta: named("small")}).Objects["pool/small"]
	if pool.Capacity != 10*resource.GiB || pool.Free != 4*resource.GiB-256*resource.KiB {
		t.Errorf("the pool has %s of %s left", pool.Free, pool.Capacity)
	}
}

// shelf is an image store with one image.
type shelf struct {
	bits drivers.Bits
	err  error
}

func (s shelf) Fetch(_ context.Context, _ *resource.Image, report func(drivers.Progress)) (drivers.Bits, error) {
	report(drivers.Progress{Phase: "downloading"})
	return s.bits, s.err
}

func TestImagesComeFromTheStore(t *testing.T) {
	bits := drivers.Bits{Format: "raw", Digest: "sha256:ab", Size: 1 << 20, VirtualSize: 3 * resource.GiB}
	wrong := errors.New("the checksum is wrong")
	img := &resource.Image{Meta: named("img"), PoolName: "default", File: "img-01.qcow2"}
	for name, c := range map[string]struct {
		store  shelf
		format string
		want   error
	}{
		"as it is":       {shelf{bits: bits}, "", nil},
		"another format": {shelf{bits: bits}, "qcow2", drivers.ErrConflict},
		"not to be had":  {shelf{err: wrong}, "", wrong},
	} {
		h := sim.New(func(d *sim.Data) { d.Pools = map[string]*sim.Pool{"default": {}} })
		d, err := h.Open(nil, drivers.Env{Images: c.store})
		if err != nil {
			t.Fatal(err)
		}
		img.Format = c.format
		result, err := d.Do(t.Context(), drivers.NewCreate(img, nil), nil)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		have := observe(t, d, img).Objects[resource.Key(img)]
		if c.want != nil {
			if have != nil {
				t.Errorf("%s: it is there all the same", name)
			}
			continue
		}
		if got := result.Object.(*resource.Image); got.Digest != "sha256:ab" || got.Format != "raw" {
			t.Errorf("%s: the import found %s %s", name, got.Digest, got.Format)
		}
	}
}

func TestASeedNeedsItsTexts(t *testing.T) {
	h := sim.New(func(d *sim.Data) { d.Pools = map[string]*sim.Pool{"default": {}} })
	seed := &resource.Seed{Meta: named("seed"), PoolName: "default", File: "s.iso", UserData: resource.NewSecret("hush", []byte("salt"))}
	text, err := json.Marshal(resource.Encoded{Resource: seed})
	if err != nil {
		t.Fatal(err)
	}
	var decoded resource.Encoded
	if err := json.Unmarshal(text, &decoded); err != nil {
		t.Fatal(err)
	}
	d := openMemory(t, h)
	if _, err := d.Do(t.Context(), drivers.NewCreate(decoded.Resource, nil), nil); err == nil {
		t.Error("a seed of unknown content was made")
	}
	do(t, d, drivers.NewCreate(seed, nil))
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestAHandWrittenFileMaySayLittle(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lab.json")
	write(t, path, `{"vms": {"found": {"memory": "2GiB", "disk": [{"label": "root", "source": "default/x.qcow2"}], "power": "on"}},
		"volumes": {"default/x.qcow2": {"size": "5GiB"}}, "pools": {"default": {}}}`)
	d := openFile(t, path)
	want := &resource.VM{Meta: named("found")}
	o := observe(t, d, want).Objects["vm/found"]
	vm := o.Resource.(*resource.VM)
	if o.Power != drivers.PowerOn || vm.Memory != 2*resource.GiB || vm.VCPUs != 1 || vm.UUID == "" || vm.Machine != "q35" || vm.Disks[0].Bus != "virtio" {
		t.Errorf("it is %s: %+v", o.Power, vm)
	}
	write(t, path, `{"vms": {"found": {"memori": "2GiB"}}}`)
	_, err := d.Observe(t.Context(), drivers.Selection{})
	if !errors.Is(err, drivers.ErrUnavailable) || !strings.Contains(err.Error(), "memori") {
		t.Errorf("a misspelt field gives %v", err)
	}
}

func TestALogThatACrashLeftIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	path, log := filepath.Join(dir, "lab.json"), filepath.Join(dir, ".lab.json.log")
	write(t, path, `{"vms": {"old": {}}}`)
	write(t, log, `{"section":"vms","name":"web","value":{"uuid":"u","power":"off"}}
{"section":"vms","name":"old","value":null}
{"section":"vms","name":"torn","val`)
	h := sim.File(path)
	if got := vmNames(t, h); got != "web" {
		t.Errorf("there are %q", got)
	}
	d := openMemory(t, h)
	do(t, d, drivers.NewCreate(&resource.VM{Meta: named("web"), UUID: "u"}, nil))
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if got := vmNames(t, sim.File(path)); got != "web" {
		t.Errorf("after closing there are %q", got)
	}
}
