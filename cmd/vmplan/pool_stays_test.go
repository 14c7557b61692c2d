//go:build linux && !nolibvirt

package main

import (
	"testing"
	"testing/fstest"
)

// TestADiskStaysInThePoolItWasMadeIn: the host had a pool before the project, which therefore has no record of its own. Pools
// that the files declare later do not move the disk, and what was written to it is still there.
func TestADiskStaysInThePoolItWasMadeIn(t *testing.T) {
	t.Parallel()
	p := newProject(t, fstest.MapFS{
		"main.hcl": {Data: []byte(`variable "uri" {
  type = string
}

host "lab" {
  uri         = var.uri
  domain_type = "qemu"
}

vm "t3" {
  running = false
  disk "root" {
    size = "1MiB"
  }
}
`)},
	})
	for _, pool := range []string{"default", "ext"} {
		p.asked("pool-define-as", pool, "dir", "--target", "/var/lib/libvirt/"+pool)
		p.asked("pool-build", pool)
		p.asked("pool-start", pool)
	}
	p.vmplan(0, "apply", "--auto-approve")
	disk := func(command string) {
		out, err := p.host.Command("qemu-io", "-c", command, "/var/lib/libvirt/default/t3-root.qcow2").CombinedOutput()
		if err != nil {
			t.Fatalf("qemu-io %s: %v\n%s", command, err, out)
		}
	}
	disk("write -P 7 0 64k")
	for _, more := range []string{
		"pool \"ext\" {\n  managed = false\n}\n",
		"pool \"ext\" {\n  managed = false\n  default = true\n}\n",
		"pool \"own\" {\n  path = \"/var/lib/libvirt/own\"\n}\n",
		"pool \"own\" {\n  path    = \"/var/lib/libvirt/own\"\n  default = false\n}\n",
	} {
		p.write("pools.hcl", more)
		p.vmplan(0, "apply", "--auto-approve")
		p.vmplan(0, "plan", "--detailed-exitcode")
		disk("read -P 7 0 64k") // fails unless the pattern is there
	}
}

// TestAPoolThatWasMadeWithoutABlockIsTakenOver: vmplan made the pool "default" itself. A block that declares it later, under
// whichever label, is that pool and not a new one in its place.
func TestAPoolThatWasMadeWithoutABlockIsTakenOver(t *testing.T) {
	t.Parallel()
	p := newProject(t, fstest.MapFS{
		"main.hcl": {Data: []byte(`variable "uri" {
  type = string
}

host "lab" {
  uri         = var.uri
  domain_type = "qemu"
}

volume "data" { size = "1MiB" }
`)},
	})
	p.vmplan(0, "apply", "--auto-approve")
	disk := func(command string) {
		out, err := p.host.Command("qemu-io", "-c", command, "/var/lib/libvirt/images/data.qcow2").CombinedOutput()
		if err != nil {
			t.Fatalf("qemu-io %s: %v\n%s", command, err, out)
		}
	}
	disk("write -P 7 0 64k")
	for _, declared := range []string{
		"pool \"default\" {\n  path = \"/var/lib/libvirt/images\"\n}\n",
		"",
		"pool \"main\" {\n  name = \"default\"\n  path = \"/var/lib/libvirt/images\"\n}\n",
	} {
		p.write("pools.hcl", declared)
		p.vmplan(0, "apply", "--auto-approve")
		p.vmplan(0, "plan", "--detailed-exitcode")
		disk("read -P 7 0 64k") // fails unless the pattern is there
	}
}
