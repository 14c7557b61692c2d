//go:build linux && !nolibvirt && soak

package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"vmplan.dev/vmplan/drivers/libvirt/libvirttest"
)

// debianOrigin is a vm that people have worked on.
const debianOrigin = debianHost + `
network "lan" { cidr = "10.71.41.0/24" }
vm "origin" {
  image  = image.debian
  vcpus  = 2
  memory = "640MiB"
  disk "root" { size = "2GiB" }
  nic "front" {
    network = network.lan
    address = "10.71.41.20"
  }
  cloud_init {
    ssh_authorized_keys = [var.ssh_key]
    user_data           = "#cloud-config\n# the words of the origin\n"
  }
  ready {
    ssh {}
    cloud_init {}
    timeout = "10m"
  }
}
`

// debianGolden makes a sealed image from that vm, and two vms from the image.
const debianGolden = `
image "golden" {
  from = vm.origin
  build {
    vcpus = 2
    run   = ["echo built on $(hostname) > /srv/built", "systemctl enable site.service"]
    copy = {
      "site"         = "/srv/site"
      "site.service" = "/etc/systemd/system/site.service"
    }
  }
  seal {}
}
vm "web" {
  for_each = toset(["a", "b"])
  image    = image.golden
  vcpus    = 1
  memory   = "640MiB"
  nic "front" {
    network = network.lan
    address = "auto"
  }
  cloud_init { ssh_authorized_keys = [var.ssh_key] }
  ready {
    ssh {}
    cloud_init {}
    timeout = "10m"
  }
}
`

const siteService = `[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/cp /srv/site/index.html /run/served
[Install]
WantedBy=multi-user.target
`

// workOnOrigin leaves in a guest what its people and its programs leave there.
const workOnOrigin = `set -e
echo the work of the origin > /srv/work
for home in /root /home/debian; do echo the password of the origin > $home/.bash_history; done
mkdir -p /var/lib/dhcp
for file in /var/lib/dhcp/dhclient.front.leases /var/log/site.log /var/log/site.log.1 /etc/udev/rules.d/70-persistent-net.rules /var/lib/apt/lists/list; do
	echo left by the origin > $file
done
rm -f /var/lib/dbus/machine-id
cp /etc/machine-id /var/lib/dbus/
sync
`

// sealedAway is what sealing a Debian removes: patterns that match something in the origin, and nothing in the image.
var sealedAway = []string{
	"/etc/ssh/ssh_host_*", "/var/lib/dbus/machine-id", "/var/lib/cloud/instance*", "/var/lib/cloud/data/*", "/var/lib/cloud/sem/*",
	"/etc/systemd/network/10-cloud-init-*", "/var/log/cloud-init*.log", "/var/log/journal/*", "/var/log/*.1", "/root/.bash_history", "/home/*/.bash_history",
	"/var/lib/dhcp/*.leases", "/var/lib/systemd/random-seed", "/etc/udev/rules.d/70-persistent-net.rules", "/var/lib/apt/lists/*",
}

// TestASealedDebianGivesGuestsOfTheirOwn: what holds for the tiny guest holds for one with systemd and the real cloud-init, and
// nothing that was sealed away is on the image's disk, not even in its free space.
func TestASealedDebianGivesGuestsOfTheirOwn(t *testing.T) {
	t.Parallel()
	image := libvirttest.Debian(t)
	p := newProject(t, fstest.MapFS{
		"main.hcl": {Data: []byte(debianOrigin)}, "site/index.html": {Data: []byte("hello\n")}, "site.service": {Data: []byte(siteService)},
	})
	p.env = append(p.env, "VMPLAN_VAR_image="+image.Disk)
	before := p.snapshot()
	p.vmplan(0, "apply", "--auto-approve")
	p.asRoot("vm.origin", workOnOrigin)
	for _, pattern := range sealedAway {
		p.asRoot("vm.origin", "ls -d "+pattern)
	}
	guests := map[string]identity{"vm.origin": p.identity("vm.origin")}
	key := strings.Split(p.asRoot("vm.origin", "cat /etc/ssh/ssh_host_ed25519_key"), "\n")[4] // the private part

	p.write("golden.hcl", debianGolden)
	p.write("main_override.hcl", "vm \"origin\" { running = false }\n")
	p.contains(p.vmplan(0, "apply", "--auto-approve"), "vm.origin: shut down", "image.golden: base copied", "image.golden: built", "image.golden: created")
	p.vmplan(0, "plan", "--detailed-exitcode")
	for vm, hostname := range map[string]string{`vm.web["a"]`: "web-a", `vm.web["b"]`: "web-b"} {
		p.contains(p.asRoot(vm, "cat /srv/work /srv/built /run/served"), "the work of the origin\nbuilt on origin\nhello\n")
		if guests[vm] = p.identity(vm); guests[vm].hostname != hostname {
			t.Errorf("%s calls itself %s, not %s", vm, guests[vm].hostname, hostname)
		}
		for other, id := range guests {
			if other != vm && (id.machine == guests[vm].machine || id.key == guests[vm].key) {
				t.Errorf("%s is %+v, and %s is %+v", other, id, vm, guests[vm])
			}
		}
	}
	disk := openRootDisk(t, p.host, "golden-*.qcow2")
	disk.isSealed()
	const kept = "the work of the origin"
	if got := disk.found(key, "the words of the origin", "the password of the origin", "left by the origin", kept); !slices.Equal(got, []string{kept}) {
		t.Errorf("the image's disk, free space included, holds %q, want only %q", got, kept)
	}

	p.vmplan(0, "destroy", "--auto-approve")
	if d := before.Diff(p.snapshot()); len(d) > 0 {
		t.Errorf("traces are left:\n%s", strings.Join(d, "\n"))
	}
}

