package source_test

import (
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers/source"
)

func TestImagesThatWouldReadTheHostsFilesOrAreBrokenAreRefused(t *testing.T) {
	put32 := func(at int, v uint32) func([]byte) { return func(b []byte) { binary.BigEndian.PutUint32(b[at:], v) } }
	put64 := func(at int, v uint64) func([]byte) { return func(b []byte) { binary.BigEndian.PutUint64(b[at:], v) } }
	text := func(at int, s string) []byte { return append(append(make([]byte, at), s...), make([]byte, 4096)...) }
	for name, c := range map[string]struct {
		bits []byte
		want string
	}{
		"backing file": {qcow2(1<<30, func(b []byte) {
			put64(8, 200)(b)
			put32(16, 11)(b)
			copy(b[200:], "/etc/shadow")
		}), "has a backing file"},
		"backing file, length only": {qcow2(1<<30, put32(16, 11)), "has a backing file"},
		"data file":                 {qcow2(1<<30, put64(72, 4)), "keeps its data in another file"},
		"data file, name only": {qcow2(1<<30, func(b []byte) {
			put32(104, 0x44415441)(b)
			put32(108, 8)(b)
			copy(b[112:], "/dev/sda")
		}), "keeps its data in another file"},
		"extensions without end": {qcow2(1<<30, func(b []byte) {
			put32(104, 0x12345678)(b)
			put32(108, 0xfffffff0)(b)
		}), "extensions do not end"},
		"header length absurd":      {qcow2(1<<30, put32(100, 0xfffffff8)), "extensions do not end"},
		"encrypted":                 {qcow2(1<<30, put32(32, 2)), "is encrypted"},
		"corrupt":                   {qcow2(1<<30, put64(72, 2)), "marked as corrupt"},
		"features of the future":    {qcow2(1<<30, put64(72, 1<<20)), "features that are not known"},
		"version 1":                 {qcow2(1<<30, put32(4, 1)), "the format is qcow,"},
		"version 9":                 {qcow2(1<<30, put32(4, 9)), "version 9 is not supported"},
		"size 0":                    {qcow2(1<<30, put64(24, 0)), "the disk has 0 bytes"},
		"size absurd":               {qcow2(1<<30, put64(24, 1<<62)), "the disk has 4611686018427387904 bytes"},
		"L1 table too small":        {qcow2(1<<30, put64(24, 1<<40)), "L1 table is too small"},
		"L1 table outside":          {qcow2(1<<30, put64(40, 1<<50)), "L1 table lies outside"},
		"refcounts outside":         {qcow2(1<<30, put32(56, 1<<30)), "refcount table lies outside"},
		"cluster size absurd":       {qcow2(1<<30, put32(20, 60)), "cluster_bits is 60"},
		"cut short in the header":   {qcow2(1<<30, nil)[:60], "header is cut short"},
		"cut short behind it":       {qcow2(1<<30, nil)[:1<<17], "lies outside the file"},
		"vmdk":                      {text(0, "KDMV"), "only a descriptor of disks in other files"},
		"vmdk descriptor":           {text(0, "# Disk DescriptorFile\n"), "has its data in other files"},
		"vdi":                       {text(64, "\x7f\x10\xda\xbe"), "the format is vdi"},
		"vhdx":                      {text(0, "vhdxfile"), "the format is vhdx"},
		"dynamic vhd":               {text(0, "conectix"), "the format is vpc"},
		"fixed vhd":                 {append(make([]byte, 4096), append([]byte("conectix\x00\x00\x00\x02\x00\x01\x00\x00"), make([]byte, 496)...)...), "the format is vpc"},
		"tar":                       {text(257, "ustar"), "archive/tar: invalid tar header"},
		"zip":                       {text(0, "PK\x03\x04"), "not a valid zip file"},
		"xz in a file named as raw": {text(0, "\xfd7zXZ\x00"), "unpack .xz"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			cache := filepath.Join(dir, "cache")
			mustFail(t, newStore(t, dir), cache, image(serve(t, c.bits).URL+"/disk.img", ""), c.want)
			if err := os.WriteFile(filepath.Join(dir, "disk.img"), c.bits, 0o600); err != nil {
				t.Fatal(err)
			}
			mustFail(t, newStore(t, dir), cache, image("disk.img", ""), c.want)
		})
	}
}

