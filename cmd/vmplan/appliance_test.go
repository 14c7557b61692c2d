//go:build linux && !nolibvirt

package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"vmplan.dev/vmplan/drivers/source/oci/ocitest"
)

// appliancePool is where a project with an appliance lives.
const appliancePool = `
variable "uri" {}
variable "pool" {}
variable "ssh_key" {}

host "lab" {
  uri         = var.uri
  domain_type = "qemu"
}
pool "vms" {
  path = var.pool
}
`

// sharedProject has an appliance of two vms, a volume that all of them read, and a private network.
const sharedProject = appliancePool + `
variable "image" {}

image "tiny" {
  source = var.image
}
instancetype "tiny" {
  vcpus  = 1
  memory = "192MiB"
}
locals {
  goods = "48MiB"
}
appliance "shop" {
  image = image.tiny

  parameter "site" {
    type = string
  }
  parameter "number" {
    type = number
  }
  parameter "ssh_key" {
    type = string
  }
  volume "goods" {
    size   = local.goods
    shared = true
  }
  network "back" {
    mode = "isolated"
    cidr = "10.76.${parameter.number}.0/24"
  }
  vm "db" {
    instancetype = instancetype.tiny
    nic "back" {
      network = network.back
      address = "10.76.${parameter.number}.10"
    }
    cloud_init {
      ssh_authorized_keys = [parameter.ssh_key]
    }
    ready {
      agent {}
    }
  }
  vm "web" {
    instancetype = instancetype.tiny
    disk "goods" {
      volume    = volume.goods
      read_only = true
    }
    nic "back" {
      network = network.back
      address = "10.76.${parameter.number}.11"
    }
    cloud_init {
      ssh_authorized_keys = [parameter.ssh_key]
      user_data           = templatefile("files/web.sh", { site = parameter.site })
    }
    ready {
      agent {}
    }
  }
}
`

// twoShops uses the appliance twice; the second is made when the first is up, so that not all guests boot at once.
const twoShops = `
vm "shop_de" {
  appliance = appliance.shop
  with      = { site = "Berlin", number = 1, ssh_key = var.ssh_key }
}
vm "shop_fr" {
  appliance  = appliance.shop
  with       = { site = "Paris", number = 2, ssh_key = var.ssh_key }
  depends_on = [vm.shop_de]
}
`

// receivingProject is all that a project needs for an appliance from elsewhere.
const receivingProject = appliancePool + `
vm "shop_it" {
  appliance = appliance.shop
  with      = { site = "Roma", number = 3, ssh_key = var.ssh_key }
}
`

// TestAnApplianceIsUsedTwiceSharedAndUsedElsewhere: an appliance is in use twice, is put into a registry, and comes out of it into
// an empty project on another host, where it boots from the same bits.
func TestAnApplianceIsUsedTwiceSharedAndUsedElsewhere(t *testing.T) {
	t.Parallel()
	reg := ocitest.Start(t, ocitest.Options{})
	script := &fstest.MapFile{Data: []byte("#!/bin/sh\necho this is ${site} > /srv/site\n")}
	here := newProject(t, fstest.MapFS{"main.hcl": {Data: []byte(sharedProject + twoShops)}, "files/web.sh": script})
	here.env = append(here.env, "VMPLAN_VAR_pool="+here.host.Dir+"/vms")
	here.outside(0, "apply", "--auto-approve")
	here.outside(0, "plan", "--detailed-exitcode")
	here.isShop("vm.shop_de", "Berlin", 1)
	here.isShop("vm.shop_fr", "Paris", 2)
	here.contains(here.outside(0, "appliance", "push", "appliance.shop", reg.Host+"/team/shop:v1"), "with the file files/web.sh", "with the disk of image.tiny")
	here.outside(0, "destroy", "--auto-approve")

	there := newProject(t, fstest.MapFS{})
	there.env = append(there.env, "VMPLAN_VAR_pool="+there.host.Dir+"/vms")
	there.contains(there.outside(0, "appliance", "pull", reg.Host+"/team/shop:v1"), `Wrote shop: appliance "shop"`, "Wrote shop.hcl")
	if err := os.WriteFile(filepath.Join(there.dir, "main.hcl"), []byte(receivingProject), 0o644); err != nil {
		t.Fatal(err)
	}
	there.contains(there.outside(0, "plan"), "vm.shop_it.vm.db", "vm.shop_it.network.back", "appliance.shop.volume.goods", "oci://"+reg.Host+"/team/shop@sha256:")
	there.outside(0, "apply", "--auto-approve")
	there.outside(0, "plan", "--detailed-exitcode")
	there.isShop("vm.shop_it", "Roma", 3)
	there.hasBits(here)
	there.outside(0, "destroy", "--auto-approve")
}

// outside runs vmplan where the registry can be reached, and the guests only through their host.
func (p *example) outside(code int, args ...string) string {
	p.t.Helper()
	cmd := exec.Command("vmplan", args...)
	cmd.Dir, cmd.Env = p.dir, p.env
	out, err := cmd.CombinedOutput()
	if got := cmd.ProcessState.ExitCode(); got != code {
		p.t.Fatalf("vmplan %q exits with %d (%v), want %d\n%s", args, got, err, code, out)
	}
	return string(out)
}

// isShop looks into the guests of an instance: each has its parameters, they reach one another, and the volume is there.
func (p *example) isShop(addr, site string, number int) {
	p.t.Helper()
	db := fmt.Sprintf("10.76.%d.10", number)
	for _, c := range []inGuest{
		{vm: addr + ".vm.web", command: "cat /srv/site; true", want: "this is " + site},
		{vm: addr + ".vm.web", command: "echo | nc -w 5 " + db + " 22; true", want: "SSH-2.0"},
		{vm: addr + ".vm.web", command: "cat /sys/block/vd?/size", want: "(?m)^98304$"},
		{vm: addr + ".vm.db", command: "hostname", want: "db"},
	} {
		p.eventually(c)
	}
}

// hasBits compares the image on the host with the one that another project had from a file.
func (p *example) hasBits(other *example) {
	p.t.Helper()
	var want string
	for _, e := range other.env {
		if file, ok := strings.CutPrefix(e, "VMPLAN_VAR_image="); ok {
			want = sumOfFile(p.t, file)
		}
	}
	bases, err := filepath.Glob(filepath.Join(p.host.Dir, "vms", "*tiny*"))
	if err != nil || len(bases) != 1 {
		p.t.Fatalf("the bases on the host are %q (%v), want one", bases, err)
	}
	if got := sumOfFile(p.t, bases[0]); got != want {
		p.t.Errorf("the image on the other host has the digest %s, want %s", got, want)
	}
}

func sumOfFile(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", sha256.Sum256(data))
}
