package source_test

import (
	"crypto/sha256"
	"fmt"
	nethttp "net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
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