func TestAnISOIsARawDisk(t *testing.T) {
	iso := make([]byte, 64<<10)
	copy(iso[32769:], "CD001")
	if bits := mustFetch(t, newStore(t, t.TempDir()), image(serve(t, iso).URL+"/netinst.iso", ""), iso); bits.Format != "raw" {
		t.Errorf("format %s, want raw", bits.Format)
	}
}

// qemuImg makes an image with the real tool.
func qemuImg(t *testing.T, args ...string) {
	t.Helper()
	if _, err := exec.LookPath("qemu-img"); err != nil {
		t.Fatal("qemu-img is not installed (make setup installs it)")
	}
	if out, err := exec.Command("qemu-img", args...).CombinedOutput(); err != nil {
		t.Fatalf("qemu-img %q: %v: %s", args, err, out)
	}
}

func TestImagesOfQemuImgAreReadAsItReadsThem(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	for name, options := range map[string]string{
		"v2": "compat=0.10", "v3": "compat=1.1", "small clusters": "cluster_size=512", "large clusters": "cluster_size=2M",
		"extended L2": "extended_l2=on,cluster_size=128k", "zstd": "compression_type=zstd", "lazy": "lazy_refcounts=on", "prealloc": "preallocation=metadata",
	} {
		qemuImg(t, "create", "-q", "-f", "qcow2", "-o", options, path(name), "300M")
		bits, err := newStore(t, dir).Fetch(t.Context(), image(path(name), ""), nil)
		if err != nil || bits.Format != "qcow2" || bits.VirtualSize != 300*resource.MiB {
			t.Errorf("%s: %+v, %v", name, bits, err)
		}
	}
	qemuImg(t, "create", "-q", "-f", "qcow2", "-b", path("v3"), "-F", "qcow2", path("overlay"))
	qemuImg(t, "create", "-q", "-f", "qcow2", "-o", "data_file="+path("data"), path("outside"), "1G")
	for name, want := range map[string]string{"overlay": "has a backing file", "outside": "keeps its data in another file"} {
		if _, err := newStore(t, dir).Fetch(t.Context(), image(path(name), ""), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", name, err, want)
		}
	}
	for _, format := range []string{"vdi", "vhdx", "vpc", "qed", "parallels"} {
		qemuImg(t, "create", "-q", "-f", format, path("x."+format), "8M")
		_, err := newStore(t, dir).Fetch(t.Context(), image(path("x."+format), ""), nil)
		if err == nil || !strings.Contains(err.Error(), "the format is "+format+",") {
			t.Errorf("%s: error %v, want a refusal that names the format", format, err)
		}
	}
	made := path("made.qcow2")
	if err := os.WriteFile(made, qcow2(5<<30, nil), 0o600); err != nil {
		t.Fatal(err)
	}
	qemuImg(t, "check", "-q", made) // what the other tests use is an image in QEMU's eyes
}

// FuzzQCOW2 looks that no header passes that names another file or gives an absurd disk.
func FuzzQCOW2(f *testing.F) {
	f.Add(qcow2(1<<30, nil)[:512], int64(1<<18))
	f.Add(qcow2(1<<30, func(b []byte) { b[7] = 2 })[:512], int64(1<<18))
	f.Add(qcow2(1<<30, func(b []byte) { b[19] = 9 })[:512], int64(1<<18))
	f.Fuzz(func(t *testing.T, head []byte, size int64) {
		virtual, err := source.ParseQCOW2(head, size)
		if err != nil {
			return
		}
		if virtual == 0 || virtual > 64*resource.TiB {
			t.Errorf("passed with a disk of %d bytes", virtual)
		}
		if binary.BigEndian.Uint64(head[8:]) != 0 || binary.BigEndian.Uint32(head[16:]) != 0 {
			t.Error("passed with a backing file")
		}
		if binary.BigEndian.Uint32(head[4:]) == 3 && head[79]&4 != 0 {
			t.Error("passed with a data file")
		}
	})
}

// FuzzFindSum looks that what is found stands in the text, and is strong.
func FuzzFindSum(f *testing.F) {
	sum := sha256sum(nil)
	f.Add(sum + "  disk.raw\n")
	f.Add("SHA256 (disk.raw) = " + sum)
	f.Add("\\" + sum + " *a\\\\b/disk.raw\r\n")
	f.Add(sum)
	f.Fuzz(func(t *testing.T, text string) {
		found, err := source.FindSum(text, "disk.raw")
		if err != nil {
			return
		}
		if !strings.Contains(strings.ToLower(text), found.Hex) || found.Algo != "sha256" && found.Algo != "sha512" {
			t.Errorf("found %v, which is not there", found)
		}
	})
}
