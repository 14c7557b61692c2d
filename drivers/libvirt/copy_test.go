//go:build !nolibvirt

package libvirt

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
)

// chain makes a base, an overlay of it and an overlay of that, each with other bytes in it, and gives the topmost.
func chain(t *testing.T, d *driver, pool *resource.Pool) *resource.Volume {
	t.Helper()
	var top *resource.Volume
	for i, name := range []string{"base", "middle", "top"} {
		v := &resource.Volume{Meta: labMeta(resource.KindVolume, name), PoolName: pool.Name, File: name + ".qcow2", Size: 8 * resource.MiB}
		if top != nil {
			v.Backing = resource.VolumeID(top)
		}
		top = normal(t, d, v)
		do(t, d, drivers.NewCreate(top, nil))
		writeByte(t, filepath.Join(pool.Path, top.File), i+1, i)
	}
	return top
}

// writeByte fills the nth MiB of an image with a byte, as a guest would.
func writeByte(t *testing.T, file string, pattern, mib int) {
	t.Helper()
	qemuImg(t, "bench", "-q", "-w", "-c", "16", "-s", "65536", "-o", fmt.Sprint(mib<<20), "--pattern", fmt.Sprint(pattern), "-f", "qcow2", file)
}

// readInto reads a volume into a new file.
func readInto(t *testing.T, d *driver, id string) (string, drivers.Content) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "copy")
	f, err := os.Create(file)
	check(t, err)
	defer f.Close()
	content, err := d.ReadVolume(t.Context(), id, f, nil)
	check(t, err)
	return file, content
}

// viaLibvirt makes the driver forget that it can look into the host's folders, as if the host were another machine.
func viaLibvirt(d *driver, folder string) {
	d.folders.mu.Lock()
	defer d.folders.mu.Unlock()
	d.folders.ours = map[string]bool{folder: false}
}

func TestWhatAVolumeHoldsIsReadAcrossItsChain(t *testing.T) {
	_, d, pool := store(t)
	top := chain(t, d, pool)
	raw := normal(t, d, &resource.Volume{Meta: labMeta(resource.KindVolume, "raw"), PoolName: pool.Name, File: "plain.raw", Format: "raw", Size: 8 * resource.MiB})
	do(t, d, drivers.NewCreate(raw, nil))
	qemuImg(t, "convert", "-O", "raw", "-n", filepath.Join(pool.Path, top.File), filepath.Join(pool.Path, raw.File))
	snapshots := normal(t, d, &resource.Volume{Meta: labMeta(resource.KindVolume, "s"), PoolName: pool.Name, File: "s.qcow2", Size: 8 * resource.MiB})
	do(t, d, drivers.NewCreate(snapshots, nil))
	writeByte(t, filepath.Join(pool.Path, snapshots.File), 9, 1)
	qemuImg(t, "snapshot", "-c", "before", filepath.Join(pool.Path, snapshots.File))
	for _, remote := range []bool{false, true} {
		if remote {
			viaLibvirt(d, pool.Path)
		}
		for _, v := range []*resource.Volume{top, raw, snapshots} {
			file, content := readInto(t, d, resource.VolumeID(v))
			if content != (drivers.Content{Format: v.Format, VirtualSize: v.Size}) {
				t.Errorf("%s: %+v", v.File, content)
			}
			qemuImg(t, "compare", "-f", content.Format, "-F", v.Format, file, filepath.Join(pool.Path, v.File))
			out, err := exec.Command("qemu-img", "info", "-f", content.Format, file).CombinedOutput()
			if err != nil || strings.Contains(string(out), "backing file") || strings.Contains(string(out), "Snapshot list") {
				t.Errorf("%s does not stand alone (%v): %s", v.File, err, out)
			}
			if info, err := os.Stat(file); err != nil || v == raw && info.Size() != int64(v.Size) {
				t.Errorf("%s: %v, %v", v.File, info, err)
			}
		}
	}
	left, err := filepath.Glob(filepath.Join(pool.Path, copyPrefix+"*"))
	if check(t, err); len(left) > 0 {
		t.Errorf("there is left: %v", left)
	}
}

