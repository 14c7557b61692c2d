//go:build linux && !nolibvirt

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
)

const shopHost = `variable "uri" { type = string }
host "lab" {
  uri         = var.uri
  domain_type = "qemu"
}
pool "default" { path = "/var/lib/libvirt/images" }
network "lan" { cidr = "10.71.8.0/24" }
`

const shopProject = `variable "image" { type = string }
variable "ssh_key" { type = string }
image "guest" { source = var.image }
volume "till" {
  size   = "16MiB"
  format = "raw"
}
vm "shop" {
  image  = image.guest
  memory = "128MiB"
  disk "root" { size = "1GiB" }
  disk "stock" { size = "32MiB" }
  disk "till" { volume = volume.till }
  nic "lan" {
    network = network.lan
    address = "10.71.8.10"
  }
  cloud_init { ssh_authorized_keys = [var.ssh_key] }
  ready {
    ssh {}
  }
}
`

// TestAVMGoesOutAndComesInAgain: out to an OVA and a folder, destroyed, in again from each, and it boots as the guest that it
// was, with all that was on its disks.
func TestAVMGoesOutAndComesInAgain(t *testing.T) {
	t.Parallel()
	p := newProject(t, fstest.MapFS{"main.hcl": {Data: []byte(shopHost)}, "shop.hcl": {Data: []byte(shopProject)}})
	ssh := func(command string) string {
		t.Helper()
		return strings.TrimSpace(p.vmplan(0, "ssh", "vm.shop", "--user", "root", "--identity", p.key(), "--", command))
	}
	identity := func() string {
		t.Helper()
		return ssh("cat /sys/class/dmi/id/product_uuid /sys/class/net/*/address; hostname; head -c 7 /dev/disk/by-id/virtio-stock; head -c 3 /dev/disk/by-id/virtio-till")
	}
	p.vmplan(0, "apply", "--auto-approve")
	ssh("printf 'sold 42' | dd of=/dev/disk/by-id/virtio-stock conv=notrunc; printf '9 €' | dd of=/dev/disk/by-id/virtio-till conv=notrunc; sync")
	before := identity()
	p.contains(before, "sold 42", "shop")
	_, refused := p.output(1, "export", "vm.shop", "--out", "shop.ova")
	p.contains(refused, "shut it down first")

	p.vmplan(0, "stop", "vm.shop")
	p.vmplan(0, "export", "vm.shop", "--out", "shop.ova", "--with-identity")
	p.vmplan(0, "export", "vm.shop", "--out", "first", "--with-identity")
	for _, name := range []string{"first/shop-user-data", "shop.ova"} {
		if info, err := os.Stat(filepath.Join(p.dir, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v: want it to be the user's alone", name, info, err)
		}
	}

	// In again, out of the OVA. Its cards are on the project's network of the same name, with the MACs they had.
	again := func(more string) {
		t.Helper()
		p.vmplan(0, "destroy", "--auto-approve")
		if err := os.Remove(filepath.Join(p.dir, "shop.hcl")); err != nil {
			t.Fatal(err)
		}
		p.vmplan(0, "import-ova", "shop.ova", "--write", "shop.hcl")
		p.add("shop.hcl", more)
		p.vmplan(0, "apply", "--auto-approve")
	}
	again("running = false")
	p.vmplan(0, "export", "vm.shop", "--out", "second")
	p.same("first/shop-stock.qcow2", "second/shop-stock.qcow2")
	p.same("first/shop-till.raw", "second/shop-till.qcow2")
	p.same("first/shop-root.qcow2", "second/shop-root.qcow2")
	again("ready {\n    ssh {}\n  }")
	p.vmplan(0, "plan", "--detailed-exitcode")
	if after := identity(); after != before {
		t.Errorf("out of the OVA the guest is\n%s\nand was\n%s", after, before)
	}
	p.vmplan(0, "destroy", "--auto-approve")

	// In again, out of the folder: also its address and its seed are as they were.
	files, err := filepath.Glob(filepath.Join(p.dir, "first", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, from := range files {
		name := filepath.Base(from)
		if name == "main.hcl" {
			name = "shop.hcl"
		}
		if err := os.Rename(from, filepath.Join(p.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	p.write("main.hcl", strings.Replace(shopHost, `network "lan" { cidr = "10.71.8.0/24" }`, "", 1))
	p.vmplan(0, "apply", "--auto-approve")
	p.vmplan(0, "plan", "--detailed-exitcode")
	p.eventually(inGuest{"vm.shop", "ip -4 addr", `10\.71\.8\.10/`})
	if after := identity(); after != before {
		t.Errorf("out of the folder the guest is\n%s\nand was\n%s", after, before)
	}
}

// add writes more into the vm in a file.
func (p *example) add(file, more string) {
	p.t.Helper()
	text, err := os.ReadFile(filepath.Join(p.dir, file))
	if err != nil {
		p.t.Fatal(err)
	}
	p.write(file, strings.Replace(string(text), "vm \"shop\" {\n", "vm \"shop\" {\n  "+more+"\n", 1))
}

// same looks that two images hold the same disk, to the byte.
func (p *example) same(a, b string) {
	p.t.Helper()
	cmd := exec.Command("qemu-img", "compare", "-f", strings.TrimPrefix(filepath.Ext(a), "."), "-F", strings.TrimPrefix(filepath.Ext(b), "."), a, b)
	cmd.Dir = p.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		p.t.Errorf("%s and %s: %v: %s", a, b, err, out)
	}
}
