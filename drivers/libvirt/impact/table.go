package impact

import (
	"slices"
	"strings"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
)

// Calls that several changes make. "live" is the running guest, "config" its definition.
const (
	callDefine   = "virDomainDefineXML"
	callMetadata = "virDomainSetMetadata (live), " + callDefine
	callVCPUs    = "virDomainSetVcpusFlags (live), " + callDefine
	callBalloon  = "virDomainSetMemoryFlags (live), " + callDefine
	callAttach   = "virDomainAttachDeviceFlags (live), " + callDefine
	callDetach   = "virDomainDetachDeviceAlias (live), " + callDefine
	callDevice   = "virDomainUpdateDeviceFlags (live), " + callDefine
	callForward  = "virDomainQemuMonitorCommand (hostfwd_add, hostfwd_remove), " + callDefine
	callRename   = "virDomainRename"
	callHosts    = "virNetworkUpdate (live, config)"
	callNetwork  = "virNetworkDefineXML, virNetworkDestroy, virNetworkCreate; virDomainUpdateDeviceFlags (live) for the NICs of running guests"
	callRecreate = "virStorageVolDelete, virStorageVolCreateXML"
	callUpload   = "virStorageVolCreateXML, virStorageVolUpload"
	callReplace  = "virDomainUndefineFlags, virDomainDefineXML"
	callGrow     = "virDomainBlockResize (live), or virStorageVolResize while no guest runs on it"
	callNetAnew  = "virNetworkDestroy, virNetworkUndefine, virNetworkDefineXML, virNetworkCreate"
	callPoolAnew = "virStoragePoolUndefine, virStoragePoolDefineXML"
)

const (
	noteRename = "a guest that runs cannot be renamed"
	noteBoot   = "cloud-init reads its seed when the guest boots"
	noteNet    = "the network is restarted: guests on it are off the network for a moment, and ask for an address again"
	noteGrow   = "grown in place; the guest's partitions and file systems are the guest's to grow"
	noteShrink = "a disk cannot shrink"
	noteBase   = "another image under the disk"
	noteMade   = "read only when the disk is made"
	noteShape  = "the host's kernel shapes the traffic, with its modules sch_htb, sch_sfq and act_police"
	noteHosts  = "the network's own server is told; guests are not touched"
)

// rules is the table for what a live and a desired object can differ in.
var rules = slices.Concat(vmRules, diskRules, nicRules, otherRules)

var vmRules = kind(resource.KindVM,
	Rule{Path: "uuid", Impact: replace, Call: callReplace},
	Rule{Path: "arch", Impact: replace, Call: callReplace},
	Rule{Path: "name", Impact: restart, Note: noteRename, Call: callRename},
	Rule{Path: "title", Impact: live, Call: callMetadata},
	Rule{Path: "description", Impact: live, Call: callMetadata},
	Rule{Path: "autostart", Impact: live, Call: "virDomainSetAutostart"},
	Rule{Path: "vcpus", Impact: restart, When: "above max_vcpus", Note: "beyond max_vcpus", Call: callDefine, holds: aboveMaxVCPUs},
	Rule{Path: "vcpus", Impact: restart, When: "when fewer", Note: "few guests give vCPUs back while they run", Call: callDefine, holds: fewerVCPUs},
	Rule{Path: "vcpus", Impact: live, When: "up to max_vcpus", Call: callVCPUs},
	Rule{Path: "memory", Impact: restart, When: "above max_memory", Note: "beyond max_memory", Call: callDefine, holds: aboveMaxMemory},
	Rule{Path: "memory", Impact: live, When: "up to max_memory", Note: "by the guest's balloon", Call: callBalloon},
)

