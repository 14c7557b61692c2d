//go:build !nolibvirt

package libvirt

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/libvirt/libvirttest"
)

// store is a private host with a pool.
func store(t *testing.T) (*libvirttest.Host, *driver, *resource.Pool) {
	t.Helper()
	host := libvirttest.Start(t)
	d := openURI(t, host.URI, nil)
	pool := normal(t, d, &resource.Pool{Meta: labMeta(resource.KindPool, "fast"), UUID: "0a6a3c5e-0000-5000-8000-000000000001", Path: filepath.Join(host.Dir, "images")})
	do(t, d, drivers.NewCreate(pool, nil))
	return host, d, pool
}

func qemuImg(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("qemu-img", args...).CombinedOutput(); err != nil {
		t.Fatalf("qemu-img: %v: %s", err, out)
	}
}

// Somebody undefined the pool; it is made anew over the folder that still has the disk, or the file comes without libvirt's
// knowing.
func TestAVolumeThatIsThereIsNotOverwritten(t *testing.T) {
	_, d, pool := store(t)
	vol := normal(t, d, &resource.Volume{Meta: labMeta(resource.KindVolume, "data"), PoolName: "fast", File: "data.qcow2", Size: 8 * resource.MiB})
	file := filepath.Join(pool.Path, vol.File)
	for _, size := range []string{"8M", "16M"} {
		for _, known := range []bool{true, false} {
			check(t, os.RemoveAll(file))
			qemuImg(t, "create", "-q", "-f", "qcow2", file, size)
			qemuImg(t, "bench", "-q", "-w", "-c", "1", "-s", "65536", "--pattern=7", "-f", "qcow2", file)
			was, err := os.ReadFile(file)
			check(t, err)
			if known {
				s, err := d.session(t.Context())
				check(t, err)
				p, err := s.conn.LookupStoragePoolByName("fast")
				check(t, err)
				check(t, p.Destroy())
				check(t, p.Undefine())
				freePool(p)
				do(t, d, drivers.NewCreate(pool, nil))
			}
			_, err = d.Do(t.Context(), drivers.NewCreate(vol, nil), nil)
			if same := size == "8M"; same && err != nil || !same && (!errors.Is(err, drivers.ErrConflict) || !strings.Contains(err.Error(), "not overwritten")) {
				t.Errorf("over a file of %s: %v", size, err)
			}
			if is, err := os.ReadFile(file); err != nil || !bytes.Equal(is, was) {
				t.Errorf("over a file of %s: the file has changed (%v)", size, err)
			}
			do(t, d, drivers.NewDelete(vol))
		}
	}
}

// What stands on a volume may lie in a pool that nobody can look into.
func TestNoBaseIsDeletedWhileAPoolCannotBeSeen(t *testing.T) {
	host, d, pool := store(t)
	base := normal(t, d, &resource.Volume{Meta: labMeta(resource.KindVolume, "base"), PoolName: "fast", File: "base.qcow2", Size: 8 * resource.MiB})
	seed := normal(t, d, &resource.Seed{Meta: labMeta(resource.KindSeed, "s"), PoolName: "fast", File: "s.iso", MetaData: resource.NewSecret("x", nil)})
	other := normal(t, d, &resource.Pool{Meta: labMeta(resource.KindPool, "other"), Path: filepath.Join(host.Dir, "other")})
	for _, r := range []resource.Resource{base, seed, other} {
		do(t, d, drivers.NewCreate(r, nil))
	}
	over := filepath.Join(other.Path, "over.qcow2")
	qemuImg(t, "create", "-q", "-f", "qcow2", "-b", filepath.Join(pool.Path, base.File), "-F", "qcow2", over)
	s, err := d.session(t.Context())
	check(t, err)
	p, err := s.conn.LookupStoragePoolByName("other")
	check(t, err)
	defer freePool(p)
	check(t, p.Destroy())
	if _, err := d.Do(t.Context(), drivers.NewDelete(base), nil); err == nil || !strings.Contains(err.Error(), "pool other is not active") {
		t.Errorf("deleting the base gives %v", err)
	}
	do(t, d, drivers.NewDelete(seed)) // nothing stands on one
	d.usage.forget()
	check(t, p.Create(0))
	if _, err := d.Do(t.Context(), drivers.NewDelete(base), nil); !errors.Is(err, drivers.ErrInUse) {
		t.Errorf("with the pool active, deleting the base gives %v", err)
	}
	d.usage.forget()
	check(t, p.Destroy())
	check(t, os.Remove(over))
	do(t, d, drivers.NewDelete(base)) // the folder is empty
}

// A pool that cannot be brought up is not left behind.
func TestAPoolThatCannotStartIsNotDefined(t *testing.T) {
	host := libvirttest.Start(t)
	d := openURI(t, host.URI, nil)
	file := filepath.Join(host.Dir, "file")
	check(t, os.WriteFile(file, nil, 0o600))
	pool := normal(t, d, &resource.Pool{Meta: labMeta(resource.KindPool, "fast"), UUID: "0a6a3c5e-0000-5000-8000-000000000001", Path: filepath.Join(file, "images")})
	if _, err := d.Do(t.Context(), drivers.NewCreate(pool, nil), nil); err == nil {
		t.Error("a pool was made below a file")
	}
	o, err := d.Observe(t.Context(), drivers.Selection{Want: []resource.Resource{pool}})
	check(t, err)
	if o.Objects["pool/fast"] != nil {
		t.Error("it is defined all the same")
	}
	pool.Path = filepath.Join(host.Dir, "images")
	do(t, d, drivers.NewCreate(pool, nil))
}

