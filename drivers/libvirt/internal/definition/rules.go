package definition

import (
	"slices"
	"strings"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
)

// Rule says what the change of one field does. Of several rules for a field the first that holds is right.
type Rule struct {
	Kind resource.Kind
	// Path is a field's as in resource.Change: "*" stands for one step, such as a label, and a last "**" for all that follows,
	// or nothing.
	// A path that ends in a label is about blocks that come or go. Rows leave Kind and Path out.
	Path   string
	Impact drivers.Impact
	When   string // the condition, for people: "up to max_memory"; empty: always, or else
	Note   string // as in drivers.FieldImpact
	Call   string // as in drivers.FieldImpact

	Holds func(Change) bool // nil: always
}

// Change is one difference and what it is a difference of.
type Change struct {
	resource.Change
	Before, After resource.Resource
}

// Calls that several changes make. "live" is the running guest, "config" its definition.
const (
	callDefine  = "virDomainDefineXML"
	callVCPUs   = string(LiveVCPUs) + " (live), " + callDefine
	callBalloon = string(LiveMemory) + " (live), " + callDefine
	callAttach  = "virDomainAttachDeviceFlags (live), " + callDefine
	callDetach  = "virDomainDetachDeviceAlias (live), " + callDefine
	callDevice  = string(LiveDevice) + " (live), " + callDefine
	callForward = string(LiveForward) + " (hostfwd_add, hostfwd_remove), " + callDefine
	callRename  = "virDomainRename"
	callReplace = "virDomainUndefineFlags, virDomainDefineXML"
	callHosts   = "virNetworkUpdate (live, config)"
	callNetwork = "virNetworkDefineXML, virNetworkDestroy, virNetworkCreate; virDomainUpdateDeviceFlags (live) for the NICs of running guests"
	callNetAnew = "virNetworkDestroy, virNetworkUndefine, virNetworkDefineXML, virNetworkCreate"
	callPool    = "virStoragePoolUndefine, virStoragePoolDefineXML"
)

// NoteBoot is what the notes of a seed say.
const NoteBoot = "cloud-init reads its seed when the guest boots"

const (
	noteRename   = "a guest that runs cannot be renamed"
	noteFirmware = "libvirt chooses the firmware's files again"
	noteCPU      = "what only the old mode can have goes from the definition: a model's vendor, migratable, a passed-through cache"
	noteNet      = "the network is restarted: guests on it are off the network for a moment, and ask for an address again"
	noteShape    = "the host's kernel shapes the traffic, with its modules sch_htb, sch_sfq and act_police"
	noteHosts    = "the network's own server is told; guests are not touched"
)

// Shorter names for the table.
const (
	live     = drivers.ImpactLive
	nextBoot = drivers.ImpactNextBoot
	restart  = drivers.ImpactRestart
	replace  = drivers.ImpactReplace
)

// The rules of blocks, and of fields that are in no row.
var (
	seedRules = []Rule{
		{Path: "disk.seed", Impact: nextBoot, When: "for the seed", Note: NoteBoot, Call: callDefine},
		{Path: "disk.seed.*", Impact: nextBoot, When: "for the seed", Note: NoteBoot, Call: callDefine},
	}
	diskRules = []Rule{
		{Path: "disk.*", Impact: restart, When: "for the first", Note: "the guest boots from it", Call: callDefine, Holds: firstDisk},
		{Path: "disk.*", Impact: restart, When: "on sata or ide, and for a cdrom", Note: "only disks on virtio, scsi and usb can come or go while the guest runs", Call: callDefine, Holds: fixedDisk},
		{Path: "disk.*", Impact: live, When: "when it comes", Call: callAttach, Holds: comes},
		{Path: "disk.*", Impact: live, When: "when it goes", Call: callDetach},
	}
	nicRules = []Rule{
		{Path: "nic.*", Impact: live, When: "when it comes", Call: callAttach, Holds: comes},
		{Path: "nic.*", Impact: live, When: "when it goes", Call: callDetach},
		{Path: "nic.*.port_forward.**", Impact: live, Call: callForward},
	}
	consoleRules = []Rule{
		{Path: "graphics", Impact: restart, When: "when it goes", Note: "the video card goes with the last console", Call: callDefine, Holds: goes},
	}
	vmDefault      = Rule{Path: "**", Impact: restart, Call: callDefine}
	networkDefault = Rule{Path: "**", Impact: restart, When: "of the network", Note: noteNet, Call: callNetwork}
	poolDefault    = Rule{Path: "**", Impact: replace, Call: callPool}
)

