//go:build linux && !nolibvirt

package main

import (
	"regexp"
	"testing"
	"testing/fstest"

	"vmplan.dev/vmplan/drivers/libvirt/libvirttest"
)

// debianHost is what projects of Debian guests have in common.
const debianHost = `
variable "uri" { type = string }
variable "image" { type = string }
variable "ssh_key" { type = string }

host "lab" {
  uri         = var.uri
  domain_type = "qemu"
}
image "debian" { source = var.image }
`

// debianProject waits for all that a guest can say of itself.
const debianProject = debianHost + `
network "lan" { cidr = "10.71.40.0/24" }
vm "web" {
  image  = image.debian
  vcpus  = 2
  memory = "768MiB"
  disk "root" { size = "3GiB" }
  disk "data" { size = "64MiB" }
  nic "front" {
    network = network.lan
    address = "10.71.40.20"
  }
  cloud_init {
    hostname            = "web"
    ssh_authorized_keys = [var.ssh_key]
    user_data           = <<-END
      #cloud-config
      write_files:
        - path: /etc/motd
          content: "by cloud-init\n"
      runcmd:
        - [sh, -c, "echo ran > /root/ran"]
    END
  }
  ready {
    ssh {}
    agent {}
    address {}
    cloud_init {}
    timeout = "15m"
  }
}
`

var rootSize = regexp.MustCompile(`(?m)^ *(\d+)M$`)

// TestARealCloudInit: what the language says of cloud_init and ready holds for a Debian guest with the real cloud-init: when apply
// returns, all of the seed is done, the nic has its name and address, and the root file system is as large as the disk.
func TestARealCloudInit(t *testing.T) {
	t.Parallel()
	image := libvirttest.Debian(t)
	p := newProject(t, fstest.MapFS{"main.hcl": {Data: []byte(debianProject)}})
	p.env = append(p.env, "VMPLAN_VAR_image="+image.Disk)
	p.vmplan(0, "apply", "--auto-approve")
	p.vmplan(0, "plan", "--detailed-exitcode")
	got := p.vmplan(0, "ssh", "vm.web", "--user", "debian", "--identity", p.key(), "--",
		"hostname; cat /etc/motd; sudo cat /root/ran; ip -4 -o addr show dev front; df --output=size -BM / | tail -1; ls /dev/disk/by-id; cloud-init status")
	p.contains(got, "web\nby cloud-init\n", "\nran\n", "inet 10.71.40.20/24", "virtio-data", "status: done")
	if m := rootSize.FindStringSubmatch(got); m == nil || len(m[1]) < 4 || m[1] < "2600" {
		t.Errorf("the root file system has not grown to its disk of 3 GiB:\n%s", got)
	}
	p.write("main_override.hcl", "vm \"web\" {\n  cloud_init {\n    user_data = \"#cloud-config\\nruncmd: [[sh, -c, 'exit 3']]\\n\"\n  }\n}\n")
	p.contains(p.vmplan(2, "plan", "--detailed-exitcode"), "vm.web.seed", "at next boot")
	_, said := p.output(1, "apply", "--auto-approve", "--restart-pending")
	p.contains(said, "vm.web", "cloud-init", "scripts_user")
}
