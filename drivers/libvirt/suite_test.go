//go:build !nolibvirt

package libvirt

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/drivertest"
	"vmplan.dev/vmplan/drivers/libvirt/libvirttest"
)

// openURI opens a driver on a host for a test.
func openURI(t testing.TB, uri string, images drivers.ImageStore) *driver {
	t.Helper()
	d, err := Open(&resource.Host{URI: uri}, drivers.Env{Dir: t.TempDir(), Images: images, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d.(*driver)
}

// images is a store with one image in it.
type images struct{ bits drivers.Bits }

func (i images) Fetch(context.Context, *resource.Image, func(drivers.Progress)) (drivers.Bits, error) {
	return i.bits, nil
}

// newImages makes an empty qcow2 image.
func newImages(t *testing.T) images {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tiny.qcow2")
	if out, err := exec.Command("qemu-img", "create", "-q", "-f", "qcow2", path, "8M").CombinedOutput(); err != nil {
		t.Fatalf("qemu-img: %v: %s", err, out)
	}
	return imageAt(t, path, "qcow2", 8*resource.MiB)
}

func imageAt(t *testing.T, path, format string, size resource.Size) images {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	digest := fmt.Sprintf("sha256:%x", sha256.Sum256(data))
	return images{drivers.Bits{Path: path, Format: format, Digest: digest, Size: int64(len(data)), VirtualSize: size}}
}

// keepTestHost keeps test:///default as it is for the whole test: libvirt forgets it with the last connection.
func keepTestHost(t *testing.T) {
	t.Helper()
	if _, err := openURI(t, "test:///default", nil).session(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestTestHostPassesTheSuite(t *testing.T) {
	keepTestHost(t)
	drivertest.Run(t, drivertest.Harness{
		Open:     func(t *testing.T) drivers.Driver { return openURI(t, "test:///default", newImages(t)) },
		Nowhere:  func(t *testing.T) drivers.Driver { return openURI(t, "qemu+unix:///system?socket=/nowhere", nil) },
		PoolPath: "/vmplan-suite",
		Image:    &resource.Image{Source: "tiny.qcow2"},
	})
}

func TestQEMUPassesTheSuite(t *testing.T) {
	host := libvirttest.Start(t)
	guest := libvirttest.Guest(t)
	store := imageAt(t, guest.Disk, "qcow2", virtualSize(t, guest.Disk))
	drivertest.Run(t, drivertest.Harness{
		Open: func(t *testing.T) drivers.Driver {
			d := openURI(t, host.URI, store)
			d.env.Dial = host.Dial
			return d
		},
		Nowhere:  func(t *testing.T) drivers.Driver { return openURI(t, "qemu+unix:///system?socket=/nowhere", nil) },
		PoolPath: filepath.Join(host.Dir, "pool"),
		Image:    &resource.Image{Source: guest.Disk},
		Guest:    true,
		Patience: 3 * time.Minute,
		Listing: func(t *testing.T) string {
			all, err := host.Snapshot()
			if err != nil {
				t.Fatal(err)
			}
			return strings.Join(all, "\n")
		},
	})
}

func virtualSize(t *testing.T, path string) resource.Size {
	t.Helper()
	out, err := exec.Command("qemu-img", "info", "--output=json", path).Output()
	if err != nil {
		t.Fatal(err)
	}
	var info struct {
		Size resource.Size `json:"virtual-size"`
	}
	if err := json.Unmarshal(out, &info); err != nil {
		t.Fatal(err)
	}
	return info.Size
}
