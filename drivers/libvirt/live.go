//go:build !nolibvirt

package libvirt

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"libvirt.org/go/libvirt"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/libvirt/internal/definition"
	"vmplan.dev/vmplan/drivers/libvirt/internal/xmltree"
)

// unplugTimeout is how long a guest may take to release a device, and unplugEvery how often it is asked.
const (
	unplugTimeout = 60 * time.Second
	unplugEvery   = 5 * time.Second
	// balloonTimeout is how long a guest may take to change its size.
	balloonTimeout = 60 * time.Second
	// balloonRest is how long a size that does not change is no longer on its way: QEMU tells of changes once a second.
	balloonRest = 1500 * time.Millisecond
)

// liveCalls has a function for each call that changes fields of the vm itself. Each finds out what is already so.
var liveCalls = map[definition.Live]func(*edit, *libvirt.Domain) error{
	definition.LiveMetadata: (*edit).liveTexts,
	definition.LiveVCPUs:    (*edit).liveVCPUs,
	definition.LiveMemory:   (*edit).liveMemory,
}

// applyLive makes those changes on the running guest that can be made there. Each may have been made already.
func (e *edit) applyLive(dom *libvirt.Domain) error {
	made := map[definition.Live]bool{}
	for _, field := range e.live.Fields {
		live := definition.LiveOf(field)
		if change := liveCalls[live]; change != nil && !made[live] {
			made[live] = true
			if err := change(e, dom); err != nil {
				return err
			}
		}
	}
	for _, name := range e.live.DisksInOrder(e.before, e.after) {
		if err := e.liveDisk(dom, name); err != nil {
			return fail(err, "vm %s: disk %s", e.after.Name, name)
		}
	}
	for _, name := range e.live.NICsInOrder(e.before, e.after) {
		if err := e.liveNIC(dom, name); err != nil {
			return fail(err, "vm %s: nic %s", e.after.Name, name)
		}
		if err := e.liveForwards(dom, name); err != nil {
			return fail(err, "vm %s: nic %s", e.after.Name, name)
		}
	}
	return nil
}

func (e *edit) liveTexts(dom *libvirt.Domain) error {
	for _, t := range []struct {
		field, text string
		kind        libvirt.DomainMetadataType
	}{
		{"title", e.after.Title, libvirt.DOMAIN_METADATA_TITLE},
		{"description", e.after.Description, libvirt.DOMAIN_METADATA_DESCRIPTION},
	} {
		if !e.live.Has(t.field) {
			continue
		}
		if err := dom.SetMetadata(t.kind, t.text, "", "", libvirt.DOMAIN_AFFECT_LIVE); err != nil {
			return fail(err, "set the %s of vm %s", t.field, e.after.Name)
		}
	}
	return nil
}

func (e *edit) liveVCPUs(dom *libvirt.Domain) error {
	now, err := runningVM(dom)
	if err != nil {
		return err
	}
	if vcpus := e.after.VCPUs; now.VCPUs != vcpus && vcpus <= now.MaxVCPUs {
		return fail(dom.SetVcpusFlags(uint(vcpus), libvirt.DOMAIN_VCPU_LIVE), "set the vCPUs of vm %s", e.after.Name)
	}
	return nil
}

func (e *edit) liveMemory(dom *libvirt.Domain) error {
	now, err := runningVM(dom)
	if err != nil {
		return err
	}
	if memory := e.after.Memory; now.Memory != memory && memory <= now.MaxMemory {
		if err := dom.SetMemoryFlags(uint64(memory/resource.KiB), libvirt.DOMAIN_MEM_LIVE); err != nil {
			return fail(err, "set the memory of vm %s", e.after.Name)
		}
		return e.awaitBalloon(dom)
	}
	return nil
}

// runningVM is what a guest has now.
func runningVM(dom *libvirt.Domain) (*resource.VM, error) {
	live, err := domainTree(dom, 0)
	if err != nil {
		return nil, err
	}
	return poolIndex{}.readVM(live, nil), nil
}

// awaitBalloon waits until the guest has given or taken the memory it was asked to.
func (e *edit) awaitBalloon(dom *libvirt.Domain) error {
	want := e.after.Memory
	for deadline := time.Now().Add(balloonTimeout); ; {
		vm, err := runningVM(dom)
		if err != nil {
			return err
		}
		now := vm.Memory
		if now == want {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("set the memory of vm %s: %w: the guest stays at %s instead of %s. Does it have a balloon driver (virtio_balloon), and memory to spare? Else shut it down, and apply again",
				e.after.Name, drivers.ErrTimeout, now, want)
		}
		if err := pause(e.ctx, powerPoll); err != nil {
			return err
		}
	}
}