var diskRules = kind(resource.KindVM,
	Rule{Path: "disk.seed", Impact: nextBoot, When: "for the seed", Note: noteBoot, Call: callDefine},
	Rule{Path: "disk.seed.*", Impact: nextBoot, When: "for the seed", Note: noteBoot, Call: callDefine},
	Rule{Path: "disk.*", Impact: restart, When: "for the first", Note: "the guest boots from it", Call: callDefine, holds: firstDisk},
	Rule{Path: "disk.*", Impact: restart, When: "on sata or ide, and for a cdrom", Note: "only disks on virtio, scsi and usb can come or go while the guest runs", Call: callDefine, holds: fixedDisk},
	Rule{Path: "disk.*", Impact: live, When: "when it comes", Call: callAttach, holds: comes},
	Rule{Path: "disk.*", Impact: live, When: "when it goes", Call: callDetach},
	Rule{Path: "disk.*.source", Impact: live, When: "for a cdrom", Note: "the medium is changed", Call: callDevice, holds: mediumChanges},
	// Such as after somebody has made an external snapshot, whose overlay the guest writes to.
	Rule{Path: "disk.*.source", Impact: restart, Note: "what is on the volume that it has now is not seen by the guest any more", Call: callDefine},
)

var nicRules = kind(resource.KindVM,
	Rule{Path: "nic.*", Impact: live, When: "when it comes", Call: callAttach, holds: comes},
	Rule{Path: "nic.*", Impact: live, When: "when it goes", Call: callDetach},
	Rule{Path: "nic.*.source", Impact: live, Call: callDevice},
	Rule{Path: "nic.*.bridge", Impact: live, Call: callDevice},
	Rule{Path: "nic.*.link", Impact: live, Call: callDevice},
	Rule{Path: "nic.*.port_forward.**", Impact: live, Call: callForward},
	Rule{Path: "nic.*.bandwidth", Impact: live, Note: noteShape, Call: callDevice},
	Rule{Path: "nic.*.bandwidth.**", Impact: live, Note: noteShape, Call: callDevice},
	// What no rule before this one is about.
	Rule{Path: "**", Impact: restart, Call: callDefine},
)

var otherRules = slices.Concat(
	kind(resource.KindNetwork,
		Rule{Path: "autostart", Impact: live, Call: "virNetworkSetAutostart"},
		Rule{Path: "dns_host.**", Impact: live, Note: noteHosts, Call: callHosts},
		Rule{Path: "reservation.**", Impact: live, Note: noteHosts, Call: callHosts},
		Rule{Path: "name", Impact: replace, Call: callNetAnew},
		Rule{Path: "uuid", Impact: replace, Call: callNetAnew},
		Rule{Path: "**", Impact: restart, When: "of the network", Note: noteNet, Call: callNetwork},
	),
	kind(resource.KindPool,
		Rule{Path: "autostart", Impact: live, Call: "virStoragePoolSetAutostart"},
		Rule{Path: "**", Impact: replace, Call: callPoolAnew},
	),
	kind(resource.KindVolume,
		Rule{Path: "size", Impact: replace, When: "when less", Note: noteShrink, Call: callRecreate, holds: shrinks},
		Rule{Path: "size", Impact: live, When: "when more", Note: noteGrow, Call: callGrow},
		Rule{Path: "backing", Impact: replace, Note: noteBase, Call: callRecreate},
		Rule{Path: "**", Impact: replace, Call: callRecreate},
	),
	kind(resource.KindImage, Rule{Path: "**", Impact: replace, Call: callUpload}),
	kind(resource.KindSeed, Rule{Path: "**", Impact: replace, Call: callUpload}),
	kind(resource.KindHost, Rule{Path: "**", Impact: drivers.ImpactRecord}),
)

