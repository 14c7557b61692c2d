//go:build !nolibvirt

package libvirt

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"libvirt.org/go/libvirt"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
)

// updateVM changes the running guest, if it is to be, and then its definition: if the first fails, the definition still
// differs from the files, and the next plan tries again.
func (c *call) updateVM(before, after *resource.VM, live bool) error {
	dom, err := c.domain(after)
	if err != nil {
		return fmt.Errorf("update: %w", err)
	}
	defer freeDomain(dom)
	def, err := domainTree(dom, libvirt.DOMAIN_XML_INACTIVE)
	if err != nil {
		return err
	}
	e := &edit{call: c, before: before, after: after, def: def}
	for _, change := range resource.Diff(before, after) {
		if change.Class == resource.ClassHost {
			e.note(change)
		}
	}
	if e.facts, err = c.caps(); err != nil {
		return err
	}
	active, err := dom.IsActive()
	if err != nil {
		return fail(err, "update vm %s", after.Name)
	}
	if live && active {
		if err := e.applyLive(dom); err != nil {
			return err
		}
	}
	if err := e.applyDefinition(); err != nil {
		return fmt.Errorf("update vm %s: %w", after.Name, err)
	}
	if err := autostartVM(dom, after); err != nil || !e.defines() {
		return err
	}
	defined, err := c.conn.DomainDefineXML(def.String())
	if err != nil {
		return fail(err, "define vm %s", after.Name)
	}
	freeDomain(defined)
	return nil
}

// edit is a change of a vm: what changes, and the definition that it is made in. All else in the definition stays.
type edit struct {
	*call
	before, after *resource.VM
	facts         *hostFacts
	def           *node
	fields        map[string]bool     // changed outside of blocks
	disks, nics   map[string][]string // changed fields by label; none when the block comes or goes
}

func (e *edit) note(change resource.Change) {
	if e.fields == nil {
		e.fields, e.disks, e.nics = map[string]bool{}, map[string][]string{}, map[string][]string{}
	}
	block, rest, _ := strings.Cut(change.Path, ".")
	blocks := e.disks
	switch block {
	case "disk":
	case "nic":
		blocks = e.nics
	default:
		e.fields[block] = true
		return
	}
	label, field, inside := strings.Cut(rest, ".")
	blocks[label] = append(blocks[label], nil...)
	if inside {
		blocks[label] = append(blocks[label], field)
	}
}

// defines tells whether anything but autostart changes.
func (e *edit) defines() bool {
	fields := len(e.fields)
	if e.fields["autostart"] {
		fields--
	}
	return fields+len(e.disks)+len(e.nics) > 0
}

// applyDefinition writes the changes into the definition.
func (e *edit) applyDefinition() error {
	vm, def := e.after, e.def
	for field := range e.fields {
		switch field {
		case "title", "description":
			text := map[string]string{"title": vm.Title, "description": vm.Description}[field]
			if def.drop(field); text != "" {
				def.need(field).setValue(text)
			}
		case "vcpus", "max_vcpus":
			def.drop("vcpus") // which says of each vCPU whether it is on
			vcpu := def.need("vcpu")
			vcpu.setValue(strconv.Itoa(vm.MaxVCPUs))
			vcpu.set("current", strconv.Itoa(vm.VCPUs))
		case "memory", "max_memory":
			setKiB(def.need("memory"), vm.MaxMemory)
			setKiB(def.need("currentMemory"), vm.Memory)
		case "cpu", "domain_type":
			if err := e.editType(); err != nil {
				return err
			}
		case "machine":
			e.editMachine()
		case "firmware", "secure_boot":
			e.editFirmware()
		case "graphics":
			if err := e.editGraphics(); err != nil {
				return err
			}
		case "autostart":
		default:
			return fmt.Errorf("%s: %w: it cannot be changed in place", field, drivers.ErrUnsupported)
		}
	}
	if err := e.editDisks(); err != nil {
		return err
	}
	return e.editNICs()
}

