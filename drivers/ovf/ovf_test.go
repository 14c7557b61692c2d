package ovf_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers/ovf"
)

func TestDescriptorsAsTheirToolsWriteThem(t *testing.T) {
	for name, want := range map[string]ovf.Appliance{
		"virtualbox.ovf": {
			Name: "debian-12", OS: "Debian_64", VCPUs: 2, Memory: resource.GiB,
			Disks: []ovf.Disk{{ID: "vmdisk1", File: "debian-12-disk001.vmdk", Capacity: 20 * resource.GiB, Bus: "sata"}},
			NICs:  []ovf.NIC{{Network: "NAT", Model: "e1000"}},
		},
		"vmware.ovf": {
			Name: "shop", Description: "A shop in two disks.", OS: "Ubuntu Linux (64-bit)", VCPUs: 4, Memory: 8 * resource.GiB, Firmware: "uefi",
			Disks: []ovf.Disk{
				{ID: "vmdisk2", File: "system.vmdk", Capacity: 16 * resource.GiB, FileSize: 68096, Bus: "sata"},
				{ID: "vmdisk1", File: "data.vmdk", Capacity: 100 * resource.GiB, FileSize: 71680, Bus: "sata"},
				{ID: "scratch", Capacity: 512 * resource.MiB, Bus: "sata"},
			},
			NICs: []ovf.NIC{{Network: "VM Network", Model: "virtio"}, {Network: "back", Model: "e1000e", MAC: "00:50:56:aa:bb:cc"}},
		},
		"version2.ovf": {
			Name: "box", UUID: "3f0f3c9c-2f6f-4a5a-8b1c-0c5d1f7b9a10", VCPUs: 1, Memory: 512 * resource.MiB, Firmware: "bios",
			Disks: []ovf.Disk{{ID: "d1", File: "d1.vmdk", Capacity: 8 * resource.MiB, Bus: "virtio"}},
			NICs:  []ovf.NIC{{Network: "lan", Model: "virtio", MAC: "52:54:00:12:34:56"}},
		},
	} {
		text, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		if !ovf.IsDescriptor(text[:512]) {
			t.Errorf("%s: not known as a descriptor", name)
		}
		got, err := ovf.Parse(text)
		if err != nil || !reflect.DeepEqual(*got, want) {
			t.Errorf("%s: got %+v (%v), want %+v", name, got, err, want)
		}
	}
}

func TestDescriptorsThatAreRefused(t *testing.T) {
	const one = `<VirtualSystem id="a"/>`
	for text, want := range map[string]string{
		``:                      "OVF descriptor: EOF",
		`<html></html>`:         "expected element type <Envelope>",
		`<Envelope></Envelope>`: "describes 0 machines",
		`<Envelope><VirtualSystemCollection>` + one + one + `</VirtualSystemCollection></Envelope>`:                                                                            "describes 2 machines",
		`<Envelope><References><File id="f" href="../x"/></References><DiskSection><Disk diskId="d" fileRef="f" capacity="1"/></DiskSection>` + one + `</Envelope>`:            "only files beside the descriptor",
		`<Envelope><References><File id="f" href="http://h/x"/></References><DiskSection><Disk diskId="d" fileRef="f" capacity="1"/></DiskSection>` + one + `</Envelope>`:      "only files beside the descriptor",
		`<Envelope><References><File id="f" href="/etc/shadow"/></References><DiskSection><Disk diskId="d" fileRef="f" capacity="1"/></DiskSection>` + one + `</Envelope>`:     "only files beside the descriptor",
		`<Envelope><References><File id="f" href="x" chunkSize="9"/></References><DiskSection><Disk diskId="d" fileRef="f" capacity="1"/></DiskSection>` + one + `</Envelope>`: "cut into chunks",
		`<Envelope><DiskSection><Disk diskId="d" fileRef="f" capacity="1"/></DiskSection>` + one + `</Envelope>`:                                                               `is in the file "f", which is not listed`,
		`<Envelope><DiskSection><Disk diskId="d" capacity="1" parentRef="e"/></DiskSection>` + one + `</Envelope>`:                                                             "has a parent disk",
		`<Envelope><DiskSection><Disk diskId="d" capacity="-1"/></DiskSection>` + one + `</Envelope>`:                                                                          `its size is none: "-1"`,
		`<Envelope><DiskSection><Disk diskId="d" capacity="9" capacityAllocationUnits="byte * 2^63"/></DiskSection>` + one + `</Envelope>`:                                     "in units of",
		`<Envelope><DiskSection><Disk diskId="d" capacity="9000000000000" capacityAllocationUnits="GigaBytes"/></DiskSection>` + one + `</Envelope>`:                           "its size is none",
		`<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/shadow">]><Envelope><VirtualSystem id="a"><Name>&a;</Name></VirtualSystem></Envelope>`:                                    "invalid character entity",
	} {
		if _, err := ovf.Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", text, err, want)
		}
	}
}

