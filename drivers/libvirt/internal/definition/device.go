package definition

import (
	"slices"
	"strconv"
	"strings"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers/libvirt/internal/xmltree"
)

// Aliases of our devices. libvirt keeps what begins with "ua-" and hands it to QEMU.
const (
	aliasDisk = "ua-disk-"
	aliasNIC  = "ua-nic-"
)

// device is a disk or NIC of a definition, and the label of the block it stands for.
type device struct {
	el    *xmltree.Node
	label string
}

// identity tells whether an element is the device of the block with the label, by what it is and not by our alias.
type identity func(el *xmltree.Node, label string) bool

// name gives each element the label of its block. That is in the alias, unless somebody detached the device and attached it
// again, or made it: then the wanted label whose identity fits, stronger identities first; else a name made from its place.
func name(els []*xmltree.Node, prefix string, wanted []string, identities []identity, place func(i int, el *xmltree.Node) string) []device {
	out, taken := make([]device, len(els)), make(map[string]bool, len(els))
	for i, el := range els {
		out[i].el = el
		if label, ok := strings.CutPrefix(el.Get("alias").Attr("name"), prefix); ok {
			out[i].label, taken[label] = label, true
		}
	}
	if len(taken) == len(els) {
		return out
	}
	for _, is := range identities {
		for _, label := range wanted {
			i := slices.IndexFunc(out, func(d device) bool { return d.label == "" && is(d.el, label) })
			if i >= 0 && !taken[label] {
				out[i].label, taken[label] = label, true
			}
		}
	}
	for i := range out {
		for n := i; out[i].label == ""; n++ {
			label := place(n, out[i].el)
			if taken[label] && n < i+2*len(els) {
				continue
			}
			out[i].label, taken[label] = label, true
		}
	}
	return out
}

// disks lists the disks and CD-ROMs of a definition. One that lost its alias is known by the serial we gave it, by its target,
// which is the label of a disk that was not made by us, or by its source.
func disks(def *xmltree.Node, want *resource.VM, c *Context) []device {
	var els []*xmltree.Node
	for _, k := range def.Get("devices").All("disk") {
		if kind := k.Attr("device"); kind == "" || kind == "disk" || kind == "cdrom" {
			els = append(els, k)
		}
	}
	var wanted []string
	if want != nil {
		for i := range want.Disks {
			wanted = append(wanted, want.Disks[i].Label)
		}
	}
	target := func(el *xmltree.Node) string { return el.Get("target").Attr("dev") }
	return name(els, aliasDisk, wanted, []identity{
		func(el *xmltree.Node, label string) bool { return el.Get("serial").Text() == label },
		func(el *xmltree.Node, label string) bool { return target(el) == label },
		func(el *xmltree.Node, label string) bool {
			source := want.Disk(label).Source
			return source != "" && Source(el, c.VolumeID) == source
		},
	}, func(_ int, el *xmltree.Node) string { return target(el) })
}

// nics lists the NICs of a definition. One that lost its alias is known by its MAC; one of nobody's is called after its place.
func nics(def *xmltree.Node, want *resource.VM) []device {
	var wanted []string
	if want != nil {
		for i := range want.NICs {
			wanted = append(wanted, want.NICs[i].Label)
		}
	}
	return name(def.Get("devices").All("interface"), aliasNIC, wanted, []identity{
		func(el *xmltree.Node, label string) bool {
			mac := want.NIC(label).MAC
			return mac != "" && strings.EqualFold(el.Get("mac").Attr("address"), mac)
		},
	}, func(i int, _ *xmltree.Node) string { return "net" + strconv.Itoa(i) })
}

func find(devices []device, label string) *xmltree.Node {
	for _, d := range devices {
		if d.label == label {
			return d.el
		}
	}
	return nil
}

// Disk finds a disk of vm by its label, in a definition or in what runs; nil when it is not there.
func Disk(def *xmltree.Node, vm *resource.VM, label string, volumeID func(string) string) *xmltree.Node {
	return find(disks(def, vm, &Context{VolumeID: volumeID}), label)
}

// NIC finds a NIC of vm by its label, in a definition or in what runs; nil when it is not there.
func NIC(def *xmltree.Node, vm *resource.VM, label string) *xmltree.Node {
	return find(nics(def, vm), label)
}

// Changes are the fields of a vm that differ for its host.
type Changes struct {
	Fields      []string            // of the vm and its single blocks: "memory", "graphics", "graphics.listen"
	Disks, NICs map[string][]string // fields by label; none when the block comes or goes
}

// ChangesOf compares two vms.
func ChangesOf(before, after *resource.VM) Changes { return NewChanges(hostChanges(before, after)) }

// NewChanges groups the paths of changed fields.
func NewChanges(paths []string) Changes {
	c := Changes{Disks: map[string][]string{}, NICs: map[string][]string{}}
	for _, path := range paths {
		c.add(path)
	}
	return c
}

// Known has the disks and NICs that a definition may have while before becomes after, by which devices are named.
func Known(before, after *resource.VM) *resource.VM {
	known := &resource.VM{Disks: slices.Clone(before.Disks), NICs: slices.Clone(before.NICs)}
	for _, d := range after.Disks {
		if before.Disk(d.Label) == nil {
			known.Disks = append(known.Disks, d)
		}
	}
	for _, n := range after.NICs {
		if before.NIC(n.Label) == nil {
			known.NICs = append(known.NICs, n)
		}
	}
	return known
}

func (c *Changes) add(path string) {
	block, rest, _ := strings.Cut(path, ".")
	blocks := c.Disks
	switch block {
	case "disk":
	case "nic":
		blocks = c.NICs
	default:
		c.Fields = append(c.Fields, path)
		return
	}
	label, field, inside := strings.Cut(rest, ".")
	fields := blocks[label]
	if inside {
		fields = append(fields, field)
	}
	blocks[label] = fields
}

// Has tells whether the field, or something inside it, changes.
func (c *Changes) Has(field string) bool { return among(c.Fields)(field) }

// inOrder lists changed labels: those of the vm in its order, then those that go. The same change gives the same definition.
func inOrder[T any](changed map[string][]string, label func(*T) string, lists ...[]T) []string {
	var out []string
	for _, list := range lists {
		for i := range list {
			l := label(&list[i])
			if _, ok := changed[l]; ok && !slices.Contains(out, l) {
				out = append(out, l)
			}
		}
	}
	return out
}

// DisksInOrder lists the labels of changed disks: those of after in its order, then those that go.
func (c *Changes) DisksInOrder(before, after *resource.VM) []string {
	return inOrder(c.Disks, func(d *resource.Disk) string { return d.Label }, after.Disks, before.Disks)
}

// NICsInOrder is DisksInOrder for NICs.
func (c *Changes) NICsInOrder(before, after *resource.VM) []string {
	return inOrder(c.NICs, func(n *resource.NIC) string { return n.Label }, after.NICs, before.NICs)
}
