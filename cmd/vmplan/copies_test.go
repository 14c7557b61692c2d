//go:build linux && !nolibvirt

package main

import (
	"strings"
	"testing"
	"testing/fstest"
)

// copiesProject is one vm whose guest writes to its disk.
const copiesProject = `
variable "uri" {}
variable "image" {}
variable "ssh_key" {}

host "lab" {
  uri         = var.uri
  domain_type = "qemu"
}
network "lan" { cidr = "10.75.1.0/24" }
image "tiny" { source = var.image }

vm "web" {
  image  = image.tiny
  memory = "192MiB"
  # hardware
  nic "lan" {
    network = network.lan
    address = "auto"
  }
  cloud_init { ssh_authorized_keys = [var.ssh_key] }
  ready {
    ssh {}
    agent {}
    timeout = "3m"
  }
}
# more
`

// inside runs a command in the guest of a vm.
func (p *example) inside(vm, command string) string {
	p.t.Helper()
	return strings.TrimSpace(p.vmplan(0, "ssh", vm, "--user", "root", "--identity", p.key(), "--", command))
}

// note lets the guest write to its disk.
func (p *example) note(vm, text string) {
	p.t.Helper()
	p.inside(vm, "echo "+text+" > /srv/note; sync")
}

func (p *example) noted(vm, want string) {
	p.t.Helper()
	if got := p.inside(vm, "cat /srv/note"); got != want {
		p.t.Errorf("the guest of %s has noted %q, not %q", vm, got, want)
	}
	p.vmplan(0, "plan", "--detailed-exitcode")
}

// TestASnapshotBringsBackWhatAGuestHad: of its disks while it runs, with its memory, and while it is off.
func TestASnapshotBringsBackWhatAGuestHad(t *testing.T) {
	t.Parallel()
	p := newProject(t, fstest.MapFS{"main.hcl": {Data: []byte(copiesProject)}})
	empty := p.snapshot()
	p.vmplan(0, "apply", "--auto-approve")
	p.note("vm.web", "old")
	p.contains(p.vmplan(0, "snapshot", "create", "vm.web", "disks", "--disk-only"), "file systems at rest")
	p.vmplan(0, "plan", "--detailed-exitcode")
	p.note("vm.web", "newer")
	boot := p.inside("vm.web", "cat /proc/sys/kernel/random/boot_id")
	p.contains(p.vmplan(0, "snapshot", "create", "vm.web", "live"), "disks and memory")
	p.note("vm.web", "newest")

	p.contains(p.vmplan(0, "snapshot", "restore", "vm.web", "disks", "--auto-approve"), "vm.web  restore and stop: to snapshot disks", "vm.web: restored", "vm.web: started")
	p.noted("vm.web", "old")
	p.contains(p.vmplan(0, "snapshot", "restore", "vm.web", "live", "--auto-approve"), "vm.web: restored")
	p.noted("vm.web", "newer")
	if now := p.inside("vm.web", "cat /proc/sys/kernel/random/boot_id"); now != boot {
		t.Errorf("with the memory of the snapshot the guest has rebooted: %s, not %s", now, boot)
	}

	p.vmplan(0, "stop", "vm.web")
	p.contains(p.vmplan(0, "snapshot", "create", "vm.web", "off"), "Snapshot off of vm.web: disks.")
	p.vmplan(0, "apply", "--auto-approve")
	p.note("vm.web", "lost")
	p.vmplan(0, "snapshot", "restore", "vm.web", "off", "--auto-approve")
	p.noted("vm.web", "newer")
	p.contains(p.vmplan(0, "snapshot", "list"), "disks of the running guest, file systems at rest", "disks and memory")
	p.vmplan(0, "snapshot", "delete", "vm.web", "disks")
	p.noted("vm.web", "newer")
	p.destroy(empty)
}

