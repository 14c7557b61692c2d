//go:build !nolibvirt

package libvirt

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers/libvirt/internal/xmltree"
)

// device finds the element of a disk or NIC by its label, and its place among its kind.
func device(def *xmltree.Node, kind, prefix, name string) *xmltree.Node {
	index := 0
	for _, k := range def.Get("devices").Children() {
		if k.Name != kind {
			continue
		}
		other := k.Get("target").Attr("dev")
		if kind == "interface" {
			other = "net" + strconv.Itoa(index)
		}
		index++
		if label(k, prefix, other) == name {
			return k
		}
	}
	return nil
}

func (e *edit) editDisks() error {
	devices := e.def.Ensure("devices")
	taken := newTargets()
	for _, k := range devices.All("disk") {
		taken.taken[k.Get("target").Attr("dev")] = true
	}
	// Labels in the order of the vm, so that the same change gives the same definition.
	for _, name := range e.labels(e.disks) {
		disk, n := e.after.Disk(name), device(e.def, "disk", aliasDisk, name)
		switch {
		case disk == nil:
			devices.DropFunc(func(k *xmltree.Node) bool { return k == n })
		case n == nil:
			added, err := e.newDisk(disk, taken)
			if err != nil {
				return err
			}
			devices.Add(added)
		default:
			if err := e.editDisk(n, disk, taken); err != nil {
				return err
			}
		}
	}
	return e.bootFirst()
}

// labels lists what has changed, the vm's own order first.
func (e *edit) labels(changed map[string][]string) []string {
	var order []string
	for _, vm := range []*resource.VM{e.after, e.before} {
		for _, d := range vm.Disks {
			order = append(order, d.Label)
		}
		for _, n := range vm.NICs {
			order = append(order, n.Label)
		}
	}
	order = union(nil, order)
	return slices.DeleteFunc(order, func(l string) bool { _, ok := changed[l]; return !ok })
}

func (e *edit) newDisk(disk *resource.Disk, taken *targets) (*xmltree.Node, error) {
	file, err := e.diskFile(disk.Source)
	if err != nil {
		return nil, fmt.Errorf("disk %s: %w", disk.Label, err)
	}
	dev, err := taken.next(disk.Bus)
	if err != nil {
		return nil, fmt.Errorf("disk %s: %w", disk.Label, err)
	}
	def := diskXML(disk, file, dev, false)
	text, err := def.Marshal()
	if err != nil {
		return nil, err
	}
	return xmltree.Parse(text)
}

func (e *edit) editDisk(n *xmltree.Node, disk *resource.Disk, taken *targets) error {
	for _, field := range e.disks[disk.Label] {
		switch field {
		case "source":
			file, err := e.diskFile(disk.Source)
			if err != nil {
				return fmt.Errorf("disk %s: %w", disk.Label, err)
			}
			n.Drop("source")
			n.Drop("backingStore")
			n.Set("type", "file")
			n.Ensure("source").Set("file", file.path)
			n.Ensure("driver").Set("type", file.format)
		case "bus":
			dev, err := taken.next(disk.Bus)
			if err != nil {
				return fmt.Errorf("disk %s: %w", disk.Label, err)
			}
			n.Drop("address")
			n.Ensure("target").Set("bus", disk.Bus)
			n.Ensure("target").Set("dev", dev)
		case "cache":
			n.Ensure("driver").Set("cache", disk.Cache)
		case "device":
			n.Set("device", disk.Device)
			n.Drop("address")
		case "read_only":
			if n.Drop("readonly"); disk.ReadOnly != nil && *disk.ReadOnly {
				n.Ensure("readonly")
				n.Ensure("driver").Set("discard", "")
			}
		}
	}
	return nil
}

// bootFirst lets the guest boot from its first disk again when the one it booted from is gone.
func (e *edit) bootFirst() error {
	if len(e.disks) == 0 || len(e.after.Disks) == 0 {
		return nil
	}
	for _, k := range e.def.Get("devices").Children() {
		if k.Get("boot") != nil {
			return nil
		}
	}
	if e.def.Get("os", "boot") != nil {
		return nil // it boots by device class
	}
	if n := device(e.def, "disk", aliasDisk, e.after.Disks[0].Label); n != nil {
		n.Ensure("boot").Set("order", "1")
	}
	return nil
}

func (e *edit) editNICs() error {
	devices := e.def.Ensure("devices")
	gone := map[*xmltree.Node]bool{}
	// All are found before any goes: NICs that are not ours are counted.
	for _, name := range e.labels(e.nics) {
		nic, n := e.after.NIC(name), device(e.def, "interface", aliasNIC, name)
		switch {
		case nic == nil && n != nil:
			gone[n] = true
		case nic == nil:
		case n == nil:
			added, err := newNIC(nic)
			if err != nil {
				return err
			}
			devices.Add(added)
		default:
			editNIC(n, nic, e.nics[name])
		}
	}
	devices.DropFunc(func(k *xmltree.Node) bool { return gone[k] })
	if len(e.nics) > 0 {
		e.editForwards()
	}
	return nil
}

func newNIC(nic *resource.NIC) (*xmltree.Node, error) {
	def := nicXML(nic)
	text, err := def.Marshal()
	if err != nil {
		return nil, err
	}
	return xmltree.Parse(text)
}

func editNIC(n *xmltree.Node, nic *resource.NIC, fields []string) {
	for _, field := range fields {
		field, _, _ = strings.Cut(field, ".")
		switch field {
		case "source", "bridge", "user":
			n.Drop("source")
			switch {
			case isUser(nic):
				n.Set("type", "user")
			case nic.Bridge != "":
				n.Set("type", "bridge")
				n.Ensure("source").Set("bridge", nic.Bridge)
			default:
				n.Set("type", "network")
				n.Ensure("source").Set("network", nic.Source)
			}
		case "model":
			n.Ensure("model").Set("type", nic.Model)
			n.Drop("driver")
		case "mac":
			n.Ensure("mac").Set("address", nic.MAC)
		case "link":
			n.Drop("link")
			if nic.Link != nil && !*nic.Link {
				n.Ensure("link").Set("state", "down")
			}
		case "bandwidth":
			editBandwidth(n, nic.Bandwidth)
		}
	}
}

// editBandwidth keeps what we have no field for, such as a floor.
func editBandwidth(n *xmltree.Node, b *resource.Bandwidth) {
	if b == nil {
		n.Drop("bandwidth")
		return
	}
	limits := n.Ensure("bandwidth")
	editRate(limits, "inbound", b.Inbound)
	editRate(limits, "outbound", b.Outbound)
}

func editRate(limits *xmltree.Node, direction string, rate *resource.Rate) {
	if rate == nil {
		limits.Drop(direction)
		return
	}
	limit := limits.Ensure(direction)
	set := func(name string, value int) {
		if limit.Set(name, ""); value != 0 {
			limit.Set(name, strconv.Itoa(value))
		}
	}
	set("average", rate.Average)
	set("peak", rate.Peak)
	set("burst", rate.Burst)
}
