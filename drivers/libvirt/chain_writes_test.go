//go:build !nolibvirt

package libvirt

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
)

// meddler writes to a disk once, as soon as it is given something.
type meddler struct{ write func() }

func (m *meddler) Write(p []byte) (int, error) {
	if m.write != nil {
		m.write()
		m.write = nil
	}
	return len(p), nil
}

// A guest is started while its disk is read, writes to it or to what it stands on, and is off again before that ends.
func TestWhatWasWrittenToWhileItWasReadIsNotBelieved(t *testing.T) {
	_, d, pool := store(t)
	top := chain(t, d, pool)
	raw := normal(t, d, &resource.Volume{Meta: labMeta(resource.KindVolume, "raw"), PoolName: pool.Name, File: "plain.raw", Format: "raw", Size: 8 * resource.MiB})
	do(t, d, drivers.NewCreate(raw, nil))
	clone := normal(t, d, &resource.Volume{Meta: labMeta(resource.KindVolume, "clone"), PoolName: pool.Name, File: "clone.qcow2", CopyOf: resource.VolumeID(top)})
	img := normal(t, d, &resource.Image{
		Meta: labMeta(resource.KindImage, "golden"), From: resource.Addr{Kind: resource.KindVolume, Name: "top"}, Origin: resource.VolumeID(top),
		PoolName: pool.Name, File: "golden-00112233.qcow2", Format: "qcow2",
	})
	read := func(v *resource.Volume) func(func()) error {
		return func(meddle func()) error {
			_, err := d.ReadVolume(t.Context(), resource.VolumeID(v), &meddler{meddle}, nil)
			return err
		}
	}
	create := func(r resource.Resource) func(func()) error {
		return func(meddle func()) error {
			_, err := d.Do(t.Context(), drivers.NewCreate(r, nil), func(p drivers.Progress) {
				if p.Phase == "copying" {
					meddle()
				}
			})
			return err
		}
	}
	for _, tt := range []struct {
		name string
		read func(meddle func()) error
		disk *resource.Volume // that is written to
		made resource.Resource
	}{
		{"a raw disk is exported", read(raw), raw, nil},
		{"an overlay is exported", read(top), top, nil},
		{"an overlay is exported, and its base written to", read(top), &resource.Volume{File: "base.qcow2", Format: "qcow2"}, nil},
		{"a disk is copied", create(clone), top, clone},
		{"an image is made of a disk", create(img), top, img},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.read(func() {
				qemuImg(t, "bench", "-q", "-w", "-c", "1", "--pattern", "77", "-f", tt.disk.Format, filepath.Join(pool.Path, tt.disk.File))
			})
			if !errors.Is(err, drivers.ErrInUse) || !strings.Contains(err.Error(), "leave its vm off until this is done, and do it again") {
				t.Errorf("it gives %v", err)
			}
			if tt.made != nil {
				if _, err := os.Stat(filepath.Join(pool.Path, filepath.Base(resource.VolumeID(tt.made)))); !errors.Is(err, os.ErrNotExist) {
					t.Errorf("the torn copy is still there: %v", err)
				}
			}
			check(t, tt.read(func() {})) // at rest
			if tt.made != nil {
				do(t, d, drivers.NewDelete(tt.made))
			}
		})
	}
}

// In the moment before the copy begins, somebody makes a file of its name.
func TestACopyThatFailsLeavesWhatIsThereAsItIs(t *testing.T) {
	_, d, pool := store(t)
	top := chain(t, d, pool)
	theirs := filepath.Join(pool.Path, "theirs.qcow2")
	s, err := d.session(t.Context())
	check(t, err)
	c := &call{driver: d, session: s, ctx: t.Context(), report: func(drivers.Progress) {}}
	p, err := c.pool(pool.Name)
	check(t, err)
	defer freePool(p)
	live, err := c.readVolumeByID(resource.VolumeID(top))
	check(t, err)
	for _, known := range []bool{false, true} {
		qemuImg(t, "create", "-q", "-f", "qcow2", theirs, "1M")
		writeByte(t, theirs, 5, 0)
		was, err := os.ReadFile(theirs)
		check(t, err)
		if known {
			check(t, c.refreshWhenIdle(p, pool.Name))
		}
		def := emptyVolume(&resource.Volume{File: "theirs.qcow2", Format: "qcow2", Size: top.Size})
		if err := c.copyUnwritten(p, def, live); err == nil {
			t.Errorf("known to libvirt %t: it is copied over", known)
		}
		if is, err := os.ReadFile(theirs); err != nil || !bytes.Equal(is, was) {
			t.Errorf("known to libvirt %t: the file has changed (%v)", known, err)
		}
	}
}

