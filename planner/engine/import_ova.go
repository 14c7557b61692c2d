package engine

import (
	"fmt"
	"slices"

	"vmplan.dev/vmplan/config"
	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers/ovf"
)

// ImportOVA writes the blocks of a vm that is made from an appliance: the OVA or OVF file, which source names in them. name is the
// vm's; empty: the appliance's. It writes no file. The notes say what could not be taken as it is. Files must be loaded.
func (p *Project) ImportOVA(file, source, name string) (text []byte, notes []string, err error) {
	appliance, err := ovf.ReadFile(file)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", file, err)
	}
	w := &applianceWriter{source: source, from: appliance, label: labelOf(resource.KindVM, appliance.Name), set: p.config.Set}
	if name != "" {
		w.label = name
	}
	blocks, err := w.blocks()
	if err != nil {
		return nil, nil, err
	}
	text = config.WriteBlocks(blocks)
	return text, w.notes, p.checkExtra("(import).hcl", text)
}

// applianceWriter writes an appliance down as blocks.
type applianceWriter struct {
	source string // the appliance's file as the project's files name it
	from   *ovf.Appliance
	label  string
	set    *resource.Set // of the project
	notes  []string
}

func (w *applianceWriter) blocks() ([]*config.Block, error) {
	addr := resource.Addr{Kind: resource.KindVM, Name: w.label}
	switch {
	case !config.ValidLabel(w.label):
		return nil, fmt.Errorf("%q cannot be the name of a block: it takes letters, digits, - and _, and begins with a letter", w.label)
	case w.set.Get(addr) != nil:
		return nil, fmt.Errorf("the project has %s already: call this one otherwise, with --name", addr)
	}
	var out []*config.Block
	vm := config.NewBlock(&resource.VM{}, w.label)
	set(vm, "description", w.from.Description)
	set(vm, "uuid", w.from.UUID)
	set(vm, "vcpus", w.from.VCPUs)
	set(vm, "memory", w.from.Memory)
	set(vm, "firmware", w.from.Firmware)
	for i, d := range w.from.Disks {
		if image := w.disk(vm, i, d); image != nil {
			out = append(out, image)
		}
	}
	for i, n := range w.from.NICs {
		w.nic(vm, i, n)
	}
	return append(out, vm), nil
}

// disk writes a disk down, and gives the block of the image that is in it.
func (w *applianceWriter) disk(vm *config.Block, i int, d ovf.Disk) *config.Block {
	label := labelOf("disk", d.ID)
	if label == seedPart {
		label = fmt.Sprintf("disk%d", i+1)
	}
	at := "disk." + label
	var image *config.Block
	if d.File == "" {
		set(vm, at+".size", d.Capacity)
	} else {
		addr := resource.Addr{Kind: resource.KindImage, Name: w.label + "_" + label}
		for n := 2; w.set.Get(addr) != nil; n++ {
			addr.Name = fmt.Sprintf("%s_%d", w.label+"_"+label, n)
		}
		image = config.NewBlock(&resource.Image{}, addr.Name)
		set(image, "source", w.source+"#"+d.ID)
		set(vm, at+".image", addr)
	}
	if d.Bus == "sata" {
		set(vm, at+".bus", d.Bus)
	}
	return image
}

func (w *applianceWriter) nic(vm *config.Block, i int, n ovf.NIC) {
	at := fmt.Sprintf("nic.net%d", i)
	var known []resource.Addr
	for network := range resource.Of[*resource.Network](w.set) {
		if network.Addr.Name == n.Network || network.Name == n.Network {
			known = append(known, network.Addr)
		}
	}
	if len(known) > 0 {
		set(vm, at+".network", slices.MinFunc(known, resource.Compare))
	} else {
		set(vm, at+".user", true)
		w.notes = append(w.notes, fmt.Sprintf(
			"The project has no network called %q: the nic net%d is on the hypervisor's own network. To put it on another: network = network.NAME", n.Network, i))
	}
	if n.Model != "virtio" {
		set(vm, at+".model", n.Model)
	}
	set(vm, at+".mac", n.MAC)
}
