//go:build linux && !nolibvirt

package main

import (
	"crypto/rand"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers/libvirt/libvirttest"
)

// TestAnImageLargerThanThePool is refused before a byte of it is written, and once there is a smaller one the next apply goes on.
func TestAnImageLargerThanThePool(t *testing.T) {
	t.Parallel()
	small := t.TempDir()
	if err := unix.Mount("tmpfs", small, "tmpfs", 0, "size=4m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(small, unix.MNT_DETACH) })
	host := libvirttest.Start(t)
	w := newWorkdir(t, "-- main.hcl --\n"+`
host "lab" { uri = "`+host.URI+`" }
pool "small" { path = "`+small+`" }
image "os" { source = "os.img" }
`)
	image := func(size int) {
		t.Helper()
		bits := make([]byte, size)
		rand.Read(bits)
		if err := os.WriteFile(filepath.Join(w.dir, "os.img"), bits, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	image(16 << 20)
	p := &example{t: t}
	p.contains(w.must(1, "apply", "--auto-approve"), "image.os", "not enough space", "16 MiB")
	if files, err := os.ReadDir(small); err != nil || len(files) > 0 {
		t.Errorf("what does not fit has left %v (%v)", files, err)
	}
	image(1 << 20)
	w.must(0, "apply", "--auto-approve")
	w.must(0, "plan", "--detailed-exitcode")

	// What counts is the room that an image takes, not how large the disk in it is said to be.
	thin := filepath.Join(w.dir, "os.img")
	if out, err := exec.Command("qemu-img", "create", "-f", "qcow2", thin, "10G").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, kind := range []string{"qcow2", "raw"} {
		w.must(0, "apply", "--auto-approve", "--replace", "image.os")
		w.must(0, "plan", "--detailed-exitcode")
		var listed []struct{ Taken resource.Size }
		if err := json.Unmarshal([]byte(w.must(0, "image", "list", "--json")), &listed); err != nil || len(listed) != 1 || listed[0].Taken > resource.MiB {
			t.Errorf("the %s image is listed as %+v (%v)", kind, listed, err)
		}
		if err := os.WriteFile(thin, make([]byte, 4096), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(thin, 256<<20); err != nil {
			t.Fatal(err)
		}
	}
}
