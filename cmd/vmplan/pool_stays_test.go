//go:build linux && !nolibvirt

package main

import (
	"testing"
	"testing/fstest"
)

// emulatedHost is a private host whose guests need no KVM.
const emulatedHost = `variable "uri" {
  type = string
}

host "lab" {
  uri         = var.uri
  domain_type = "qemu"
}
`

// qemuIO reads or writes a disk on the host. Reading a pattern that is not there fails the test.
func (p *example) qemuIO(file, command string) {
	p.t.Helper()
	out, err := p.host.Command("qemu-io", "-c", command, file).CombinedOutput()
	if err != nil {
		p.t.Fatalf("qemu-io %s: %v\n%s", command, err, out)
	}
}

// TestADiskStaysInThePoolItWasMadeIn: the host had a pool before the project, which therefore has no record of its own. Pools
// that the files declare later do not move the disk, and what was written to it is still there.
func TestADiskStaysInThePoolItWasMadeIn(t *testing.T) {
	t.Parallel()
	p := newProject(t, fstest.MapFS{
		"main.hcl": {Data: []byte(emulatedHost + `vm "t3" {
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
	disk := func(command string) { p.qemuIO("/var/lib/libvirt/default/t3-root.qcow2", command) }
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
		disk("read -P 7 0 64k")
	}
}

// TestAPoolThatWasMadeWithoutABlockIsTakenOver: vmplan made the pool "default" itself. A block that declares it later, under
// whichever label, is that pool and not a new one in its place.
func TestAPoolThatWasMadeWithoutABlockIsTakenOver(t *testing.T) {
	t.Parallel()
	p := newProject(t, fstest.MapFS{
		"main.hcl": {Data: []byte(emulatedHost + `volume "data" { size = "1MiB" }
`)},
	})
	p.vmplan(0, "apply", "--auto-approve")
	disk := func(command string) { p.qemuIO("/var/lib/libvirt/images/data.qcow2", command) }
	disk("write -P 7 0 64k")
	for _, declared := range []string{
		"pool \"default\" {\n  path = \"/var/lib/libvirt/images\"\n}\n",
		"",
		"pool \"main\" {\n  name = \"default\"\n  path = \"/var/lib/libvirt/images\"\n}\n",
	} {
		p.write("pools.hcl", declared)
		p.vmplan(0, "apply", "--auto-approve")
		p.vmplan(0, "plan", "--detailed-exitcode")
		disk("read -P 7 0 64k")
	}
}