// Rules is the table for what vms, networks and pools can differ in, first match first.
func Rules() []Rule {
	return slices.Concat(
		of(resource.KindVM, seedRules, rulesOf("", vmFields), diskRules, rulesOf("disk.*.", diskFields), nicRules, rulesOf("nic.*.", nicFields),
			consoleRules, rulesOf("graphics.", graphicsFields), rulesOf("tpm.", tpmFields), []Rule{vmDefault}),
		of(resource.KindNetwork, rulesOf("", networkFields), []Rule{networkDefault}),
		of(resource.KindPool, rulesOf("", poolFields), []Rule{poolDefault}),
	)
}

func of(kind resource.Kind, lists ...[]Rule) []Rule {
	out := slices.Concat(lists...)
	for i := range out {
		out[i].Kind = kind
	}
	return out
}

// rulesOf gives the rules of rows their paths.
func rulesOf[T any](prefix string, fields []Field[T]) []Rule {
	var out []Rule
	for _, f := range fields {
		for _, r := range f.Rules {
			if r.Path = prefix + f.Name; f.Block {
				r.Path += ".**"
			}
			out = append(out, r)
		}
	}
	return out
}

// LiveOf is the call that changes the field at path of a vm in a running guest; empty when there is none.
func LiveOf(path string) Live {
	block, rest, _ := strings.Cut(path, ".")
	_, field, inside := strings.Cut(rest, ".")
	switch {
	case block == "disk" && inside:
		return liveOf(diskFields, field)
	case block == "nic" && strings.HasPrefix(field, "port_forward."):
		return LiveForward
	case block == "nic" && inside:
		return liveOf(nicFields, field)
	}
	return liveOf(vmFields, path)
}

func liveOf[T any](fields []Field[T], path string) Live {
	for _, f := range fields {
		if among([]string{path})(f.Name) {
			return f.Live
		}
	}
	return ""
}

func comes(c Change) bool { return c.Old == nil }

func goes(c Change) bool { return c.New == nil }

func aboveMaxVCPUs(c Change) bool {
	return c.After.(*resource.VM).VCPUs > c.Before.(*resource.VM).MaxVCPUs
}

func fewerVCPUs(c Change) bool {
	return c.After.(*resource.VM).VCPUs < c.Before.(*resource.VM).VCPUs
}

func aboveMaxMemory(c Change) bool {
	return c.After.(*resource.VM).Memory > c.Before.(*resource.VM).MaxMemory
}

func cpuChangesMode(c Change) bool {
	before, after := c.Before.(*resource.VM).CPU, c.After.(*resource.VM).CPU
	return slices.Contains(hostCPUs, before) || slices.Contains(hostCPUs, after)
}

// disksOf gives the disk that a change is about, as it was and as it will be; one of them may be nil.
func disksOf(c Change) (before, after *resource.Disk) {
	label, _, _ := strings.Cut(strings.TrimPrefix(c.Path, "disk."), ".")
	return c.Before.(*resource.VM).Disk(label), c.After.(*resource.VM).Disk(label)
}

func firstDisk(c Change) bool {
	vm := c.Before.(*resource.VM)
	old, disk := disksOf(c)
	if disk == nil {
		disk = old
	}
	return len(vm.Disks) > 0 && vm.Disks[0].Label == disk.Label
}

func fixedDisk(c Change) bool {
	old, disk := disksOf(c)
	if disk == nil {
		disk = old
	}
	return !hotPluggable(disk)
}

// hotPluggable tells whether a disk can come and go while its guest runs.
func hotPluggable(disk *resource.Disk) bool {
	return disk.Device != "cdrom" && (disk.Bus == "virtio" || disk.Bus == "scsi" || disk.Bus == "usb")
}

func mediumChanges(c Change) bool {
	old, disk := disksOf(c)
	return old.Device == "cdrom" && disk.Device == "cdrom"
}
