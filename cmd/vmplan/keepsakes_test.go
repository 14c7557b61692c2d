//go:build linux && !nolibvirt

package main

import (
	"strings"
	"testing"
	"testing/fstest"
)

// What libvirt keeps beside a vm (snapshots, checkpoints, saved memory, the firmware's memory) never stands in the way of a change
// or of the end of the vm.
func TestNothingKeptBlocksAChange(t *testing.T) {
	t.Parallel()
	p := newProject(t, fstest.MapFS{"main.hcl": {Data: []byte(liveProject)}})
	empty := p.snapshot()
	p.vmplan(0, "apply", "--auto-approve")
	boot := p.bootID()
	same := func(what string, want bool) {
		t.Helper()
		now := p.bootID()
		if (now == boot) != want {
			t.Errorf("%s: the guest has the boot id it had: %v", what, now == boot)
		}
		boot = now
	}
	apply := func(pairs ...string) {
		t.Helper()
		p.edit(edit(pairs...))
		p.vmplan(0, "apply", "--auto-approve")
		p.vmplan(0, "plan", "--detailed-exitcode")
	}

	p.virsh("snapshot-create-as", "web", "running")
	apply("# title", `title = "with a snapshot"`, `disk "root" { size = "1GiB" }`, `disk "root" { size = "1088MiB" }`, "# disks", "disk \"data\" { size = \"16MiB\" }\n  # disks")
	same("live changes beside a snapshot", true)

	p.virsh("managedsave", "web")
	apply(`title = "with a snapshot"`, `title = "resumed"`)
	same("resumed under another title", true)

	p.virsh("managedsave", "web")
	p.edit(edit("# virtual hardware", "cpu = \"qemu64\"\n  # virtual hardware"))
	if text := p.vmplan(0, "plan"); !strings.Contains(text, "the saved memory is discarded") {
		t.Errorf("the plan does not say that the saved memory goes:\n%s", text)
	}
	apply()
	same("saved, and another CPU", false)

	p.virsh("snapshot-delete", "web", "running")
	p.virsh("checkpoint-create-as", "web", "backup")
	apply(`title = "resumed"`, `title = "with a checkpoint"`, `disk "root" { size = "1088MiB" }`, `disk "root" { size = "1152MiB" }`, `disk "data" { size = "16MiB" }`, `disk "data" { size = "32MiB" }`)
	same("live changes beside a checkpoint", true)
	apply("# virtual hardware", "machine = \"pc-q35-6.2\"\n  # virtual hardware")
	same("another machine beside a checkpoint", false)
	apply("# name", `name = "www"`, "# virtual hardware", "firmware = \"uefi\"\n  # virtual hardware")
	same("another name beside a checkpoint", false)
	p.virsh("checkpoint-delete", "www", "backup", "--metadata")

	p.vmplan(0, "stop", "vm.web")
	p.edit(edit("autostart  = false", "autostart  = false\n  running = false"))
	p.vmplan(0, "apply", "--auto-approve")
	for _, snapshot := range []string{"off", "off again"} {
		p.virsh("snapshot-create-as", "www", snapshot)
	}
	apply(`memory     = "192MiB"`, `memory     = "160MiB"`)
	apply("  running = false", "", "# nics", `nic "back" { network = network.back }`)
	p.virsh("checkpoint-list", "www")
	p.virsh("managedsave", "www")
	p.destroy(empty)
}

func (p *example) virsh(args ...string) {
	p.t.Helper()
	if out, err := p.host.Command("virsh", append([]string{"--connect", p.host.URI}, args...)...).CombinedOutput(); err != nil {
		p.t.Fatalf("virsh %q: %v: %s", args, err, out)
	}
}

// An external snapshot lets the guest write to a new volume over each disk. The vm goes on as if that were its disk; when it goes,
// the plan names what is lost, and neither these volumes nor the state of its TPM stay behind.
func TestExternalSnapshotsAndTheTPMGoWithTheVM(t *testing.T) {
	t.Parallel()
	p := newProject(t, fstest.MapFS{"main.hcl": {Data: []byte(liveProject)}})
	empty := p.snapshot()
	p.edit(edit("# virtual hardware", "tpm {}\n  # virtual hardware"))
	p.vmplan(0, "apply", "--auto-approve")
	if got := p.inGuest("ls /dev/tpm0"); got != "/dev/tpm0\n" {
		t.Errorf("the guest has no TPM: %q", got)
	}
	boot := p.bootID()
	p.virsh("snapshot-create-as", "web", "first", "--disk-only")
	p.virsh("snapshot-create-as", "web", "second", "--disk-only")
	p.vmplan(0, "plan", "--detailed-exitcode")

	p.edit(edit("# title", `title = "with snapshots"`, `disk "root" { size = "1GiB" }`, `disk "root" { size = "1088MiB" }`, "# disks", "disk \"data\" { size = \"16MiB\" }\n  # disks"))
	p.vmplan(0, "apply", "--auto-approve")
	p.vmplan(0, "plan", "--detailed-exitcode")
	if got := p.inGuest("lsblk"); !strings.Contains(got, "vda 1140850688 root\n") || !strings.Contains(got, " 16777216 data\n") || p.bootID() != boot {
		t.Errorf("the running guest has, restarted: %v\n%s", p.bootID() != boot, got)
	}
	p.edit(edit("# virtual hardware", "cpu = \"qemu64\"\n  # virtual hardware"))
	p.vmplan(0, "apply", "--auto-approve")
	p.vmplan(0, "plan", "--detailed-exitcode")
	if got := p.inGuest("lsblk"); !strings.Contains(got, "vda 1140850688 root\n") || p.bootID() == boot {
		t.Errorf("after the restart the guest has\n%s", got)
	}

	text := p.vmplan(0, "plan", "--destroy")
	for _, lost := range []string{"snapshot first and what was written since", "snapshot second and what was written since", "TPM state", "disk root (1088 MiB)"} {
		if !strings.Contains(text, "loses "+lost+"\n") {
			t.Errorf("the plan does not say that %q is lost:\n%s", lost, text)
		}
	}
	p.destroy(empty)
}