// TestACloneIsAGuestOfItsOwn: it has what the other wrote, and its own name and address; then the other may go, and so may the
// image below a disk that was flattened while its guest ran.
func TestACloneIsAGuestOfItsOwn(t *testing.T) {
	t.Parallel()
	p := newProject(t, fstest.MapFS{"main.hcl": {Data: []byte(copiesProject)}})
	empty := p.snapshot()
	p.vmplan(0, "apply", "--auto-approve")
	p.note("vm.web", "from-web")
	boot := p.inside("vm.web", "cat /proc/sys/kernel/random/boot_id")
	p.contains(p.vmplan(0, "flatten", "vm.web", "--auto-approve"), "vm.web.disk.root: flattened")
	p.noted("vm.web", "from-web")
	if now := p.inside("vm.web", "cat /proc/sys/kernel/random/boot_id"); now != boot {
		t.Error("the guest was restarted to cut its disk loose")
	}
	p.edit(edit("# more", `vm "copy" { clone = vm.web }`))
	p.contains(p.vmplan(0, "plan"), "1 with a restart (vm.web)", "is off while vm.web.disk.root is copied to vm.copy.disk.root")
	p.vmplan(0, "apply", "--auto-approve")
	p.noted("vm.copy", "from-web")
	p.note("vm.copy", "from-copy")
	p.noted("vm.web", "from-web")
	for _, command := range []string{"hostname", "cat /sys/class/net/*/address | grep -v 00:00:00:00:00:00"} {
		if a, b := p.inside("vm.web", command), p.inside("vm.copy", command); a == b || b == "" {
			t.Errorf("%s: %q in the one, %q in the other", command, a, b)
		}
	}
	p.destroy(empty)
}

// TestAProtectedChangeIsTakenBack: a guest that does not come up with less memory is brought back with what it had.
func TestAProtectedChangeIsTakenBack(t *testing.T) {
	t.Parallel()
	p := newProject(t, fstest.MapFS{"main.hcl": {Data: []byte(copiesProject)}})
	p.edit(edit("# hardware", "protect { snapshot = true }\n  # hardware"))
	p.vmplan(0, "apply", "--auto-approve")
	p.note("vm.web", "before")
	p.edit(edit("192MiB", "20MiB", `timeout = "3m"`, `timeout = "20s"`))
	p.contains(p.vmplan(0, "plan"), "protected by a snapshot")
	printed, said := p.output(1, "apply", "--auto-approve")
	p.contains(printed, "vm.web: snapshot taken", "vm.web: restored", "vm.web: snapshot deleted")
	p.contains(said, "did not become ready")
	p.edit(edit("20MiB", "192MiB", `timeout = "20s"`, `timeout = "3m"`))
	p.vmplan(0, "apply", "--auto-approve")
	p.noted("vm.web", "before")
	p.edit(edit("# hardware", `cpu = "qemu64"`))
	p.contains(p.vmplan(0, "apply", "--auto-approve"), "vm.web: snapshot taken", "vm.web: snapshot deleted")
	p.noted("vm.web", "before")
}

// TestARestoreThatEndsHalfwayIsGoneOnWith: one disk is brought back, the other cannot be. The guest does not start on that; once it
// can, the same command ends it. No guest runs here.
func TestARestoreThatEndsHalfwayIsGoneOnWith(t *testing.T) {
	t.Parallel()
	p := newProject(t, fstest.MapFS{"main.hcl": {Data: []byte(`
variable "uri" {}
host "lab" { uri = var.uri }
vm "web" {
  running = false
  disk "root" { size = "16MiB" }
  disk "data" { size = "16MiB" }
}
`)}})
	inside := func(flag string) { // of the disk that makes trouble
		t.Helper()
		out, err := p.host.Command("qemu-img", "snapshot", flag, "off", "/var/lib/libvirt/images/web-data.qcow2").CombinedOutput()
		if err != nil {
			t.Fatalf("qemu-img snapshot %s: %v: %s", flag, err, out)
		}
	}
	p.vmplan(0, "apply", "--auto-approve")
	p.vmplan(0, "snapshot", "create", "vm.web", "off")
	inside("-d")
	_, said := p.output(1, "snapshot", "restore", "vm.web", "off", "--auto-approve")
	p.contains(said, "vm.web: could not be restored")
	for _, args := range [][]string{{"plan"}, {"apply", "--auto-approve"}, {"start", "vm.web"}} {
		_, said := p.output(1, args...)
		p.contains(said, "some of its disks may be restored, and others not", "vmplan snapshot restore 'vm.web' off")
	}
	inside("-c")
	p.contains(p.vmplan(0, "snapshot", "restore", "vm.web", "off", "--auto-approve"), "vm.web: restored")
	p.vmplan(0, "plan", "--detailed-exitcode")
}