func setKiB(n *node, size resource.Size) {
	n.set("unit", "KiB")
	n.setValue(strconv.FormatUint(uint64(size/resource.KiB), 10))
}

// spec is what domainXML would write the new definition from.
func (e *edit) spec() *domainSpec { return &domainSpec{vm: e.after, facts: e.facts, test: e.test} }

func (e *edit) editType() error {
	if e.fields["domain_type"] {
		t, err := e.spec().domainType()
		if err != nil {
			return err
		}
		e.def.set("type", t)
		e.def.get("devices").drop("emulator")
	}
	text := e.spec().cpu(e.def.attr("type"))
	cpu := e.def.need("cpu")
	topology := cpu.get("topology")
	cpu.attrs, cpu.kids = nil, nil
	cpu.set("mode", text.Mode)
	if text.Model != nil {
		cpu.set("match", text.Match)
		cpu.need("model").setValue(text.Model.Value)
	}
	if topology != nil {
		cpu.kids = append(cpu.kids, topology)
	}
	return nil
}

// editMachine changes the machine type. Where devices sit is another matter on each, so libvirt places them anew.
func (e *edit) editMachine() {
	e.def.need("os", "type").set("machine", e.spec().machine())
	if machineFamily(e.before.Machine) == machineFamily(e.after.Machine) {
		return
	}
	devices := e.def.need("devices")
	devices.dropFunc(func(k *node) bool {
		return k.name == "controller" && (k.attr("type") == "pci" || k.attr("type") == "usb" || k.attr("type") == "sata")
	})
	for _, k := range devices.kids {
		if k.get("address").attr("type") == "pci" {
			k.drop("address")
		}
	}
	for _, ctl := range e.spec().controllers(e.after.Machine) {
		if ctl.Type != "pci" {
			continue
		}
		n := &node{name: "controller"}
		n.set("type", ctl.Type)
		n.set("index", strconv.Itoa(int(*ctl.Index)))
		n.set("model", ctl.Model)
		devices.kids = append(devices.kids, n)
	}
}

func (e *edit) editFirmware() {
	osNode := e.def.need("os")
	for _, chosen := range []string{"loader", "nvram", "firmware"} {
		osNode.drop(chosen) // libvirt chooses anew
	}
	e.def.need("features").drop("smm")
	if !e.spec().uefi() {
		osNode.set("firmware", "")
		return
	}
	osNode.set("firmware", "efi")
	for _, f := range firmwareFeatures(e.after) {
		feature := &node{name: "feature"}
		feature.set("enabled", f.Enabled)
		feature.set("name", f.Name)
		osNode.need("firmware").kids = append(osNode.need("firmware").kids, feature)
	}
}

func (e *edit) editGraphics() error {
	devices := e.def.need("devices")
	devices.dropFunc(func(k *node) bool { return k.name == "graphics" && readGraphics(k) != nil })
	if devices.get("sound") == nil {
		devices.drop("audio") // libvirt adds one that fits the graphics
	}
	if e.after.Graphics == nil {
		devices.drop("video")
		return nil
	}
	g := graphicsXML(e.after.Graphics)
	text, err := g.Marshal()
	if err != nil {
		return err
	}
	n, err := parseTree(text)
	if err != nil {
		return err
	}
	devices.kids = append(devices.kids, n)
	if devices.get("video") == nil {
		devices.need("video", "model").set("type", "vga")
	}
	return nil
}

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
		disk, n := findDisk(e.after, name), device(e.def, "disk", aliasDisk, name)
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
		nic, n := findNIC(e.after, name), device(e.def, "interface", aliasNIC, name)
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
		switch field {
		case "source", "bridge":
			n.drop("source")
			if nic.Bridge != "" {
				n.set("type", "bridge")
				n.need("source").set("bridge", nic.Bridge)
			} else {
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
		}
	}
}
