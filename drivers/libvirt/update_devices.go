//go:build !nolibvirt

package libvirt

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"vmplan.dev/vmplan/config/resource"
)

// device finds the element of a disk or NIC by its label, and its place among its kind.
func device(def *node, kind, prefix, name string) *node {
	index := 0
	for _, k := range def.get("devices").children() {
		if k.name != kind {
			continue
		}
		other := k.get("target").attr("dev")
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
	devices := e.def.need("devices")
	taken := newTargets()
	for _, k := range devices.all("disk") {
		taken.taken[k.get("target").attr("dev")] = true
	}
	// Labels in the order of the vm, so that the same change gives the same definition.
	for _, name := range e.labels(e.disks) {
		disk, n := e.after.Disk(name), device(e.def, "disk", aliasDisk, name)
		switch {
		case disk == nil:
			devices.dropFunc(func(k *node) bool { return k == n })
		case n == nil:
			added, err := e.newDisk(disk, taken)
			if err != nil {
				return err
			}
			devices.kids = append(devices.kids, added)
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

func (e *edit) newDisk(disk *resource.Disk, taken *targets) (*node, error) {
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
	return parseTree(text)
}

func (e *edit) editDisk(n *node, disk *resource.Disk, taken *targets) error {
	for _, field := range e.disks[disk.Label] {
		switch field {
		case "source":
			file, err := e.diskFile(disk.Source)
			if err != nil {
				return fmt.Errorf("disk %s: %w", disk.Label, err)
			}
			n.drop("source")
			n.drop("backingStore")
			n.set("type", "file")
			n.need("source").set("file", file.path)
			n.need("driver").set("type", file.format)
		case "bus":
			dev, err := taken.next(disk.Bus)
			if err != nil {
				return fmt.Errorf("disk %s: %w", disk.Label, err)
			}
			n.drop("address")
			n.need("target").set("bus", disk.Bus)
			n.need("target").set("dev", dev)
		case "cache":
			n.need("driver").set("cache", disk.Cache)
		case "device":
			n.set("device", disk.Device)
			n.drop("address")
		case "read_only":
			if n.drop("readonly"); disk.ReadOnly != nil && *disk.ReadOnly {
				n.need("readonly")
				n.need("driver").set("discard", "")
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
	for _, k := range e.def.get("devices").children() {
		if k.get("boot") != nil {
			return nil
		}
	}
	if e.def.get("os", "boot") != nil {
		return nil // it boots by device class
	}
	if n := device(e.def, "disk", aliasDisk, e.after.Disks[0].Label); n != nil {
		n.need("boot").set("order", "1")
	}
	return nil
}

func (e *edit) editNICs() error {
	devices := e.def.need("devices")
	gone := map[*node]bool{}
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
			devices.kids = append(devices.kids, added)
		default:
			editNIC(n, nic, e.nics[name])
		}
	}
	devices.dropFunc(func(k *node) bool { return gone[k] })
	if len(e.nics) > 0 {
		e.editForwards()
	}
	return nil
}

func newNIC(nic *resource.NIC) (*node, error) {
	def := nicXML(nic)
	text, err := def.Marshal()
	if err != nil {
		return nil, err
	}
	return parseTree(text)
}

func editNIC(n *node, nic *resource.NIC, fields []string) {
	for _, field := range fields {
		field, _, _ = strings.Cut(field, ".")
		switch field {
		case "source", "bridge", "user":
			n.drop("source")
			switch {
			case isUser(nic):
				n.set("type", "user")
			case nic.Bridge != "":
				n.set("type", "bridge")
				n.need("source").set("bridge", nic.Bridge)
			default:
				n.set("type", "network")
				n.need("source").set("network", nic.Source)
			}
		case "model":
			n.need("model").set("type", nic.Model)
			n.drop("driver")
		case "mac":
			n.need("mac").set("address", nic.MAC)
		case "link":
			n.drop("link")
			if nic.Link != nil && !*nic.Link {
				n.need("link").set("state", "down")
			}
		case "bandwidth":
			editBandwidth(n, nic.Bandwidth)
		}
	}
}

// editBandwidth keeps what we have no field for, such as a floor.
func editBandwidth(n *node, b *resource.Bandwidth) {
	if b == nil {
		n.drop("bandwidth")
		return
	}
	limits := n.need("bandwidth")
	editRate(limits, "inbound", b.Inbound)
	editRate(limits, "outbound", b.Outbound)
}

func editRate(limits *node, direction string, rate *resource.Rate) {
	if rate == nil {
		limits.drop(direction)
		return
	}
	limit := limits.need(direction)
	set := func(name string, value int) {
		if limit.dropAttr(name); value != 0 {
			limit.set(name, strconv.Itoa(value))
		}
	}
	set("average", rate.Average)
	set("peak", rate.Peak)
	set("burst", rate.Burst)
}
