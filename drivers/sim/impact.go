package sim

import (
	"strings"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
)

// Impact implements drivers.Rules.
//
// A network is changed in place in autostart, reservations and names alone. Everything else of it replaces it: the host would have
// to take it down, which disconnects its guests until they are restarted; a plan that says replace shows that.
func (rules) Impact(before, after resource.Resource) []drivers.FieldImpact {
	var out []drivers.FieldImpact
	for _, c := range resource.Diff(before, after) {
		if c.Class != resource.ClassHost {
			continue
		}
		f := drivers.FieldImpact{Path: c.Path, Impact: drivers.ImpactReplace}
		switch before := before.(type) {
		case *resource.VM:
			f.Impact, f.Note = vmImpact(before, c)
		case *resource.Network:
			if c.Path == "autostart" || strings.HasPrefix(c.Path, "reservation.") || strings.HasPrefix(c.Path, "dns_host.") {
				f.Impact = drivers.ImpactLive
			}
		case *resource.Pool:
			if c.Path == "autostart" {
				f.Impact = drivers.ImpactLive
			}
		case *resource.Volume:
			f.Impact, f.Note = volumeImpact(before, c)
		case *resource.Host:
			f.Impact = drivers.ImpactRecord
		}
		f.Call = call(before.Kind(), c.Path, f.Impact)
		out = append(out, f)
	}
	return out
}

// call names what changes the field in a host's data.
func call(kind resource.Kind, path string, impact drivers.Impact) string {
	switch impact {
	case drivers.ImpactReplace:
		return "delete and create " + string(kind)
	case drivers.ImpactLive:
		if kind == resource.KindVM {
			return "set " + path + " (live, config)"
		}
	}
	return "set " + path
}

func volumeImpact(before *resource.Volume, c resource.Change) (drivers.Impact, string) {
	if c.Path == "name" {
		return drivers.ImpactRecord, "the host knows the volume by its file"
	}
	if c.Path != "size" {
		return drivers.ImpactReplace, ""
	}
	if size, _ := c.New.(resource.Size); size < before.Size {
		return drivers.ImpactReplace, "a volume cannot shrink"
	}
	return drivers.ImpactLive, ""
}

// vmImpact judges one change of a vm. Blocks that come or go have a path of two steps: "disk.data".
func vmImpact(before *resource.VM, c resource.Change) (drivers.Impact, string) {
	steps := strings.Split(c.Path, ".")
	switch steps[0] {
	case "uuid", "arch":
		return drivers.ImpactReplace, ""
	case "name":
		return drivers.ImpactRestart, "a guest that runs cannot be renamed"
	case "title", "description", "autostart":
		return drivers.ImpactLive, ""
	case "memory":
		if size, _ := c.New.(resource.Size); size > before.MaxMemory {
			return drivers.ImpactRestart, "above max_memory"
		}
		return drivers.ImpactLive, ""
	case "vcpus":
		n, _ := c.New.(int)
		if n < before.VCPUs {
			return drivers.ImpactRestart, "a guest does not give back virtual CPUs"
		}
		if n > before.MaxVCPUs {
			return drivers.ImpactRestart, "above max_vcpus"
		}
		return drivers.ImpactLive, ""
	case "disk":
		return diskImpact(c, steps)
	case "nic":
		if len(steps) == 2 {
			return drivers.ImpactLive, ""
		}
		switch steps[2] {
		case "source", "bridge", "link", "bandwidth", "port_forward":
			return drivers.ImpactLive, ""
		}
	}
	return drivers.ImpactRestart, ""
}

func diskImpact(c resource.Change, steps []string) (drivers.Impact, string) {
	if len(steps) == 2 {
		d, _ := c.New.(*resource.Disk)
		if d == nil {
			d, _ = c.Old.(*resource.Disk)
		}
		if hotPlug(d) {
			return drivers.ImpactLive, ""
		}
		return drivers.ImpactRestart, "only disks on virtio and scsi can come and go while the guest runs"
	}
	if steps[1] == seedLabel && steps[2] == "source" {
		return drivers.ImpactNextBoot, "cloud-init reads its seed when the guest boots"
	}
	return drivers.ImpactRestart, ""
}

// seedLabel is the label of the disk that holds a vm's seed.
const seedLabel = "seed"

// hotPlug tells whether the disk can be plugged and unplugged while the guest runs.
func hotPlug(d *resource.Disk) bool {
	return d.Device == "disk" && (d.Bus == "virtio" || d.Bus == "scsi")
}
