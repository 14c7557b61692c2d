//go:build linux

package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"vmplan.dev/vmplan/drivers/libvirt/libvirttest"
)

const imageSize = 960 << 20 // bytes, and nothing that could be packed or left out

// images measures how long an image takes from its source into a pool, beside a bare copy of the same bytes, and beside
// qemu-img: all of them until the bytes are on disk.
func (b *bench) images(ctx context.Context) error {
	h, err := libvirttest.New(ctx)
	if err != nil {
		return err
	}
	defer h.Close()
	dir := filepath.Join(b.dir, "image")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	disk := filepath.Join(dir, "disk.qcow2")
	if err := makeImage(disk); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	web := &http.Server{Handler: http.FileServer(http.Dir(dir)), ReadHeaderTimeout: time.Minute}
	go func() { _ = web.Serve(listener) }()
	defer web.Close()
	url := "http://" + listener.Addr().String() + "/disk.qcow2"

	convert := copying{"qemu-img convert", func(to string) error { return exec.Command("qemu-img", "convert", "-O", "qcow2", disk, to).Run() }}
	for _, c := range []struct {
		name, source, target string
		floor                copying
	}{
		{"file", disk, "speed >= 0.8", convert},
		{"file", disk, "–", copying{"cp", func(to string) error { return exec.Command("cp", "--reflink=never", disk, to).Run() }}},
		// What came through the network is kept, so that the next host gets it from there: by hand as by vmplan.
		{"http", url, "speed >= 0.8", copying{"download, qemu-img convert", func(to string) error {
			kept := filepath.Join(dir, "kept.qcow2")
			defer os.Remove(kept)
			return errors.Join(download(url, kept), exec.Command("qemu-img", "convert", "-O", "qcow2", kept, to).Run())
		}}},
	} {
		if err := b.image(h, c.name, c.source, c.target, c.floor); err != nil {
			return err
		}
	}
	return nil
}

// copying is another way for the same bytes.
type copying struct {
	name string
	do   func(to string) error
}

// image prints how fast apply imports from the source, as a share of the floor's speed. The two take turns.
func (b *bench) image(h *libvirttest.Host, name, source, target string, floor copying) error {
	var took, bare []time.Duration
	for i := range 3 {
		to := filepath.Join(b.dir, "copy.qcow2")
		begin := time.Now()
		if err := errors.Join(floor.do(to), syncFile(to)); err != nil {
			return err
		}
		bare = append(bare, time.Since(begin))
		if err := os.Remove(to); err != nil {
			return err
		}
		one, err := b.importImage(h, fmt.Sprintf("%s-%s-%d", name, floor.name, i), source)
		if err != nil {
			return err
		}
		took = append(took, one)
	}
	mine, theirs := median(took), median(bare)
	fmt.Fprintf(b.table, "image import, 960 MiB by %s (floor: %s)\t%.3f s\t%.3f s\t%.2f\t%s\n",
		name, floor.name, mine.Seconds(), theirs.Seconds(), float64(theirs)/float64(mine), target)
	return nil
}

// importImage applies a project that has the image, with nothing in the cache, and removes it again.
func (b *bench) importImage(h *libvirttest.Host, name, source string) (time.Duration, error) {
	dir := filepath.Join(b.dir, "import-"+name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return 0, err
	}
	text := fmt.Sprintf("host \"lab\" { uri = %q }\npool \"bench\" { path = %q }\n", h.URI, filepath.Join(dir, "pool"))
	file := filepath.Join(dir, "main.hcl")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		return 0, err
	}
	if _, _, err := b.once(dir, "apply", "--auto-approve"); err != nil {
		return 0, err
	}
	if err := os.WriteFile(file, fmt.Appendf([]byte(text), "image \"base\" { source = %q }\n", source), 0o644); err != nil {
		return 0, err
	}
	if err := os.RemoveAll(filepath.Join(b.dir, "cache")); err != nil {
		return 0, err
	}
	took, _, err := b.once(dir, "apply", "--auto-approve")
	if err != nil {
		return 0, err
	}
	_, _, err = b.once(dir, "destroy", "--auto-approve")
	return took, errors.Join(err, os.RemoveAll(dir))
}

// makeImage makes a qcow2 image that is full.
func makeImage(path string) error {
	raw := path + ".raw"
	f, err := os.Create(raw)
	if err != nil {
		return err
	}
	_, err = io.CopyN(f, rand.Reader, imageSize)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := exec.Command("qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, path).Run(); err != nil {
		return fmt.Errorf("qemu-img: %w", err)
	}
	return errors.Join(os.Remove(raw), syncFile(path))
}

func download(url, to string) error {
	resp, err := http.Get(url) //nolint:gosec // the URL of the server above
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	f, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, resp.Body)
	return errors.Join(err, f.Close())
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
