package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"vmplan.dev/vmplan/config"
	"vmplan.dev/vmplan/config/atomicfile"
	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers/ovf"
)

type importOVAOptions struct {
	projectOptions
	write string
	name  string
}

func (a *App) importOVACommand() *cobra.Command {
	var o importOVAOptions
	c := &cobra.Command{
		Use:   "import-ova FILE --write NAME.hcl",
		Short: "Write the blocks that make a vm of an OVA",
		Long: `Writes to NAME.hcl, in the project's folder, a vm as the OVA or OVF at FILE describes it: processors, memory, firmware, disks
and network cards. The disks' images come out of FILE when vmplan apply makes them, so it must stay where it is until then.

A network card is put on the network of the project that is called as the appliance calls its own, or else on the
hypervisor's own network. A UUID and MACs that the appliance gives are taken over: then it must not run twice.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return a.runImportOVA(c.Context(), args[0], o) },
	}
	o.projectOptions.addTo(c.Flags())
	c.Flags().StringVar(&o.write, "write", "", "the `FILE` to write; it must not exist")
	c.Flags().StringVar(&o.name, "name", "", "call the vm `NAME`; by default as the appliance is called")
	return required(c, "write")
}

func (a *App) runImportOVA(ctx context.Context, file string, o importOVAOptions) error {
	if err := checkNewFile(o.write); err != nil {
		return err
	}
	appliance, err := ovf.ReadFile(file)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	s, err := a.openLoaded(ctx, o.projectOptions, lockOptions{})
	if err != nil {
		return err
	}
	defer s.Close()
	w := &applianceWriter{file: file, from: appliance, label: labelOf(resource.KindVM, appliance.Name), set: s.Config().Set}
	if o.name != "" {
		w.label = o.name
	}
	blocks, err := w.blocks()
	if err != nil {
		return err
	}
	text := config.WriteBlocks(blocks)
	if err := s.checkExtra(text, o.projectOptions); err != nil {
		return err
	}
	if err := atomicfile.Create(o.write, text, 0o644); err != nil {
		return err
	}
	for _, note := range w.notes {
		a.printer().Note(note)
	}
	a.printer().Note(fmt.Sprintf("Wrote %s. To see what making it means: vmplan plan", o.write))
	return nil
}

// applianceWriter writes an appliance down as blocks.
type applianceWriter struct {
	file  string
	from  *ovf.Appliance
	label string
	set   *resource.Set // of the project
	notes []string
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
		set(image, "source", w.source()+"#"+d.ID)
		set(vm, at+".image", addr)
	}
	if d.Bus == "sata" {
		set(vm, at+".bus", d.Bus)
	}
	return image
}

// source is the appliance's file as the project's files name it.
func (w *applianceWriter) source() string {
	abs, err := filepath.Abs(w.file)
	if err != nil {
		return w.file
	}
	here, err := os.Getwd()
	if err != nil {
		return abs
	}
	rel, err := filepath.Rel(here, abs)
	if err != nil || strings.HasPrefix(rel, "..") {
		return abs
	}
	return filepath.ToSlash(rel)
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
