//go:build !nolibvirt

package libvirt

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/libvirt/libvirttest"
)

// A guest can write what it likes to its disk, also the header of an image that names a file of the host.
func TestARawVolumeIsRawWhateverIsWrittenToIt(t *testing.T) {
	host := libvirttest.Start(t)
	d := openURI(t, host.URI, nil)
	pool := normal(t, d, &resource.Pool{Meta: labMeta(resource.KindPool, "fast"), UUID: "0a6a3c5e-0000-5000-8000-000000000001", Path: filepath.Join(host.Dir, "images")})
	vol := normal(t, d, &resource.Volume{Meta: labMeta(resource.KindVolume, "data"), PoolName: "fast", File: "data.raw", Format: "raw", Size: 8 * resource.MiB})
	do(t, d, drivers.NewCreate(pool, nil))
	do(t, d, drivers.NewCreate(vol, nil))

	secret, evil := filepath.Join(host.Dir, "secret"), filepath.Join(t.TempDir(), "evil")
	check(t, os.WriteFile(secret, make([]byte, 1<<20), 0o600))
	if out, err := exec.Command("qemu-img", "create", "-q", "-f", "qcow2", "-b", secret, "-F", "raw", evil).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	header, err := os.ReadFile(evil)
	check(t, err)
	disk, err := os.OpenFile(filepath.Join(pool.Path, vol.File), os.O_WRONLY, 0)
	check(t, err)
	_, err = disk.WriteAt(header, 0)
	check(t, err)
	check(t, disk.Close())

	o, err := d.Observe(t.Context(), drivers.Selection{Lineage: "lab", Want: []resource.Resource{pool, vol}})
	check(t, err)
	live := o.Objects[resource.Key(vol)].Resource.(*resource.Volume)
	if live.Format != "raw" || live.Size != vol.Size || live.Backing != "" {
		t.Errorf("the volume is %s of %s over %q", live.Format, live.Size, live.Backing)
	}
	s, err := d.session(t.Context())
	check(t, err)
	file, err := (&call{driver: d, session: s, ctx: t.Context()}).diskFile(resource.VolumeID(vol))
	if err != nil || file.Format != "raw" {
		t.Errorf("a guest would be given it as %s, %v", file.Format, err)
	}
}
