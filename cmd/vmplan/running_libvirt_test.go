//go:build linux && !nolibvirt

package main

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers/libvirt/libvirttest"
)

// runningProject has one guest with a system, which gives and takes devices and memory.
const runningProject = `
host "lab" {
  uri         = "%s"
  domain_type = "qemu"
}
pool "main" { path = "%s" }
network "lan" {
  cidr   = "10.82.1.0/24"
  domain = "lan.example"
}
network "back" {
  cidr = "10.82.2.0/24"
  mode = "isolated"
}
image "tiny" { source = "%s" }
vm "web" {
  image       = image.tiny
  memory      = "192MiB"
  vcpus       = 1
  max_vcpus   = 2
  title       = "the web"
  description = "a guest that runs"
  disk "root" {}
  disk "data" { size = "16MiB" }
  disk "more" {
    size = "8MiB"
    bus  = "scsi"
  }
  nic "one" {
    network = network.lan
    address = "10.82.1.10"
  }
  nic "two" {
    network = network.back
    link    = false
  }
  ready {
    agent {}
    timeout = "3m"
  }
}
`

// TestAGuestThatRunsIsRepairedWhileItRuns: people take from a guest, from its definition, or from both. The plan names just that,
// apply gives it back, and the guest does not restart.
func TestAGuestThatRunsIsRepairedWhileItRuns(t *testing.T) {
	t.Parallel()
	host := libvirttest.Start(t)
	s := &story{
		seed: seedOf(t), most: 3, ctx: t.Context(), log: &bytes.Buffer{},
		can: abilities{plug: true, cables: true, steady: true},
	}
	teller := newTeller(s, t.TempDir(), newLibvirtGround(t, host, host.URI))
	files := fmt.Sprintf(runningProject, host.URI, filepath.Join(host.Dir, "pool"), libvirttest.Guest(t).Disk)
	if err := teller.handle(files, 20); err != nil {
		t.Errorf("seed %d:\n%s\n=== %v", s.seed, s.log, err)
	}
	t.Logf("seed %d: %d edits", s.seed, s.edits)
}

// handle makes the project, lets people work on it until they have made so many edits, and destroys it.
func (t *teller) handle(files string, edits int) error {
	before, err := t.ground.listing()
	if err != nil {
		return err
	}
	if err := t.converge("the project", files); err != nil {
		return err
	}
	for round := uint64(0); t.edits < edits; round++ {
		was, err := t.ground.boots()
		if err != nil {
			return err
		}
		if err := t.editHost(rand.New(rand.NewPCG(t.seed, round))); err != nil {
			return err
		}
		if is, err := t.ground.boots(); err != nil || !maps.Equal(was, is) {
			return errors.Join(err, fmt.Errorf("the guest was restarted:\n%s", t.applied))
		}
	}
	return t.leave(before)
}

// editGuest does to a guest with a system, to its definition, or to both, what the guest has to agree to.
func (g libvirtGround) editGuest(vm *resource.VM, e handEdit) error {
	flags, options := scope(e)
	device := libvirt.DomainDeviceModifyFlags(flags)
	unplug := func(alias string) error {
		err := g.onVM(e, func(d *libvirt.Domain) error { return d.DetachDeviceAlias(alias, device) },
			append([]string{"detach-device-alias", vm.Name, alias}, options...)...)
		if err != nil || flags&libvirt.DOMAIN_AFFECT_LIVE == 0 {
			return err
		}
		return g.await(vm.Name, func(guest *libvirtxml.Domain) bool { return !hasAlias(guest, alias) })
	}
	switch e.what {
	case setMemory:
		less := vm.Memory - 16*resource.MiB
		kib := uint64(less / resource.KiB)
		err := g.onVM(e, func(d *libvirt.Domain) error { return d.SetMemoryFlags(kib, libvirt.DomainMemoryModFlags(flags)) },
			append([]string{"setmem", vm.Name, fmt.Sprintf("%dKiB", kib)}, options...)...)
		if err != nil || flags&libvirt.DOMAIN_AFFECT_LIVE == 0 {
			return err
		}
		return g.await(vm.Name, func(guest *libvirtxml.Domain) bool { return uint64(guest.CurrentMemory.Value) == kib })
	case unplugDisk:
		return unplug("ua-disk-" + e.part)
	case unplugNIC:
		return unplug("ua-nic-" + e.part)
	case plugForeign:
		path, err := g.virsh("", "vol-path", "--pool", theirPool, e.part)
		if err != nil {
			return err
		}
		target := g.foreignTarget("sd", vm)
		text := fmt.Sprintf("<disk type='file'><driver name='qemu' type='raw'/><source file='%s'/><target dev='%s' bus='scsi'/></disk>", strings.TrimSpace(path), target)
		return g.onVM(e, func(d *libvirt.Domain) error { return d.AttachDeviceFlags(text, device) },
			append([]string{"attach-disk", vm.Name, strings.TrimSpace(path), target, "--targetbus", "scsi", "--subdriver", "raw"}, options...)...)
	}
	return g.editDevices(vm, e)
}

func hasAlias(d *libvirtxml.Domain, alias string) bool {
	for i := range d.Devices.Disks {
		if a := d.Devices.Disks[i].Alias; a != nil && a.Name == alias {
			return true
		}
	}
	for i := range d.Devices.Interfaces {
		if a := d.Devices.Interfaces[i].Alias; a != nil && a.Name == alias {
			return true
		}
	}
	return false
}

// await waits until the guest has come to what it was asked.
func (g libvirtGround) await(vm string, is func(*libvirtxml.Domain) bool) error {
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		text, err := g.virsh("", "dumpxml", vm)
		if err != nil {
			return err
		}
		var guest libvirtxml.Domain
		if err := guest.Unmarshal(text); err != nil || is(&guest) {
			return err
		}
	}
	return fmt.Errorf("the guest of %s does not do in a minute what it was asked to", vm)
}
