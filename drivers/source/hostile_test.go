package source_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers/source"
)

// entries makes a tar archive as no tool would.
func entries(t *testing.T, headers ...*tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	out := tar.NewWriter(&b)
	for _, h := range headers {
		h.Mode = 0o644
		if err := out.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := out.Write(make([]byte, h.Size)); err != nil {
			t.Fatal(err)
		}
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestHostileArchivesAreRefused(t *testing.T) {
	about := &tar.Header{Name: "metadata.json", Size: 2}
	lie := func(to int64) []byte {
		b := entries(t, about, &tar.Header{Name: "box.img", Size: 1024})
		at := bytes.Index(b, []byte("box.img"))
		copy(b[at+124:], fmt.Sprintf("%011o\x00", to))
		sum, field := 0, b[at:at+512]
		copy(field[148:], "        ")
		for _, c := range field {
			sum += int(c)
		}
		copy(field[148:], fmt.Sprintf("%06o\x00 ", sum))
		return b
	}
	many := make([]*tar.Header, 10_001)
	for i := range many {
		many[i] = &tar.Header{Name: fmt.Sprint("f", i)}
	}
	for name, c := range map[string]struct {
		content []byte
		want    string
	}{
		"above":            {entries(t, &tar.Header{Name: "../../etc/cron.d/x", Size: 4}), `the name "../../etc/cron.d/x" leads out of it`},
		"above in between": {entries(t, &tar.Header{Name: "a/../../b", Size: 4}), "leads out of it"},
		"absolute":         {entries(t, &tar.Header{Name: "/etc/passwd", Size: 4}), "leads out of it"},
		"backslash":        {entries(t, &tar.Header{Name: `..\box.img`, Size: 4}), "leads out of it"},
		"symlink":          {entries(t, &tar.Header{Name: "box.img", Typeflag: tar.TypeSymlink, Linkname: "/etc/shadow"}), `"box.img" in it is a link, to "/etc/shadow"`},
		"hard link":        {entries(t, &tar.Header{Name: "box.img", Typeflag: tar.TypeLink, Linkname: "/etc/shadow"}), "is a link"},
		"device":           {entries(t, &tar.Header{Name: "box.img", Typeflag: tar.TypeBlock, Devmajor: 8}), "is a device"},
		"pipe":             {entries(t, &tar.Header{Name: "box.img", Typeflag: tar.TypeFifo}), "is a device or something else"},
		"twice":            {entries(t, about, &tar.Header{Name: "box.img", Size: 4}, &tar.Header{Name: "./box.img", Size: 4}), `"box.img" is in it twice`},
		"too many":         {entries(t, many...), "more than 10000 files"},
		"size too large":   {lie(1 << 20), "cut short"},
		"size of a bomb":   {lie(1<<33 - 1), "more than"},
		"cut short":        {entries(t, about, &tar.Header{Name: "box.img", Size: 1 << 20})[:1<<19], "cut short"},
		"neither":          {entries(t, &tar.Header{Name: "README", Size: 4}), "no OVA, Vagrant box or containerDisk"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorkshop(t)
			w.write("x.box", c.content)
			w.mustRefuse("x.box", c.want)
			var packed bytes.Buffer
			z := gzip.NewWriter(&packed)
			if _, err := z.Write(c.content); err != nil {
				t.Fatal(err)
			}
			if err := z.Close(); err != nil {
				t.Fatal(err)
			}
			w.write("y.box", packed.Bytes())
			w.mustRefuse("y.box", c.want)
		})
	}
}

func TestBombsInArchivesAreStopped(t *testing.T) {
	w := newWorkshop(t)
	store := func() *source.Store {
		s := newStore(t, w.dir)
		s.LimitBombs(8<<20, 10)
		return s
	}
	w.write("metadata.json", []byte(`{"provider":"libvirt"}`))
	w.run("truncate", "-s", "64M", "box.img")
	w.run("tar", "-czf", "ratio.box", "metadata.json", "box.img")
	w.run("tar", "-cSf", "holes.box", "metadata.json", "box.img")
	w.run("zip", "-q", "ratio-zip.box", "metadata.json", "box.img")
	w.run("mv", "box.img", "README")
	w.run("tar", "-czf", "skipped.box", "metadata.json", "README")
	for _, name := range []string{"ratio.box", "holes.box", "ratio-zip.box", "skipped.box"} {
		mustFail(t, store(), filepath.Join(w.dir, "cache"), image(name, ""), "come out of")
	}

	// A vmdk whose every grain is the same compressed one.
	w.write("full.raw", bytes.Repeat([]byte("boom"), 16<<20/4))
	w.run("qemu-img", "convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized", "full.raw", "full.vmdk")
	mustFail(t, store(), filepath.Join(w.dir, "cache"), image("full.vmdk", ""), "convert from vmdk: more than 8388608 bytes come out of")

	// None of several disks is too large, and all together are.
	w.write("full.raw", bytes.Repeat([]byte("boom"), 4<<20/4))
	var disks []string
	for i := range 3 {
		disks = append(disks, fmt.Sprintf("full%d.vmdk", i))
		w.run("qemu-img", "convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized", "full.raw", disks[i])
	}
	w.ovf("x.ovf", disks...)
	w.run("tar", append([]string{"-cf", "x.ova", "x.ovf"}, disks...)...)
	mustFail(t, store(), filepath.Join(w.dir, "cache"), image("x.ova#vmdisk1", ""), "convert from vmdk: more than 8388608 bytes come out of")
	w.ovf("x.ovf", disks[:1]...)
	w.run("tar", "-cf", "x.ova", "x.ovf", disks[0])
	if _, err := store().Fetch(t.Context(), image("x.ova#vmdisk1", ""), nil); err != nil {
		t.Errorf("one of them: %v", err)
	}
}

func TestVMDKDisksThatNameFilesOfThisMachineAreRefused(t *testing.T) {
	w := newWorkshop(t)
	w.disk("a", 8, 1)
	w.run("qemu-img", "create", "-q", "-f", "vmdk", "-o", "subformat=monolithicFlat", "flat.vmdk", "8M")
	w.run("qemu-img", "create", "-q", "-f", "vmdk", "-o", "subformat=twoGbMaxExtentSparse", "split.vmdk", "8M")
	w.run("qemu-img", "convert", "-f", "raw", "-O", "vmdk", "a.raw", "parent.vmdk")
	w.run("qemu-img", "create", "-q", "-f", "vmdk", "-b", "parent.vmdk", "-F", "vmdk", "child.vmdk")
	for name, want := range map[string]string{
		"flat.vmdk": "data in other files", "split.vmdk": "data in other files", "child.vmdk": "has a parent",
	} {
		w.mustRefuse(name, want)
	}
	sparse, err := os.ReadFile(w.path("parent.vmdk"))
	if err != nil {
		t.Fatal(err)
	}
	for want, edit := range map[string]func(b []byte){
		"only a descriptor": func(b []byte) {
			binary.LittleEndian.PutUint64(b[12:], 0)
			swap(b, `SPARSE "parent.vmdk"`, `FLAT "/etc/shadow" 0`)
		},
		"data in other files": func(b []byte) { swap(b, `SPARSE "parent.vmdk"`, `FLAT "/etc/shadow" 0`) },
		"has a parent":        func(b []byte) { swap(b, "CID=", "parentFileNameHint=\"/etc/shadow\"\nCID=") },
		"its descriptor lies outside": func(b []byte) {
			binary.LittleEndian.PutUint64(b[28:], 1<<40)
		},
		"more than any disk": func(b []byte) { binary.LittleEndian.PutUint64(b[12:], 1<<60) },
		"is of type vmfs":    func(b []byte) { swap(b, `createType="monolithicSparse"`, `createType="vmfs"`) },
		// The header says that the descriptor is elsewhere; QEMU looks in the usual place all the same.
		"has a parent, which": func(b []byte) {
			copy(b[0x8000:], b[0x200:0x200+0x2800])
			binary.LittleEndian.PutUint64(b[28:], 0x8000/512)
			swap(b, "CID=", "parentFileNameHint=\"/etc/shadow\"\nCID=")
		},
	} {
		b := slices.Clone(sparse)
		edit(b)
		w.write("x.vmdk", b)
		w.mustRefuse("x.vmdk", want)
		w.ovf("x.ovf", "x.vmdk")
		w.run("tar", "-cf", "x.ova", "x.ovf", "x.vmdk")
		w.mustRefuse("x.ova", want)
	}
}

// swap replaces a text in the descriptor, which keeps its length.
func swap(b []byte, old, replacement string) {
	text := b[0x200 : 0x200+0x2800]
	edited := append(bytes.Replace(text, []byte(old), []byte(replacement), 1), make([]byte, len(text))...)
	copy(text, edited)
}

func TestBadAppliancesAreRefused(t *testing.T) {
	w := newWorkshop(t)
	w.disk("a", 8, 1)
	pack := func(name string, files ...string) {
		w.run("tar", append([]string{"-cf", name}, files...)...)
	}
	w.ovf("x.ovf", "a.vmdk")
	w.manifest("x.mf", "x.ovf", "a.vmdk")
	w.write("a.vmdk", append(disk(1<<16, 3), 1))
	pack("x.ova", "x.ovf", "x.mf", "a.vmdk")
	w.mustRefuse("x.ova", "a.vmdk is damaged: the manifest says sha256:")

	for href, want := range map[string]string{
		"../a.vmdk": "only files beside", "/etc/shadow": "only files beside", "file:///etc/shadow": "only files beside", "b.vmdk": `lacks the file "b.vmdk"`,
	} {
		w.ovf("x.ovf", href)
		pack("x.ova", "x.ovf", "a.vmdk")
		w.mustRefuse("x.ova", want)
	}
	w.write("x.ovf", []byte("<Envelope><References></Envelope>"))
	pack("x.ova", "x.ovf", "a.vmdk")
	w.mustRefuse("x.ova", "OVF descriptor: XML syntax error")

	// The same file any number of times would be converted as often.
	w.disk("a", 8, 1)
	w.ovf("x.ovf", "a.vmdk", "./a.vmdk")
	pack("x.ova", "x.ovf", "a.vmdk")
	w.mustRefuse("x.ova", "its disks vmdisk1 and vmdisk2 are one file")
	w.write("metadata.json", []byte(`{"provider":"libvirt","disks":[{"path":"a.qcow2"},{"path":"./a.qcow2","name":"b"}]}`))
	pack("x.box", "metadata.json", "a.qcow2")
	w.mustRefuse("x.box", "its disks a.qcow2 and b are one file")

	// A qcow2 in an archive is looked at like any other.
	w.run("qemu-img", "create", "-q", "-f", "qcow2", "-b", "/etc/hostname", "-F", "raw", "b.qcow2")
	w.ovf("x.ovf", "b.qcow2")
	pack("x.ova", "x.ovf", "b.qcow2")
	w.mustRefuse("x.ova", "has a backing file")
}

// FuzzTarMembers looks that no archive gives a name that leads anywhere, and that none crashes.
func FuzzTarMembers(f *testing.F) {
	var b bytes.Buffer
	out := tar.NewWriter(&b)
	for _, name := range []string{"metadata.json", "../x", "box.img"} {
		if err := out.WriteHeader(&tar.Header{Name: name, Size: 4, Mode: 0o644}); err != nil {
			f.Fatal(err)
		}
		if _, err := out.Write([]byte("disk")); err != nil {
			f.Fatal(err)
		}
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, archive []byte) {
		for _, name := range source.MemberNames(archive) {
			if !fs.ValidPath(name) || name == "." || strings.Contains(name, "\\") {
				t.Errorf("the name %q leads out of the archive", name)
			}
		}
	})
}

// FuzzVMDK looks that no header passes that names other files.
func FuzzVMDK(f *testing.F) {
	head := make([]byte, 64<<10)
	copy(head, "KDMV\x01")
	binary.LittleEndian.PutUint64(head[12:], 2048)
	binary.LittleEndian.PutUint64(head[28:], 1)
	binary.LittleEndian.PutUint64(head[36:], 20)
	copy(head[512:], "# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType=\"streamOptimized\"\nRW 2048 SPARSE \"a.vmdk\"\n")
	f.Add(head[:2048])
	f.Fuzz(func(t *testing.T, head []byte) {
		size, err := source.ParseVMDK(head)
		if err != nil {
			return
		}
		if size <= 0 || size > 64*resource.TiB {
			t.Errorf("passed with a disk of %d bytes", size)
		}
		if seen := head[512:min(len(head), 512+20*512)]; bytes.Contains(seen, []byte("parentFileNameHint")) {
			t.Error("passed with a parent")
		}
	})
}