// follows is the table for fields that never show in such a difference, because config turns them into others: what comes of
// changing them. The reference pages alone have use for it.
var follows = slices.Concat(
	kind(resource.KindVM,
		Rule{Path: "host", Impact: replace},
		Rule{Path: "image", Impact: replace, When: "of the first disk", Note: noteBase},
		Rule{Path: "running", Impact: live, When: "(the guest is started or shut down)"},
		Rule{Path: "cloud_init.**", Impact: nextBoot, Note: noteBoot},
		Rule{Path: "disk.*.size", Impact: live, When: "when more", Note: noteGrow, holds: never},
		Rule{Path: "disk.*.size", Impact: replace, When: "of the disk, when less", Note: noteShrink},
		Rule{Path: "disk.*.format", Impact: replace, When: "of the disk"},
		Rule{Path: "disk.*.pool", Impact: replace, When: "of the disk"},
		Rule{Path: "disk.*.image", Impact: replace, When: "of the disk", Note: noteBase},
		Rule{Path: "clone_mode", Impact: drivers.ImpactRecord, Note: noteMade},
		Rule{Path: "disk.*.clone", Impact: drivers.ImpactRecord, Note: noteMade},
		Rule{Path: "disk.*.clone_mode", Impact: drivers.ImpactRecord, Note: noteMade},
		Rule{Path: "disk.*.on_delete", Impact: drivers.ImpactRecord},
		Rule{Path: "disk.*.volume", Impact: live, When: "for a cdrom", holds: never},
		Rule{Path: "disk.*.volume", Impact: restart},
		Rule{Path: "nic.*.network", Impact: live},
		Rule{Path: "nic.*.address", Impact: live, When: "(the guest has it when it next asks)"},
	),
	kind(resource.KindNetwork, Rule{Path: "host", Impact: replace}),
	kind(resource.KindPool, Rule{Path: "host", Impact: replace}),
	kind(resource.KindVolume, Rule{Path: "host", Impact: replace}, Rule{Path: "pool", Impact: replace}, Rule{Path: "image", Impact: replace, Note: noteBase},
		Rule{Path: "clone", Impact: drivers.ImpactRecord, Note: noteMade}, Rule{Path: "clone_mode", Impact: drivers.ImpactRecord, Note: noteMade}),
	kind(resource.KindImage,
		Rule{Path: "host", Impact: replace},
		Rule{Path: "pool", Impact: replace},
		Rule{Path: "from", Impact: replace},
		Rule{Path: "build.run", Impact: replace},
		Rule{Path: "build.copy", Impact: replace},
		Rule{Path: "seal.*", Impact: replace},
	),
)

// Shorter names for the table.
const (
	live     = drivers.ImpactLive
	nextBoot = drivers.ImpactNextBoot
	restart  = drivers.ImpactRestart
	replace  = drivers.ImpactReplace
)

// kind makes rules of the kind.
func kind(k resource.Kind, list ...Rule) []Rule {
	for i := range list {
		list[i].Kind = k
	}
	return list
}

func never(change) bool { return false }

func comes(c change) bool { return c.Old == nil }

func aboveMaxVCPUs(c change) bool {
	return c.after.(*resource.VM).VCPUs > c.before.(*resource.VM).MaxVCPUs
}

func fewerVCPUs(c change) bool {
	return c.after.(*resource.VM).VCPUs < c.before.(*resource.VM).VCPUs
}

func aboveMaxMemory(c change) bool {
	return c.after.(*resource.VM).Memory > c.before.(*resource.VM).MaxMemory
}

func shrinks(c change) bool {
	before, after := c.before.(*resource.Volume), c.after.(*resource.Volume)
	return after.Size < before.Size
}

// disks gives the disk that a change is about, as it was and as it will be; one of them may be nil.
func disks(c change) (before, after *resource.Disk) {
	label, _, _ := strings.Cut(strings.TrimPrefix(c.Path, "disk."), ".")
	return c.before.(*resource.VM).Disk(label), c.after.(*resource.VM).Disk(label)
}

func firstDisk(c change) bool {
	vm := c.before.(*resource.VM)
	old, disk := disks(c)
	if disk == nil {
		disk = old
	}
	return len(vm.Disks) > 0 && vm.Disks[0].Label == disk.Label
}

func fixedDisk(c change) bool {
	old, disk := disks(c)
	if disk == nil {
		disk = old
	}
	return !HotPluggable(disk)
}

func mediumChanges(c change) bool {
	old, disk := disks(c)
	return old.Device == "cdrom" && disk.Device == "cdrom"
}

// HotPluggable tells whether a disk can come and go while its guest runs.
func HotPluggable(disk *resource.Disk) bool {
	return disk.Device != "cdrom" && (disk.Bus == "virtio" || disk.Bus == "scsi" || disk.Bus == "usb")
}
