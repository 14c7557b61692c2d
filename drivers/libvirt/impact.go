//go:build !nolibvirt

package libvirt

import (
	"strings"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
)

// seedLabel is the disk that holds a vm's cloud-init seed, by config's convention.
const seedLabel = "seed"

// Impact implements drivers.Driver.
func (d *driver) Impact(before, after resource.Resource) []drivers.FieldImpact {
	var out []drivers.FieldImpact
	for _, c := range resource.Diff(before, after) {
		if c.Class != resource.ClassHost {
			continue
		}
		f := drivers.FieldImpact{Path: c.Path}
		switch before := before.(type) {
		case *resource.VM:
			f.Impact, f.Note = impactVM(c, before, after.(*resource.VM))
		case *resource.Network:
			f.Impact, f.Note = impactNetwork(c)
		case *resource.Volume:
			f.Impact, f.Note = impactVolume(c)
		case *resource.Pool:
			f.Impact = drivers.ImpactReplace
			if c.Path == "autostart" {
				f.Impact = drivers.ImpactLive
			}
		default:
			f.Impact = drivers.ImpactReplace
		}
		out = append(out, f)
	}
	return out
}

func impactNetwork(c resource.Change) (drivers.Impact, string) {
	switch path, _, _ := strings.Cut(c.Path, "."); path {
	case "autostart":
		return drivers.ImpactLive, ""
	case "reservation":
		return drivers.ImpactLive, "the DHCP server is told; guests are not touched"
	case "uuid", "name":
		return drivers.ImpactReplace, ""
	}
	return drivers.ImpactRestart, "the network is restarted: guests on it are off the network for a moment, and ask for an address again"
}

func impactVolume(c resource.Change) (drivers.Impact, string) {
	switch c.Path {
	case "size":
		old, _ := c.Old.(resource.Size)
		if size, _ := c.New.(resource.Size); size > old {
			return drivers.ImpactLive, "grown in place; the guest's partitions and file systems are the guest's to grow"
		}
		return drivers.ImpactReplace, "a disk cannot shrink"
	case "backing":
		return drivers.ImpactReplace, "another image under the disk"
	}
	return drivers.ImpactReplace, ""
}

func impactVM(c resource.Change, before, after *resource.VM) (drivers.Impact, string) {
	block, rest, _ := strings.Cut(c.Path, ".")
	switch block {
	case "title", "description", "autostart":
		return drivers.ImpactLive, ""
	case "uuid", "name", "arch":
		return drivers.ImpactReplace, ""
	case "vcpus":
		switch {
		case after.VCPUs > before.MaxVCPUs:
			return drivers.ImpactRestart, "beyond max_vcpus"
		case after.VCPUs < before.VCPUs:
			return drivers.ImpactRestart, "few guests give vCPUs back while they run"
		}
		return drivers.ImpactLive, ""
	case "memory":
		if after.Memory > before.MaxMemory {
			return drivers.ImpactRestart, "beyond max_memory"
		}
		return drivers.ImpactLive, "by the guest's balloon"
	case "disk":
		label, field, _ := strings.Cut(rest, ".")
		return impactDisk(label, field, before, after)
	case "nic":
		switch _, field, _ := strings.Cut(rest, "."); field {
		case "":
			return drivers.ImpactLive, ""
		case "source", "bridge", "link":
			return drivers.ImpactLive, ""
		}
	}
	return drivers.ImpactRestart, ""
}

// impactDisk judges a disk that comes or goes (field is empty) or changes.
func impactDisk(label, field string, before, after *resource.VM) (drivers.Impact, string) {
	old, disk := findDisk(before, label), findDisk(after, label)
	switch {
	case label == seedLabel:
		return drivers.ImpactNextBoot, "cloud-init reads its seed when the guest boots"
	case field == "source" && disk.Device == "cdrom" && old.Device == "cdrom":
		return drivers.ImpactLive, "the medium is changed"
	case field != "":
		return drivers.ImpactRestart, ""
	}
	if disk == nil {
		disk = old
	}
	if len(before.Disks) > 0 && label == before.Disks[0].Label {
		return drivers.ImpactRestart, "the guest boots from it"
	}
	if !hotPluggable(disk) {
		return drivers.ImpactRestart, disk.Bus + " disks cannot come or go while the guest runs"
	}
	return drivers.ImpactLive, ""
}

// hotPluggable tells whether a disk can come and go while the guest runs.
func hotPluggable(disk *resource.Disk) bool {
	return disk.Device != "cdrom" && (disk.Bus == "virtio" || disk.Bus == "scsi" || disk.Bus == "usb")
}

func findDisk(vm *resource.VM, label string) *resource.Disk {
	for i := range vm.Disks {
		if vm.Disks[i].Label == label {
			return &vm.Disks[i]
		}
	}
	return nil
}

func findNIC(vm *resource.VM, label string) *resource.NIC {
	for i := range vm.NICs {
		if vm.NICs[i].Label == label {
			return &vm.NICs[i]
		}
	}
	return nil
}