// A vm's disk stands on a file that is called as the image is, and is something else.
func TestAnImageReplacesNothingThatIsUsed(t *testing.T) {
	_, d, pool := store(t)
	img := normal(t, d, &resource.Image{Meta: labMeta(resource.KindImage, "tiny"), Source: "tiny", PoolName: pool.Name, File: "tiny-00112233.qcow2"})
	base, over := filepath.Join(pool.Path, img.File), filepath.Join(pool.Path, "over.qcow2")
	for _, remote := range []bool{false, true} {
		d.env.Images = newImages(t)
		qemuImg(t, "create", "-q", "-f", "qcow2", base, "16M")
		qemuImg(t, "create", "-q", "-f", "qcow2", "-b", base, "-F", "qcow2", over)
		was, err := os.ReadFile(base)
		check(t, err)
		if remote {
			viaLibvirt(d, pool.Path)
			_, err := d.Observe(t.Context(), drivers.Selection{Want: []resource.Resource{pool, img}})
			check(t, err)
		}
		if _, err := d.Do(t.Context(), drivers.NewCreate(img, nil), nil); !errors.Is(err, drivers.ErrInUse) || !strings.Contains(err.Error(), "over.qcow2") {
			t.Errorf("remote %t: importing over it gives %v", remote, err)
		}
		if is, err := os.ReadFile(base); err != nil || !bytes.Equal(is, was) {
			t.Errorf("remote %t: the file has changed (%v)", remote, err)
		}
		check(t, os.Remove(over))
		do(t, d, drivers.NewDelete(img))
	}
}

// The file in which the firmware of a vm with the new name would keep its variables is somebody's.
func TestARenameTakesNobodysFirmwareVariables(t *testing.T) {
	host, d, _ := store(t)
	vm := normal(t, d, &resource.VM{Meta: labMeta(resource.KindVM, "web"), UUID: "0a6a3c5e-0000-5000-8000-000000000077", Firmware: "uefi", DomainType: "qemu", Memory: 128 * resource.MiB})
	do(t, d, drivers.NewCreate(vm, nil))
	s, err := d.session(t.Context())
	check(t, err)
	c := &call{driver: d, session: s, ctx: t.Context()}
	dom, err := c.domain(vm)
	check(t, err)
	defer freeDomain(dom)
	def, err := wholeDefinition(dom)
	check(t, err)
	inHost := func(script, file string, in io.Reader) string {
		t.Helper()
		cmd := host.Command("sh", "-c", script, "sh", file)
		cmd.Stdin = in
		out, err := cmd.Output()
		check(t, err)
		return string(out)
	}
	write := func(name, content string) string {
		file, err := c.firmwareState(def, name)
		check(t, err)
		inHost(`mkdir -p "${1%/*}"; cat >"$1"`, file, strings.NewReader(content))
		return file
	}
	write("web", "ours")
	theirs := write("www", "them")
	renamed := resource.Clone(vm)
	renamed.Name = "www"
	if _, err := d.Do(t.Context(), drivers.NewUpdate(vm, renamed, false), nil); !errors.Is(err, drivers.ErrConflict) || !strings.Contains(err.Error(), theirs) {
		t.Errorf("the rename gives %v", err)
	}
	if is := inHost(`cat "$1"`, theirs, nil); is != "them" {
		t.Errorf("their file holds %q", is)
	}
	write("www", "ours") // a run was killed when it had copied it
	do(t, d, drivers.NewUpdate(vm, renamed, false))
	if is := inHost(`cat "$1"`, theirs, nil); is != "ours" {
		t.Errorf("after the rename there is %q", is)
	}
	do(t, d, drivers.NewDelete(renamed))
}
