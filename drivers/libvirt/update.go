//go:build !nolibvirt

package libvirt

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"libvirt.org/go/libvirt"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/libvirt/internal/xmltree"
)

// updateVM changes the running guest, if it is to be, and then its definition: if the first fails, the definition still
// differs from the files, and the next plan tries again.
func (c *call) updateVM(before, after *resource.VM, live bool) error {
	dom, err := c.renamed(before, after)
	if err != nil {
		return fmt.Errorf("update: %w", err)
	}
	defer freeDomain(dom)
	def, err := wholeDefinition(dom)
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
	if !active {
		if err := e.changeSaved(dom); err != nil {
			return err
		}
	}
	defined, err := c.conn.DomainDefineXML(def.String())
	if err != nil {
		return fail(err, "define vm %s", after.Name)
	}
	freeDomain(defined)
	return nil
}

// changeSaved sees to the memory that a guest was saved with, which holds its definition too: the guest would be resumed as it
// was. Texts are changed there as well; with anything else the memory is of no use any more.
func (e *edit) changeSaved(dom *libvirt.Domain) error {
	saved, err := dom.HasManagedSaveImage(0)
	if notOffered(err) || err == nil && !saved {
		return nil
	}
	if err != nil {
		return fail(err, "look for saved memory of vm %s", e.after.Name)
	}
	for field := range e.fields {
		if field != "title" && field != "description" && field != "autostart" {
			return discardSaved(dom, e.after.Name)
		}
	}
	if len(e.disks)+len(e.nics) > 0 {
		return discardSaved(dom, e.after.Name)
	}
	text, err := dom.ManagedSaveGetXMLDesc(libvirt.DOMAIN_SAVE_IMAGE_XML_SECURE)
	if err != nil {
		return fail(err, "read what vm %s was saved as", e.after.Name)
	}
	def, err := xmltree.Parse(text)
	if err != nil {
		return fmt.Errorf("read what vm %s was saved as: %w", e.after.Name, err)
	}
	e.editTexts(def)
	return fail(dom.ManagedSaveDefineXML(def.String(), 0), "change what vm %s was saved as", e.after.Name)
}