// A guest has written the header of an image to its raw disk; growing the disk is nothing to that.
func TestARawVolumeGrowsAsRawWhateverIsWrittenToIt(t *testing.T) {
	_, d, pool := store(t)
	vol := normal(t, d, &resource.Volume{Meta: labMeta(resource.KindVolume, "data"), PoolName: "fast", File: "data.raw", Format: "raw", Size: 8 * resource.MiB})
	do(t, d, drivers.NewCreate(vol, nil))
	evil, file := filepath.Join(t.TempDir(), "evil"), filepath.Join(pool.Path, vol.File)
	qemuImg(t, "create", "-q", "-f", "qcow2", evil, "8M")
	header, err := os.ReadFile(evil)
	check(t, err)
	disk, err := os.OpenFile(file, os.O_WRONLY, 0)
	check(t, err)
	_, err = disk.WriteAt(header, 0)
	check(t, err)
	check(t, disk.Close())
	was, err := os.ReadFile(file)
	check(t, err)
	_, err = d.Observe(t.Context(), drivers.Selection{Want: []resource.Resource{pool, vol}}) // libvirt looks at what is in it
	check(t, err)

	bigger := resource.Clone(vol)
	bigger.Size = 32 * resource.MiB
	do(t, d, drivers.NewUpdate(vol, bigger, false))
	is, err := os.ReadFile(file)
	check(t, err)
	if len(is) != int(bigger.Size) || !bytes.Equal(is[:len(was)], was) {
		t.Errorf("it has %d bytes, those of the guest as before: %t", len(is), bytes.Equal(is[:min(len(is), len(was))], was))
	}
	o, err := d.Observe(t.Context(), drivers.Selection{Want: []resource.Resource{pool, bigger}})
	check(t, err)
	if live := o.Objects[resource.Key(bigger)].Resource.(*resource.Volume); live.Size != bigger.Size || live.Format != "raw" {
		t.Errorf("it is shown as %s of %s", live.Format, live.Size)
	}
}

// Durable names cost little beside durable content.
func BenchmarkSeedsAreWritten(b *testing.B) {
	folder, err := os.MkdirTemp(".", "seeds")
	check(b, err)
	defer os.RemoveAll(folder)
	files := &folders{}
	for b.Loop() {
		start := time.Now()
		for i := range 300 {
			check(b, files.write(folder, fmt.Sprint(i, ".iso"), 0o600, func(f *os.File) error { _, err := f.Write(make([]byte, 368<<10)); return err }))
		}
		b.ReportMetric(time.Since(start).Seconds(), "s/300")
	}
}

// A run was killed, and libvirt still makes a disk for it: listed, and without a file. That is not gone: who looks at it, or is to
// make the same, waits until it is there.
func TestAVolumeThatIsBeingMade(t *testing.T) {
	programs := t.TempDir()
	asked, released := filepath.Join(programs, "asked"), filepath.Join(programs, "released")
	tool, err := exec.LookPath("qemu-img")
	check(t, err)
	script := fmt.Sprintf("#!/bin/sh\ntouch %s\nuntil [ -e %s ]; do sleep 0.02; done\nexec %s \"$@\"\n", asked, released, tool)
	check(t, os.WriteFile(filepath.Join(programs, "qemu-img"), []byte(script), 0o755))
	host := libvirttest.Start(t, libvirttest.Programs(programs))
	one, two, three := openURI(t, host.URI, nil), openURI(t, host.URI, nil), openURI(t, host.URI, nil)
	do(t, one, drivers.NewCreate(normal(t, one, &resource.Pool{Meta: labMeta(resource.KindPool, "fast"), Path: filepath.Join(host.Dir, "images")}), nil))
	vol := normal(t, one, &resource.Volume{Meta: labMeta(resource.KindVolume, "data"), PoolName: "fast", File: "data.qcow2", Size: 8 * resource.MiB})
	var all errgroup.Group
	create := func(d *driver) {
		all.Go(func() error {
			_, err := d.Do(t.Context(), drivers.NewCreate(vol, nil), nil)
			return err
		})
	}
	create(one)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(asked); err == nil {
			break
		} else if time.Now().After(deadline) {
			t.Fatal("libvirt does not run qemu-img")
		}
	}

	create(two)
	var seen *drivers.Observed
	looked := make(chan struct{})
	all.Go(func() (err error) {
		defer close(looked)
		seen, err = three.Observe(t.Context(), drivers.Selection{Want: []resource.Resource{vol}})
		return err
	})
	select {
	case <-looked:
		t.Errorf("it does not wait for the disk that is made, and sees %v", seen)
	case <-time.After(500 * time.Millisecond): // long enough for who does not wait
	}
	check(t, os.WriteFile(released, nil, 0o600))
	check(t, all.Wait())
	if seen.Objects["volume/fast/data.qcow2"] == nil {
		t.Errorf("when the disk is made the host has %v", seen.Objects)
	}
}
