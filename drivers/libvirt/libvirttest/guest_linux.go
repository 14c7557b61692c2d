package libvirttest

import (
	"context"
	"crypto/sha256"
	"embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

//go:embed guest
var guestFiles embed.FS

// Image is the tiny guest: Debian's kernel, busybox, an ssh server and the QEMU guest agent, all in memory. It reads a NoCloud
// seed: host name, network, ssh keys (for root and debian) and user data that is a script. It is not cloud-init and does
// nothing else that one would do. It tells its progress on the serial console. 96 MiB of memory are enough.
type Image struct {
	Disk   string // a qcow2 file that boots by BIOS and UEFI; never write to it
	Kernel string // the same guest, for direct boot
	Initrd string
}

// Guest is BuildGuest for a test, which is skipped on a machine that has no Debian packages for the guest.
func Guest(t testing.TB) Image {
	t.Helper()
	if err := missingForGuest(); err != nil {
		t.Skip(err)
	}
	image, err := BuildGuest(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func missingForGuest() error {
	if runtime.GOARCH != "amd64" {
		return errors.New("the tiny guest is made for amd64 only")
	}
	for _, name := range []string{"apt-get", "dpkg-deb", "qemu-img"} {
		if _, err := exec.LookPath(name); err != nil {
			return fmt.Errorf("the tiny guest is made from Debian packages, and %s is not installed", name)
		}
	}
	return nil
}

// BuildGuest gives the tiny guest. It builds it, in some seconds, if the user's cache has none of the same scripts and package
// versions; processes that ask at the same time wait for the one that builds.
func BuildGuest(ctx context.Context) (Image, error) {
	if err := missingForGuest(); err != nil {
		return Image{}, err
	}
	image, err := buildGuest(ctx)
	if err != nil {
		return Image{}, fmt.Errorf("build the tiny guest: %w", err)
	}
	return image, nil
}

func buildGuest(ctx context.Context) (Image, error) {
	cache, err := cacheDir("guest")
	if err != nil {
		return Image{}, err
	}
	scripts, err := os.MkdirTemp("", "vmplan-guest")
	if err != nil {
		return Image{}, err
	}
	defer os.RemoveAll(scripts)
	if err := os.CopyFS(scripts, guestFiles); err != nil {
		return Image{}, err
	}
	build := filepath.Join(scripts, "guest", "build.sh")
	key, err := guestKey(ctx, build)
	if err != nil {
		return Image{}, err
	}
	lock, err := lockFile(filepath.Join(cache, "lock"))
	if err != nil {
		return Image{}, err
	}
	defer lock.Close()

	dir := filepath.Join(cache, key)
	if _, err := os.Stat(dir); err != nil {
		if _, err := runScript(ctx, build, "build", dir+".new"); err != nil {
			return Image{}, errors.Join(err, os.RemoveAll(dir+".new"))
		}
		if err := os.Rename(dir+".new", dir); err != nil {
			return Image{}, err
		}
	}
	now := time.Now()
	if err := os.Chtimes(dir, now, now); err != nil {
		return Image{}, err
	}
	forgetOld(cache, now.AddDate(0, -1, 0))
	return Image{
		Disk:   filepath.Join(dir, "disk.qcow2"),
		Kernel: filepath.Join(dir, "vmlinuz"),
		Initrd: filepath.Join(dir, "initrd.gz"),
	}, nil
}

// guestKey is a digest of all that goes into the guest: our files, and names, versions and checksums of the packages.
func guestKey(ctx context.Context, build string) (string, error) {
	packages, err := runScript(ctx, build, "packages")
	if err != nil {
		return "", err
	}
	h := sha256.New()
	h.Write(packages)
	entries, err := guestFiles.ReadDir("guest")
	if err != nil {
		return "", err
	}
	for _, entry := range entries {
		text, err := guestFiles.ReadFile("guest/" + entry.Name())
		if err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%s %d\n%s", entry.Name(), len(text), text)
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:8]), nil
}

func runScript(ctx context.Context, script string, args ...string) ([]byte, error) {
	var stderr strings.Builder
	cmd := exec.CommandContext(ctx, "bash", append([]string{script}, args...)...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", args[0], err, stderr.String())
	}
	return out, nil
}

// forgetOld removes guests that nobody asked for since.
func forgetOld(cache string, since time.Time) {
	entries, _ := os.ReadDir(cache)
	for _, entry := range entries {
		info, err := entry.Info()
		if err == nil && entry.IsDir() && info.ModTime().Before(since) {
			_ = os.RemoveAll(filepath.Join(cache, entry.Name()))
		}
	}
}