// edit is a change of a vm: what changes, and the definition that it is made in. All else in the definition stays.
type edit struct {
	*call
	before, after *resource.VM
	facts         *hostFacts
	def           *xmltree.Node
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
	for _, field := range slices.Sorted(maps.Keys(e.fields)) {
		switch field {
		case "title", "description":
			e.editTexts(def)
		case "name":
			if err := e.moveLog(); err != nil {
				return err
			}
		case "vcpus", "max_vcpus":
			def.Drop("vcpus") // which says of each vCPU whether it is on
			vcpu := def.Ensure("vcpu")
			vcpu.SetText(strconv.Itoa(vm.MaxVCPUs))
			vcpu.Set("current", strconv.Itoa(vm.VCPUs))
		case "memory", "max_memory":
			setKiB(def.Ensure("memory"), vm.MaxMemory)
			setKiB(def.Ensure("currentMemory"), vm.Memory)
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
		case "tpm":
			if err := e.editTPM(); err != nil {
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

func (e *edit) editTexts(def *xmltree.Node) {
	for _, t := range [][2]string{{"title", e.after.Title}, {"description", e.after.Description}} {
		if field, text := t[0], t[1]; e.fields[field] {
			if def.Drop(field); text != "" {
				def.Ensure(field).SetText(text)
			}
		}
	}
}

// moveLog gives the serial log of a renamed vm its new name. What is in the old one would be overwritten at the next start.
func (e *edit) moveLog() error {
	log := logPath(e.def)
	if path.Base(log) != serialLog(e.before) {
		return nil
	}
	if err := e.deleteLog(e.def, e.before); err != nil {
		return fmt.Errorf("remove its serial log: %w", err)
	}
	for _, kind := range []string{"serial", "console"} {
		for _, n := range e.def.Get("devices").All(kind) {
			if n.Get("log") != nil {
				n.Ensure("log").Set("file", path.Join(path.Dir(log), serialLog(e.after)))
			}
		}
	}
	return nil
}

func setKiB(n *xmltree.Node, size resource.Size) {
	n.Set("unit", "KiB")
	n.SetText(strconv.FormatUint(uint64(size/resource.KiB), 10))
}

// spec is what domainXML would write the new definition from.
func (e *edit) spec() *domainSpec { return &domainSpec{vm: e.after, facts: e.facts, test: e.test} }

func (e *edit) editType() error {
	if e.fields["domain_type"] {
		t, err := e.spec().domainType()
		if err != nil {
			return err
		}
		e.def.Set("type", t)
		e.def.Get("devices").Drop("emulator")
	}
	text := e.spec().cpu(e.def.Attr("type"))
	cpu := e.def.Ensure("cpu")
	topology := cpu.Get("topology")
	cpu.Attrs, cpu.Kids = nil, nil
	cpu.Set("mode", text.Mode)
	if text.Model != nil {
		cpu.Set("match", text.Match)
		cpu.Ensure("model").SetText(text.Model.Value)
	}
	if topology != nil {
		cpu.Add(topology)
	}
	return nil
}

// editMachine changes the machine type. Where devices sit is another matter on each, so libvirt places them anew.
func (e *edit) editMachine() {
	e.def.Ensure("os", "type").Set("machine", e.spec().machine())
	if machineFamily(e.before.Machine) == machineFamily(e.after.Machine) {
		return
	}
	devices := e.def.Ensure("devices")
	devices.DropFunc(func(k *xmltree.Node) bool {
		return k.Name == "controller" && (k.Attr("type") == "pci" || k.Attr("type") == "usb" || k.Attr("type") == "sata")
	})
	for _, k := range devices.Kids {
		if k.Get("address").Attr("type") == "pci" {
			k.Drop("address")
		}
	}
	for _, ctl := range e.spec().controllers(e.after.Machine) {
		if ctl.Type != "pci" {
			continue
		}
		n := &xmltree.Node{Name: "controller"}
		n.Set("type", ctl.Type)
		n.Set("index", strconv.Itoa(int(*ctl.Index)))
		n.Set("model", ctl.Model)
		devices.Add(n)
	}
}

func (e *edit) editFirmware() {
	osNode := e.def.Ensure("os")
	for _, chosen := range []string{"loader", "nvram", "firmware"} {
		osNode.Drop(chosen) // libvirt chooses anew
	}
	e.def.Ensure("features").Drop("smm")
	if !e.spec().uefi() {
		osNode.Set("firmware", "")
		return
	}
	osNode.Set("firmware", "efi")
	for _, f := range firmwareFeatures(e.after) {
		feature := &xmltree.Node{Name: "feature"}
		feature.Set("enabled", f.Enabled)
		feature.Set("name", f.Name)
		osNode.Ensure("firmware").Kids = append(osNode.Ensure("firmware").Kids, feature)
	}
}

func (e *edit) editTPM() error {
	devices := e.def.Ensure("devices")
	devices.DropFunc(func(k *xmltree.Node) bool { return k.Name == "tpm" && k.Get("backend").Attr("type") == "emulator" })
	if e.after.TPM == nil {
		return nil
	}
	tpm := tpmXML(e.after.TPM)
	return add(devices, &tpm)
}

// add puts an element, which knows how to write itself, into another.
func add(to *xmltree.Node, element interface{ Marshal() (string, error) }) error {
	text, err := element.Marshal()
	if err != nil {
		return err
	}
	n, err := xmltree.Parse(text)
	if err != nil {
		return err
	}
	to.Add(n)
	return nil
}

func (e *edit) editGraphics() error {
	devices := e.def.Ensure("devices")
	devices.DropFunc(func(k *xmltree.Node) bool { return k.Name == "graphics" && readGraphics(k) != nil })
	if devices.Get("sound") == nil {
		devices.Drop("audio") // libvirt adds one that fits the graphics
	}
	if e.after.Graphics == nil {
		devices.Drop("video")
		return nil
	}
	g := graphicsXML(e.after.Graphics)
	if err := add(devices, &g); err != nil {
		return err
	}
	if devices.Get("video") == nil {
		devices.Ensure("video", "model").Set("type", "vga")
	}
	return nil
}
