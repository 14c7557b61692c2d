//go:build linux && !nolibvirt

package main

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

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
}
