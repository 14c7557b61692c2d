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

//go:embed guest debian
var recipes embed.FS

// Image is a guest's disk, and for the tiny guest what boots it directly.
type Image struct {
	Disk   string // a qcow2 file; never write to it
	Kernel string // the same guest, for direct boot; of the tiny guest only
	Initrd string
}

// Guest gives the tiny guest: Debian's kernel, busybox, an ssh server and the QEMU guest agent, all in memory. It reads a NoCloud
// seed: host name, network, ssh keys (for root and debian) and user data that is a script. It is not cloud-init and does
// nothing else that one would do. On its disk, which boots by BIOS and UEFI, it keeps /etc, /srv and /var, and with them its
// machine id and its ssh host key. It tells its progress on the serial console. 96 MiB of memory are enough. Like Start it skips
// the test on a machine that has no Debian packages for the guest.
func Guest(t testing.TB) Image {
	t.Helper()
	need(t, missingForGuest())
	image, err := BuildGuest(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// Debian gives a Debian guest with systemd, cloud-init, sshd and the QEMU guest agent, whose disk boots by BIOS. It wants 512
// MiB of memory, and takes about a minute to build and half a minute to boot. Needs root.
func Debian(t testing.TB) Image {
	t.Helper()
	need(t, errors.Join(missingForGuest(), missing("mmdebstrap", "mke2fs")))
	dir, err := build(t.Context(), "debian")
	if err != nil {
		t.Fatal(err)
	}
	return Image{Disk: filepath.Join(dir, "disk.qcow2")}
}

func missingForGuest() error {
	if runtime.GOARCH != "amd64" {
		return errors.New("the tiny guest is made for amd64 only")
	}
	return missing("apt-get", "dpkg-deb", "qemu-img", "mke2fs")
}

func missing(programs ...string) error {
	for _, name := range programs {
		if _, err := exec.LookPath(name); err != nil {
			return fmt.Errorf("the guest is made from Debian packages, and %s is not installed (make setup installs it)", name)
		}
	}
	return nil
}

// BuildGuest is Guest without a test. It builds the guest, in some seconds, if the user's cache has none of the same scripts and
// package versions; processes that ask at the same time wait for the one that builds.
func BuildGuest(ctx context.Context) (Image, error) {
	if err := missingForGuest(); err != nil {
		return Image{}, err
	}
	dir, err := build(ctx, "guest")
	return Image{
		Disk:   filepath.Join(dir, "disk.qcow2"),
		Kernel: filepath.Join(dir, "vmlinuz"),
		Initrd: filepath.Join(dir, "initrd.gz"),
	}, err
}

// build gives the folder in the user's cache with what the recipe makes.
func build(ctx context.Context, recipe string) (string, error) {
	dir, err := built(ctx, recipe)
	if err != nil {
		return "", fmt.Errorf("build the %s: %w", recipe, err)
	}
	return dir, nil
}

func built(ctx context.Context, recipe string) (string, error) {
	cache, err := cacheDir(recipe)
	if err != nil {
		return "", err
	}
	scripts, err := os.MkdirTemp("", "vmplan-guest")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(scripts)
	if err := os.CopyFS(scripts, recipes); err != nil {
		return "", err
	}
	script := filepath.Join(scripts, recipe, "build.sh")
	key, err := recipeKey(ctx, recipe, script)
	if err != nil {
		return "", err
	}
	lock, err := lockFile(filepath.Join(cache, "lock"))
	if err != nil {
		return "", err
	}
	defer lock.Close()

	dir := filepath.Join(cache, key)
	if _, err := os.Stat(dir); err != nil {
		if _, err := runScript(ctx, script, "build", dir+".new"); err != nil {
			return "", errors.Join(err, os.RemoveAll(dir+".new"))
		}
		if err := os.Rename(dir+".new", dir); err != nil {
			return "", err
		}
	}
	now := time.Now()
	if err := os.Chtimes(dir, now, now); err != nil {
		return "", err
	}
	forgetOld(cache, now.AddDate(0, -1, 0))
	return dir, nil
}

// recipeKey is a digest of all that goes into the guest: our files, and names, versions and checksums of the packages.
func recipeKey(ctx context.Context, recipe, script string) (string, error) {
	packages, err := runScript(ctx, script, "packages")
	if err != nil {
		return "", err
	}
	h := sha256.New()
	h.Write(packages)
	entries, err := recipes.ReadDir(recipe)
	if err != nil {
		return "", err
	}
	for _, entry := range entries {
		text, err := recipes.ReadFile(recipe + "/" + entry.Name())
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
