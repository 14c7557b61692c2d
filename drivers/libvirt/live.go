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
	"vmplan.dev/vmplan/drivers/libvirt/impact"
	"vmplan.dev/vmplan/drivers/libvirt/internal/xmltree"
)

// unplugTimeout is how long a guest may take to let go of a device, and unplugEvery how often it is asked.
const (
	unplugTimeout = 60 * time.Second
	unplugEvery   = 5 * time.Second
	// balloonTimeout is how long a guest may take to change its size.
	balloonTimeout = 60 * time.Second
	// balloonRest is how long a size that does not change is no longer on its way: QEMU tells of changes once a second.
	balloonRest = 1500 * time.Millisecond
)

// applyLive makes those changes on the running guest that can be made there. Each may have been made already.
func (e *edit) applyLive(dom *libvirt.Domain) error {
	if err := e.liveTexts(dom); err != nil {
		return err
	}
	if err := e.liveSize(dom); err != nil {
		return err
	}
	for _, name := range e.labels(e.disks) {
		if err := e.liveDisk(dom, name); err != nil {
			return fail(err, "vm %s: disk %s", e.after.Name, name)
		}
	}
	for _, name := range e.labels(e.nics) {
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
		if !e.fields[t.field] {
			continue
		}
		if err := dom.SetMetadata(t.kind, t.text, "", "", libvirt.DOMAIN_AFFECT_LIVE); err != nil {
			return fail(err, "set the %s of vm %s", t.field, e.after.Name)
		}
	}
	return nil
}

func (e *edit) liveSize(dom *libvirt.Domain) error {
	live, err := domainTree(dom, 0)
	if err != nil {
		return err
	}
	now := poolIndex{}.readVM(live, nil)
	if vcpus := e.after.VCPUs; e.fields["vcpus"] && now.VCPUs != vcpus && vcpus <= now.MaxVCPUs {
		if err := dom.SetVcpusFlags(uint(vcpus), libvirt.DOMAIN_VCPU_LIVE); err != nil {
			return fail(err, "set the vCPUs of vm %s", e.after.Name)
		}
	}
	if memory := e.after.Memory; e.fields["memory"] && now.Memory != memory && memory <= now.MaxMemory {
		if err := dom.SetMemoryFlags(uint64(memory/resource.KiB), libvirt.DOMAIN_MEM_LIVE); err != nil {
			return fail(err, "set the memory of vm %s", e.after.Name)
		}
		return e.awaitBalloon(dom)
	}
	return nil
}

// awaitBalloon waits until the guest has given or taken the memory it was asked to.
func (e *edit) awaitBalloon(dom *libvirt.Domain) error {
	want := e.after.Memory
	for deadline := time.Now().Add(balloonTimeout); ; {
		live, err := domainTree(dom, 0)
		if err != nil {
			return err
		}
		now := poolIndex{}.readVM(live, nil).Memory
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
		live, err := domainTree(dom, 0)
		if err != nil {
			return 0, err
		}
		if next := (poolIndex{}).readVM(live, nil).Memory; next != now {
			now, since = next, time.Now()
		}
	}
	return now, nil
}

func (e *edit) liveDisk(dom *libvirt.Domain, name string) error {
	if name == seedLabel {
		return nil // read when the guest boots; it keeps the one it has until then
	}
	live, err := domainTree(dom, 0)
	if err != nil {
		return err
	}
	old, disk, n := e.before.Disk(name), e.after.Disk(name), device(live, "disk", aliasDisk, name)
	switch {
	case disk == nil && n != nil && impact.HotPluggable(old):
		return e.unplug(dom, "disk", aliasDisk, name)
	case disk != nil && n == nil && impact.HotPluggable(disk):
		taken := newTargets()
		for _, def := range []*xmltree.Node{live, e.def} {
			for _, k := range def.Get("devices").All("disk") {
				taken.taken[k.Get("target").Attr("dev")] = true
			}
		}
		added, err := e.newDisk(disk, taken)
		if err != nil {
			return err
		}
		return dom.AttachDeviceFlags(added.String(), libvirt.DOMAIN_DEVICE_MODIFY_LIVE)
	case disk != nil && n != nil && disk.Device == "cdrom" && slices.Contains(e.disks[name], "source"):
		if err := e.editDisk(n, disk, newTargets()); err != nil {
			return err
		}
		return dom.UpdateDeviceFlags(n.String(), libvirt.DOMAIN_DEVICE_MODIFY_LIVE)
	}
	return nil
}

func (e *edit) liveNIC(dom *libvirt.Domain, name string) error {
	live, err := domainTree(dom, 0)
	if err != nil {
		return err
	}
	nic, n := e.after.NIC(name), device(live, "interface", aliasNIC, name)
	fields := slices.DeleteFunc(slices.Clone(e.nics[name]), func(f string) bool {
		return f == "mac" || f == "model" || strings.HasPrefix(f, "port_forward.")
	})
	switch {
	case nic == nil && n != nil:
		return e.unplug(dom, "interface", aliasNIC, name)
	case nic != nil && n == nil:
		added, err := newNIC(nic)
		if err != nil {
			return err
		}
		return dom.AttachDeviceFlags(added.String(), libvirt.DOMAIN_DEVICE_MODIFY_LIVE)
	case nic != nil && len(fields) > 0:
		was := n.Get("source").Attr("network")
		editNIC(n, nic, fields)
		if err := dom.UpdateDeviceFlags(n.String(), libvirt.DOMAIN_DEVICE_MODIFY_LIVE); err != nil {
			return err
		}
		if strings.HasPrefix(was, parkingPrefix) {
			return e.closeParking(was)
		}
	}
	return nil
}

// unplug asks the guest to let go of a device until it does.
func (e *edit) unplug(dom *libvirt.Domain, kind, prefix, name string) error {
	deadline := time.Now().Add(unplugTimeout)
	for next := time.Now(); ; {
		live, err := domainTree(dom, 0)
		if err != nil {
			return err
		}
		n := device(live, kind, prefix, name)
		switch {
		case n == nil:
			return nil
		case time.Now().After(deadline):
			return fmt.Errorf("%w: the guest does not let go of it; shut the guest down, and apply again", drivers.ErrTimeout)
		case !time.Now().Before(next):
			next = time.Now().Add(unplugEvery)
			// Asking again while the guest thinks about it is an error that means nothing.
			err := dom.DetachDeviceAlias(n.Get("alias").Attr("name"), libvirt.DOMAIN_DEVICE_MODIFY_LIVE)
			if err != nil && notOffered(err) {
				return err
			} else if err != nil {
				e.env.Log.Debug("unplug", "vm", e.after.Name, "device", name, "error", err)
			}
		}
		if err := pause(e.ctx, powerPoll); err != nil {
			return err
		}
	}
}
