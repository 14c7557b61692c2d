package source_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io/fs"
	nethttp "net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/source"
)

// workshop is a folder in which the real tools make things.
type workshop struct {
	t   *testing.T
	dir string
}

func newWorkshop(t *testing.T) *workshop { return &workshop{t, t.TempDir()} }

func (w *workshop) path(name string) string { return filepath.Join(w.dir, name) }

func (w *workshop) write(name string, content []byte) {
	w.t.Helper()
	if err := os.WriteFile(w.path(name), content, 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// run runs a tool in the folder.
func (w *workshop) run(name string, args ...string) {
	w.t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = w.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		w.t.Fatalf("%s %q: %v: %s", name, args, err, out)
	}
}

// disk makes a raw disk of that many MiB with something in it, and the same in other formats.
func (w *workshop) disk(name string, mib int, seed byte) {
	w.t.Helper()
	raw := make([]byte, mib<<20)
	copy(raw, disk(256<<10, seed))
	copy(raw[len(raw)-4096:], disk(4096, seed+1))
	w.write(name+".raw", raw)
	w.run("qemu-img", "convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized", name+".raw", name+".vmdk")
	w.run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", name+".raw", name+".qcow2")
}

const ovfHead = `<?xml version="1.0"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1" xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData">
<References>`

// ovf writes a descriptor of disks in the files, called vmdisk1, vmdisk2 and so on.
func (w *workshop) ovf(name string, files ...string) {
	w.t.Helper()
	var refs, disks, items strings.Builder
	for i, f := range files {
		fmt.Fprintf(&refs, `<File ovf:id="file%d" ovf:href="%s"/>`, i+1, f)
		fmt.Fprintf(&disks, `<Disk ovf:diskId="vmdisk%d" ovf:fileRef="file%d" ovf:capacity="8388608"/>`, i+1, i+1)
		fmt.Fprintf(&items, `<Item><rasd:AddressOnParent>%d</rasd:AddressOnParent><rasd:HostResource>ovf:/disk/vmdisk%d</rasd:HostResource><rasd:InstanceID>%d</rasd:InstanceID><rasd:Parent>3</rasd:Parent><rasd:ResourceType>17</rasd:ResourceType></Item>`, i, i+1, i+4)
	}
	w.write(name, []byte(ovfHead+refs.String()+"</References><DiskSection>"+disks.String()+`</DiskSection><VirtualSystem ovf:id="vm"><VirtualHardwareSection>`+
		items.String()+"</VirtualHardwareSection></VirtualSystem></Envelope>"))
}

// manifest writes the sums of files as OVF tools do.
func (w *workshop) manifest(name string, files ...string) {
	w.t.Helper()
	var b strings.Builder
	for _, f := range files {
		content, err := os.ReadFile(w.path(f))
		if err != nil {
			w.t.Fatal(err)
		}
		fmt.Fprintf(&b, "SHA256(%s)= %x\n", f, sha256.Sum256(content))
	}
	w.write(name, []byte(b.String()))
}

// same looks that what was got is the disk that was put in, to the byte.
func (w *workshop) same(bits drivers.Bits, name string) {
	w.t.Helper()
	w.run("qemu-img", "compare", "-f", bits.Format, "-F", "raw", bits.Path, name+".raw")
	if sum := sha256file(w.t, bits.Path); bits.Digest != "sha256:"+sum {
		w.t.Errorf("digest %s is not that of the bits, %s", bits.Digest, sum)
	}
}

func sha256file(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return sha256sum(content)
}

// get fetches what must be there.
func (w *workshop) get(location string) drivers.Bits {
	w.t.Helper()
	bits, err := newStore(w.t, w.dir).Fetch(w.t.Context(), image(location, ""), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return bits
}

// mustRefuse fetches from a file and from a server what must not be taken.
func (w *workshop) mustRefuse(name string, texts ...string) {
	w.t.Helper()
	content, err := os.ReadFile(w.path(name))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, location := range []string{name, serve(w.t, content).URL + "/" + name} {
		cache := filepath.Join(w.t.TempDir(), "cache")
		mustFail(w.t, openStore(w.t, cache, w.dir), cache, image(location, ""), texts...)
	}
}

func TestAVMDKDiskIsConverted(t *testing.T) {
	w := newWorkshop(t)
	w.disk("a", 8, 1)
	w.run("qemu-img", "convert", "-f", "raw", "-O", "vmdk", "a.raw", "plain,of'VMware.vmdk")
	for _, name := range []string{"a.vmdk", "plain,of'VMware.vmdk"} {
		bits := w.get(name)
		if bits.Format != "qcow2" || bits.VirtualSize != 8*resource.MiB {
			t.Errorf("%s: got %+v, want qcow2 of 8 MiB", name, bits)
		}
		w.same(bits, "a")
		if again := w.get(name); again != bits {
			t.Errorf("%s: the second time gives %+v, the first gave %+v", name, again, bits)
		}
	}
	t.Setenv("PATH", "")
	cache := filepath.Join(t.TempDir(), "cache")
	mustFail(t, openStore(t, cache, w.dir), cache, image("a.vmdk", ""), "qemu-img, which converts disks, is not installed", "qemu-utils")
}

func TestAnOVAGivesItsDisks(t *testing.T) {
	w := newWorkshop(t)
	w.disk("a", 8, 1)
	w.disk("b", 8, 7)
	w.ovf("one.ovf", "a.vmdk")
	w.manifest("one.mf", "one.ovf", "a.vmdk")
	w.run("tar", "--format=ustar", "-cf", "one.ova", "one.ovf", "one.mf", "a.vmdk")
	w.same(w.get("one.ova"), "a")
	w.same(w.get("one.ova#vmdisk1"), "a")

	w.ovf("two.ovf", "a.vmdk", "b.qcow2")
	w.run("tar", "-cf", "two.ova", "two.ovf", "a.vmdk", "b.qcow2")
	content, err := os.ReadFile(w.path("two.ova"))
	if err != nil {
		t.Fatal(err)
	}
	web := serve(t, content)
	for _, from := range []string{"two.ova", web.URL + "/two.ova"} {
		for pick, name := range map[string]string{"vmdisk1": "a", "vmdisk2": "b", "b.qcow2": "b", "b": "b"} {
			w.same(w.get(from+"#"+pick), name)
		}
		mustFail(t, newStore(t, w.dir), "", image(from, ""), "it has 2 disks: say which, behind a #: vmdisk1, vmdisk2")
		mustFail(t, newStore(t, w.dir), "", image(from+"#c", ""), `it has no disk "c", but vmdisk1, vmdisk2`)
	}
	gets := slices.DeleteFunc(web.asked(), func(r string) bool { return !strings.HasPrefix(r, "GET") })
	img := image(web.URL+"/two.ova#b", "sha256:"+sha256sum(content))
	if bits, err := newStore(t, w.dir).Fetch(t.Context(), img, nil); err != nil {
		t.Error(err)
	} else {
		w.same(bits, "b")
	}
	if again := web.asked(); len(again) != len(gets) {
		t.Errorf("both disks are in the cache, and the server was asked %q", again[len(gets):])
	}
	mustFail(t, newStore(t, w.dir), "", image("a.qcow2#x", ""), "no such file") // # is part of the name of what is no archive
}

func TestAnOVFDescriptorLeadsToTheDisksBesideIt(t *testing.T) {
	w := newWorkshop(t)
	w.disk("a", 8, 1)
	w.disk("b", 8, 7)
	w.ovf("two.ovf", "a.vmdk", "b.qcow2")
	web := serveDir(t, w.dir)
	for _, from := range []string{"two.ovf", web.URL + "/two.ovf"} {
		w.same(w.get(from+"#vmdisk1"), "a")
		w.same(w.get(from+"#vmdisk2"), "b")
	}
	// The descriptor stays, and the disk beside it changes.
	w.disk("b", 8, 9)
	w.run("touch", "-d", "2030-01-01", "b.qcow2") // servers tell versions apart by the second
	w.same(w.get("two.ovf#b"), "b")
	w.same(w.get(web.URL+"/two.ovf#b"), "b")
	w.ovf("lost.ovf", "none.vmdk")
	mustFail(t, newStore(t, w.dir), "", image("lost.ovf", ""), `disk "vmdisk1": none.vmdk: no such file`)
}

func serveDir(t *testing.T, dir string) *server {
	t.Helper()
	s := serve(t, nil)
	files := nethttp.FileServer(nethttp.Dir(dir))
	s.misbehaves(func(_ int, w nethttp.ResponseWriter, r *nethttp.Request) bool {
		files.ServeHTTP(w, r)
		return true
	})
	return s
}

func TestAVagrantBoxGivesItsDisk(t *testing.T) {
	w := newWorkshop(t)
	w.disk("a", 8, 1)
	w.write("metadata.json", []byte(`{"provider":"libvirt","format":"qcow2","virtual_size":1}`))
	w.write("Vagrantfile", []byte("Vagrant.configure(2) {}\n"))
	w.run("cp", "a.qcow2", "box.img")
	w.run("tar", "-czSf", "libvirt.box", "./metadata.json", "./Vagrantfile", "./box.img")
	w.run("tar", "-cf", "plain.box", "box.img", "Vagrantfile", "metadata.json")
	w.run("zip", "-q", "zip.box", "metadata.json", "box.img")
	for _, name := range []string{"libvirt.box", "plain.box", "zip.box"} {
		w.same(w.get(name), "a")
	}
	w.write("metadata.json", []byte(`{"provider":"libvirt","format":"qcow2","disks":[{"path":"box.img","name":"root"},{"path":"b.img"}]}`))
	w.disk("b", 8, 5)
	w.run("mv", "b.qcow2", "b.img")
	w.run("tar", "-czf", "two.box", "metadata.json", "box.img", "b.img")
	w.same(w.get("two.box#root"), "a")
	w.same(w.get("two.box#b"), "b")

	w.write("metadata.json", []byte(`{"provider":"virtualbox"}`))
	w.run("cp", "a.vmdk", "box-disk001.vmdk")
	w.ovf("box.ovf", "box-disk001.vmdk")
	w.run("tar", "-czf", "virtualbox.box", "./box-disk001.vmdk", "./box.ovf", "./metadata.json")
	w.same(w.get("virtualbox.box"), "a")

	for text, want := range map[string]string{
		`{"provider":"hyperv"}`: `for the provider "hyperv"`,
		`{"provider":`:          "its metadata.json cannot be read",
		`{"provider":"libvirt","disks":[{"path":"../../secret"}]}`: `lacks its disk "../../secret"`,
	} {
		w.write("metadata.json", []byte(text))
		w.run("tar", "-czf", "bad.box", "metadata.json", "box.img")
		w.mustRefuse("bad.box", want)
	}
}

func TestABrokenDownloadOfAnArchiveIsContinued(t *testing.T) {
	w := newWorkshop(t)
	w.write("metadata.json", []byte(`{"provider":"libvirt"}`))
	w.write("box.img", disk(size, 1))
	w.run("tar", "-cf", "x.box", "metadata.json", "box.img")
	content, err := os.ReadFile(w.path("x.box"))
	if err != nil {
		t.Fatal(err)
	}
	web := serve(t, content)
	web.misbehaves(func(n int, w nethttp.ResponseWriter, _ *nethttp.Request) bool {
		if n == 0 {
			breakAfter(w, web.etag, len(content), content[:size/2])
		}
		return false
	})
	mustFetch(t, newStore(t, w.dir), image(web.URL+"/x.box", ""), disk(size, 1))
	if asked := web.asked(); !slices.Equal(asked, []string{"GET", fmt.Sprintf("GET bytes=%d-", size/2)}) {
		t.Errorf("asked %q, want the rest after what had come", asked)
	}
}

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
}

func TestVMDKDisksThatNameFilesOfThisMachineAreRefused(t *testing.T) {
	w := newWorkshop(t)
	w.disk("a", 8, 1)
	w.run("qemu-img", "create", "-q", "-f", "vmdk", "-o", "subformat=monolithicFlat", "flat.vmdk", "8M")
	w.run("qemu-img", "create", "-q", "-f", "vmdk", "-o", "subformat=twoGbMaxExtentSparse", "split.vmdk", "8M")
	w.run("qemu-img", "convert", "-f", "raw", "-O", "vmdk", "a.raw", "parent.vmdk")
	w.run("qemu-img", "create", "-q", "-f", "vmdk", "-b", "parent.vmdk", "-F", "vmdk", "child.vmdk")
	for name, want := range map[string]string{
		"flat.vmdk": "data in other files", "split.vmdk": "data in other files", "child.vmdk": "stands on a parent",
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
		"stands on a parent":  func(b []byte) { swap(b, "CID=", "parentFileNameHint=\"/etc/shadow\"\nCID=") },
		"its descriptor lies outside": func(b []byte) {
			binary.LittleEndian.PutUint64(b[28:], 1<<40)
		},
		"more than any disk": func(b []byte) { binary.LittleEndian.PutUint64(b[12:], 1<<60) },
		"is of type vmfs":    func(b []byte) { swap(b, `createType="monolithicSparse"`, `createType="vmfs"`) },
		// The header says that the descriptor is elsewhere; QEMU looks in the usual place all the same.
		"stands on a parent, which": func(b []byte) {
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

	// A qcow2 in an archive is looked at like any other.
	w.run("qemu-img", "create", "-q", "-f", "qcow2", "-b", "/etc/hostname", "-F", "raw", "b.qcow2")
	w.ovf("x.ovf", "b.qcow2")
	pack("x.ova", "x.ovf", "b.qcow2")
	w.mustRefuse("x.ova", "has a backing file")
}

func TestAContainerDiskGivesItsOneDisk(t *testing.T) {
	w := newWorkshop(t)
	w.disk("a", 8, 1)
	w.run("mkdir", "disk")
	w.run("cp", "a.qcow2", "disk/a.img")
	w.run("tar", "-czf", "layer.tar", "disk")
	w.same(w.get("layer.tar"), "a")
	w.run("cp", "a.qcow2", "disk/b.img")
	w.run("tar", "-cf", "layer.tar", "disk")
	w.mustRefuse("layer.tar", "a containerDisk has one file in disk/, and this one has 2: disk/a.img, disk/b.img")
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
