package impact

import (
	"slices"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/libvirt/internal/definition"
)

const (
	callRecreate = "virStorageVolDelete, virStorageVolCreateXML"
	callUpload   = "virStorageVolCreateXML, virStorageVolUpload"
	callGrow     = "virDomainBlockResize (live), or virStorageVolResize while no guest runs on it"

	noteBoot   = definition.NoteBoot
	noteGrow   = "grown in place; the guest's partitions and file systems are the guest's to grow"
	noteShrink = "a disk cannot shrink"
	noteBase   = "another image under the disk"
	noteMade   = "read only when the disk is made"
)

// rules is the table for what a live and a desired object can differ in.
var rules = slices.Concat(definition.Rules(),
	kind(resource.KindVolume,
		Rule{Path: "size", Impact: replace, When: "when less", Note: noteShrink, Call: callRecreate, Holds: shrinks},
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
		Rule{Path: "disk.*.size", Impact: live, When: "when more", Note: noteGrow, Holds: never},
		Rule{Path: "disk.*.size", Impact: replace, When: "of the disk, when less", Note: noteShrink},
		Rule{Path: "disk.*.format", Impact: replace, When: "of the disk"},
		Rule{Path: "disk.*.pool", Impact: replace, When: "of the disk"},
		Rule{Path: "disk.*.image", Impact: replace, When: "of the disk", Note: noteBase},
		Rule{Path: "clone_mode", Impact: drivers.ImpactRecord, Note: noteMade},
		Rule{Path: "disk.*.clone", Impact: drivers.ImpactRecord, Note: noteMade},
		Rule{Path: "disk.*.clone_mode", Impact: drivers.ImpactRecord, Note: noteMade},
		Rule{Path: "disk.*.on_delete", Impact: drivers.ImpactRecord},
		Rule{Path: "disk.*.volume", Impact: live, When: "for a cdrom", Holds: never},
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

func never(definition.Change) bool { return false }

func shrinks(c definition.Change) bool {
	return c.After.(*resource.Volume).Size < c.Before.(*resource.Volume).Size
}