// FuzzParse looks that no descriptor leads out of its folder, or to sizes that are none.
func FuzzParse(f *testing.F) {
	for _, name := range []string{"virtualbox.ovf", "vmware.ovf", "version2.ovf"} {
		text, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		a, err := ovf.Parse(text)
		if err != nil {
			return
		}
		for _, d := range a.Disks {
			if d.File != "" && !filepath.IsLocal(d.File) {
				t.Errorf("the file %q is elsewhere", d.File)
			}
			if d.Capacity > 1<<50 {
				t.Errorf("a disk of %d bytes", d.Capacity)
			}
		}
		if a.VCPUs < 0 || a.VCPUs > 4096 || a.Memory > 1<<50 {
			t.Errorf("%d processors, %d bytes of memory", a.VCPUs, a.Memory)
		}
	})
}

func TestWhatIsWrittenIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	want := ovf.Appliance{
		Name: "shop", Description: `It has <two> "disks" & more.`, OS: "Linux (64-bit)", UUID: "3f0f3c9c-2f6f-4a5a-8b1c-0c5d1f7b9a10",
		VCPUs: 3, Memory: 768 * resource.MiB, Firmware: "uefi",
		Disks: []ovf.Disk{
			{ID: "root", File: "shop-root.vmdk", Capacity: 8*resource.MiB + 512, Bus: "virtio"},
			{ID: "old", File: "shop-old.vmdk", Capacity: resource.GiB, Bus: "sata"},
			{ID: "data", File: "shop-data.vmdk", Capacity: 2 * resource.GiB, Bus: "virtio"},
		},
		NICs: []ovf.NIC{{Network: "lan & co", MAC: "52:54:00:12:34:56", Model: "virtio"}, {Network: "back", Model: "e1000e"}},
	}
	for i, d := range want.Disks {
		if err := os.WriteFile(filepath.Join(dir, d.File), []byte(strings.Repeat("x", i+1)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file, err := os.Create(filepath.Join(dir, "shop.ova"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := want.WriteArchive(file, dir, nil); err != nil {
		t.Fatal(err)
	}
	got, err := ovf.ReadFile(file.Name())
	if err != nil {
		t.Fatal(err)
	}
	want.Disks[1], want.Disks[2] = want.Disks[2], want.Disks[1] // those of one controller are together
	if !reflect.DeepEqual(*got, want) {
		t.Errorf("got %+v, want %+v", *got, want)
	}

	// Other tools read it.
	out := filepath.Join(dir, "out")
	if err := os.Mkdir(out, 0o700); err != nil {
		t.Fatal(err)
	}
	run := func(name string, args ...string) {
		t.Helper()
		cmd := exec.Command(name, args...)
		cmd.Dir = out
		if text, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s %q: %v: %s", name, args, err, text)
		}
	}
	run("tar", "-xf", file.Name())
	run("sh", "-c", `sed 's/^SHA256(\(.*\))= \(.*\)/\2  \1/' shop.mf | sha256sum -c --strict`)
	if _, err := ovf.ReadFile(filepath.Join(out, "shop.ovf")); err != nil {
		t.Error(err)
	}
	if _, err := ovf.ReadFile(filepath.Join(out, "shop-root.vmdk")); err == nil || !strings.Contains(err.Error(), "neither an OVA nor an OVF") {
		t.Errorf("a disk: error %v", err)
	}
}
