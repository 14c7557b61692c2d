//go:build linux && !nolibvirt

package main

import (
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"
)

const rebuiltProject = `
variable "uri" {}
variable "image" {}
variable "image_checksum" {}

host "lab" {
  uri         = var.uri
  domain_type = "qemu"
}
pool "fast" { path = "/var/lib/libvirt/fast" }
network "lan" {
  cidr   = "10.73.1.0/24"
  domain = "lan.example"
}
network "back" {
  mode = "isolated"
  cidr = "10.73.2.0/24"
}
image "tiny" {
  source   = var.image
  checksum = var.image_checksum
}
volume "db" { size = "16MiB" }

vm "web" {
  image            = image.tiny
  memory           = "128MiB"
  shutdown_timeout = "1s"
  disk "root" { size = "1GiB" }
  disk "scratch" {
    size   = "8MiB"
    format = "raw"
  }
  disk "db" { volume = volume.db }
  nic "lan" {
    network = network.lan
    address = "10.73.1.10"
  }
  nic "back" {
    network = network.back
    address = "auto"
  }
  cloud_init {
    hostname  = "web"
    user_data = "#!/bin/sh\necho hello"
  }
}
vm "off" {
  for_each = toset(["a", "b"])
  running  = false
  memory   = "64MiB"
  machine  = "pc"
  disk "root" { size = "8MiB" }
  nic "lan" { network = network.lan }
}
`

// TestALostStateComesBackFromQEMU: the state file is gone, and what it said of vms, networks, images, volumes and seeds comes back
// from what is on the host. The guest that runs does not notice, and all can be deleted as before.
func TestALostStateComesBackFromQEMU(t *testing.T) {
	t.Parallel()
	p := newProject(t, fstest.MapFS{"main.hcl": {Data: []byte(rebuiltProject)}})
	empty := p.snapshot()
	p.vmplan(0, "apply", "--auto-approve")
	full, list := p.snapshot(), p.vmplan(0, "state", "list")
	if err := os.Remove(filepath.Join(p.dir, "vmplan.vmstate")); err != nil {
		t.Fatal(err)
	}
	p.vmplan(1, "plan", "--detailed-exitcode") // what is there bears a mark, and nobody knows whose it is
	p.vmplan(0, "state", "rebuild")
	if got := p.vmplan(0, "state", "list"); got != list {
		t.Errorf("recorded was\n%sand after the rebuild\n%s", list, got)
	}
	p.vmplan(0, "plan", "--detailed-exitcode")
	if diff := full.Diff(p.snapshot()); len(diff) > 0 {
		t.Errorf("the rebuild changed the host: %q", diff)
	}
	p.destroy(empty)
}