// balloonAtRest is the memory of a guest that has more than it is meant to have: one that has just booted is giving it back.
func balloonAtRest(ctx context.Context, dom *libvirt.Domain, now resource.Size) (resource.Size, error) {
	begin := time.Now()
	for since := begin; time.Since(since) < balloonRest && time.Since(begin) < balloonTimeout; {
		if err := pause(ctx, powerPoll); err != nil {
			return 0, err
		}
		vm, err := runningVM(dom)
		if err != nil {
			return 0, err
		}
		if vm.Memory != now {
			now, since = vm.Memory, time.Now()
		}
	}
	return now, nil
}

// known names the devices that the guest may have.
func (e *edit) known() *resource.VM { return definition.Known(e.before, e.after) }

func (e *edit) diskIn(live *xmltree.Node, label string) *xmltree.Node {
	return definition.Disk(live, e.known(), label, e.context.VolumeID)
}

func (e *edit) nicIn(live *xmltree.Node, label string) *xmltree.Node {
	return definition.NIC(live, e.known(), label)
}

func (e *edit) liveDisk(dom *libvirt.Domain, label string) error {
	live, err := domainTree(dom, 0)
	if err != nil {
		return err
	}
	disk, el := e.after.Disk(label), e.diskIn(live, label)
	fields := updatable(e.live.Disks[label], "disk."+label)
	switch {
	case disk == nil && el != nil:
		return e.unplug(dom, label, e.diskIn)
	case disk != nil && el == nil:
		added, err := definition.NewDisk(disk, e.context, live, e.def)
		if err != nil {
			return err
		}
		return dom.AttachDeviceFlags(added.String(), libvirt.DOMAIN_DEVICE_MODIFY_LIVE)
	case disk != nil && len(fields) > 0:
		if err := definition.WriteDisk(el, disk, fields, e.context); err != nil {
			return err
		}
		return dom.UpdateDeviceFlags(el.String(), libvirt.DOMAIN_DEVICE_MODIFY_LIVE)
	}
	return nil
}

// updatable are the fields of a device that libvirt changes by its element.
func updatable(fields []string, block string) []string {
	return slices.DeleteFunc(slices.Clone(fields), func(f string) bool {
		return definition.LiveOf(block+"."+f) != definition.LiveDevice
	})
}

func (e *edit) liveNIC(dom *libvirt.Domain, label string) error {
	live, err := domainTree(dom, 0)
	if err != nil {
		return err
	}
	nic, el := e.after.NIC(label), e.nicIn(live, label)
	fields := updatable(e.live.NICs[label], "nic."+label)
	switch {
	case nic == nil && el != nil:
		return e.unplug(dom, label, e.nicIn)
	case nic != nil && el == nil:
		added, err := definition.NewNIC(nic)
		if err != nil {
			return err
		}
		return dom.AttachDeviceFlags(added.String(), libvirt.DOMAIN_DEVICE_MODIFY_LIVE)
	case nic != nil && len(fields) > 0:
		old := el.Get("source").Attr("network")
		if err := definition.WriteNIC(el, nic, fields); err != nil {
			return err
		}
		if err := dom.UpdateDeviceFlags(el.String(), libvirt.DOMAIN_DEVICE_MODIFY_LIVE); err != nil {
			return err
		}
		if strings.HasPrefix(old, parkingPrefix) {
			return e.closeParking(old)
		}
	}
	return nil
}

// unplug asks the guest to release a device until it does.
func (e *edit) unplug(dom *libvirt.Domain, label string, find func(live *xmltree.Node, label string) *xmltree.Node) error {
	deadline := time.Now().Add(unplugTimeout)
	for next := time.Now(); ; {
		live, err := domainTree(dom, 0)
		if err != nil {
			return err
		}
		el := find(live, label)
		switch {
		case el == nil:
			return nil
		case time.Now().After(deadline):
			return fmt.Errorf("%w: the guest does not release it; shut the guest down, and apply again", drivers.ErrTimeout)
		case !time.Now().Before(next):
			next = time.Now().Add(unplugEvery)
			// Asking again while the guest thinks about it is an error that means nothing.
			err := dom.DetachDeviceAlias(el.Get("alias").Attr("name"), libvirt.DOMAIN_DEVICE_MODIFY_LIVE)
			if err != nil && notOffered(err) {
				return err
			} else if err != nil {
				e.env.Log.Debug("unplug", "vm", e.after.Name, "device", label, "error", err)
			}
		}
		if err := pause(e.ctx, powerPoll); err != nil {
			return err
		}
	}
}