// A process that was killed leaves its copy; the next reader in that pool removes it, and no copy that may be in use.
func TestCopiesThatWereLeftBehindAreRemoved(t *testing.T) {
	_, d, pool := store(t)
	top := chain(t, d, pool)
	old, fresh := filepath.Join(pool.Path, copyPrefix+"old.qcow2"), filepath.Join(pool.Path, copyPrefix+"fresh.qcow2")
	for _, file := range []string{old, fresh} {
		qemuImg(t, "create", "-q", "-f", "qcow2", file, "1M")
	}
	long := time.Now().Add(-2 * copyAge)
	check(t, os.Chtimes(old, long, long))
	s, err := d.session(t.Context())
	check(t, err)
	check(t, (&call{driver: d, session: s, ctx: t.Context()}).refreshPoolOf(resource.VolumeID(top)))
	_, err = d.ReadVolume(t.Context(), resource.VolumeID(top), io.Discard, nil)
	check(t, err)
	if _, err := os.Stat(old); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the old copy is still there: %v", err)
	}
	_, err = os.Stat(fresh)
	check(t, err)
}

func TestACopyOutlivesWhatItIsACopyOf(t *testing.T) {
	_, d, pool := store(t)
	top := chain(t, d, pool)
	before, _ := readInto(t, d, resource.VolumeID(top))
	for _, format := range []string{"qcow2", "raw"} {
		clone := normal(t, d, &resource.Volume{Meta: labMeta(resource.KindVolume, "clone"), PoolName: pool.Name, File: "clone." + format, Format: format, CopyOf: resource.VolumeID(top)})
		do(t, d, drivers.NewCreate(clone, nil))
		qemuImg(t, "compare", "-f", "qcow2", "-F", format, before, filepath.Join(pool.Path, clone.File))
	}
	for _, name := range []string{"top", "middle", "base"} {
		do(t, d, drivers.NewDelete(&resource.Volume{PoolName: pool.Name, File: name + ".qcow2"}))
	}
	after, _ := readInto(t, d, pool.Name+"/clone.qcow2")
	qemuImg(t, "compare", "-f", "qcow2", "-F", "qcow2", before, after)
}

// Who asked for the copy was killed, libvirt goes on copying, and the next run wants the half of it gone.
func TestACopyThatIsBeingMadeIsDeletedWhenItIsDone(t *testing.T) {
	host, d, pool := store(t)
	big := normal(t, d, &resource.Volume{Meta: labMeta(resource.KindVolume, "big"), PoolName: pool.Name, File: "big.qcow2", Size: 512 * resource.MiB})
	do(t, d, drivers.NewCreate(big, nil))
	qemuImg(t, "bench", "-q", "-w", "-c", "256", "-s", "1M", "--pattern=7", "-f", "qcow2", filepath.Join(pool.Path, big.File))
	clone := normal(t, d, &resource.Volume{Meta: labMeta(resource.KindVolume, "clone"), PoolName: pool.Name, File: "clone.qcow2", CopyOf: resource.VolumeID(big)})
	first := openURI(t, host.URI, nil)
	made := make(chan error, 1)
	go func() {
		_, err := first.Do(t.Context(), drivers.NewCreate(clone, nil), nil)
		made <- err
	}()
	for _, err := os.Stat(filepath.Join(pool.Path, clone.File)); err != nil; _, err = os.Stat(filepath.Join(pool.Path, clone.File)) {
		check(t, t.Context().Err())
		runtime.Gosched()
	}
	do(t, d, drivers.NewDelete(clone))
	check(t, <-made)
	if _, err := os.Stat(filepath.Join(pool.Path, clone.File)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the copy is still there: %v", err)
	}
}