// identity is what makes a guest another one than all others.
type identity struct{ hostname, machine, key string }

func (p *example) identity(vm string) identity {
	p.t.Helper()
	lines := strings.Fields(p.asRoot(vm, "hostname; cat /etc/machine-id; cut -d ' ' -f 2 /etc/ssh/ssh_host_ed25519_key.pub"))
	if len(lines) != 3 || len(lines[1]) != 32 {
		p.t.Fatalf("hostname, machine id and host key of %s are %q", vm, lines)
	}
	return identity{lines[0], lines[1], lines[2]}
}

// asRoot runs commands in the guest of a vm.
func (p *example) asRoot(vm, commands string) string {
	p.t.Helper()
	return p.vmplan(0, "ssh", vm, "--user", "debian", "--identity", p.key(), "--", "sudo sh -c '"+strings.ReplaceAll(commands, "'", `'\''`)+"'")
}

// rootDisk is the disk of an image as a raw file, and its root file system.
type rootDisk struct {
	t      *testing.T
	file   string
	offset int64 // of the root file system
}

// openRootDisk copies a disk in the host's default pool. Its second partition holds the root.
func openRootDisk(t *testing.T, host *libvirttest.Host, pattern string) *rootDisk {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(host.Dir, "lib", "images", pattern))
	if err != nil || len(files) != 1 {
		t.Fatalf("the files of the image are %q (%v), want one", files, err)
	}
	d := &rootDisk{t: t, file: filepath.Join(t.TempDir(), "disk.raw")}
	if out, err := exec.Command("qemu-img", "convert", "-O", "raw", files[0], d.file).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	f, err := os.Open(d.file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var sector [4]byte // where the second entry of the partition table says that it begins
	if _, err := f.ReadAt(sector[:], 446+16+8); err != nil {
		t.Fatal(err)
	}
	d.offset = int64(binary.LittleEndian.Uint32(sector[:])) * 512
	return d
}

func (d *rootDisk) debugfs(request string) string {
	d.t.Helper()
	out, err := exec.Command("debugfs", "-R", request, fmt.Sprintf("%s?offset=%d", d.file, d.offset)).Output()
	if err != nil {
		d.t.Fatalf("debugfs %s: %v", request, err)
	}
	return string(out)
}

// isSealed looks at the files.
func (d *rootDisk) isSealed() {
	d.t.Helper()
	root := d.t.TempDir()
	for _, folder := range []string{"/etc", "/root", "/home", "/srv", "/var/log", "/var/lib"} {
		into := filepath.Join(root, filepath.Dir(folder))
		if err := os.MkdirAll(into, 0o755); err != nil {
			d.t.Fatal(err)
		}
		d.debugfs("rdump " + folder + " " + into)
	}
	for _, pattern := range sealedAway {
		if left, err := filepath.Glob(root + pattern); err != nil || len(left) > 0 {
			d.t.Errorf("sealing left %q (%v)", left, err)
		}
	}
	empty := []string{filepath.Join(root, "/etc/machine-id")}
	err := filepath.WalkDir(filepath.Join(root, "/var/log"), func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			empty = append(empty, path)
		}
		return err
	})
	if err != nil || len(empty) < 3 {
		d.t.Errorf("the logs are %q (%v)", empty[1:], err)
	}
	for _, file := range empty {
		if text, err := os.ReadFile(file); err != nil || len(text) > 0 {
			d.t.Errorf("%s holds %q (%v), want it empty", strings.TrimPrefix(file, root), text, err)
		}
	}
	if text, err := os.ReadFile(filepath.Join(root, "/srv/work")); err != nil || string(text) != "the work of the origin\n" {
		d.t.Errorf("the work of the origin is %q (%v)", text, err)
	}
}

// found tells which of the texts are on the disk, also where no file is.
func (d *rootDisk) found(texts ...string) []string {
	d.t.Helper()
	f, err := os.Open(d.file)
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	const overlap = 1 << 10 // more than a text is long
	is := map[string]bool{}
	for buf, kept := make([]byte, 4<<20), 0; ; {
		n, err := f.Read(buf[kept:])
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			d.t.Fatal(err)
		}
		for _, text := range texts {
			is[text] = is[text] || bytes.Contains(buf[:kept+n], []byte(text))
		}
		kept = copy(buf, buf[max(0, kept+n-overlap):kept+n])
	}
	return slices.DeleteFunc(texts, func(text string) bool { return !is[text] })
}
