package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"vmplan.dev/vmplan/config"
	"vmplan.dev/vmplan/config/atomicfile"
	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/planner"
)

type cloneOptions struct {
	projectOptions
	write   string
	overlay bool
}

func (a *App) cloneCommand() *cobra.Command {
	var o cloneOptions
	c := &cobra.Command{
		Use:   "clone ADDR NAME",
		Short: "Write the block that makes a copy of a vm or volume",
		Long: `Prints the block NAME, which is as the vm or volume at ADDR, with an identity of its own, and begins with all that its disks
hold; with --write it goes to a new file of the project's folder. Nothing is copied before vmplan apply: the plan says whose
guest is shut down meanwhile.

The settings are written down, so that the two have nothing to do with one another once the copy is made: then the
line with clone can be taken out, and what was copied may go.`,
		Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error { return a.runClone(c.Context(), args[0], args[1], o) },
	}
	o.projectOptions.addTo(c.Flags())
	c.Flags().StringVar(&o.write, "write", "", "write the block to `FILE`, which must not exist")
	c.Flags().BoolVar(&o.overlay, "overlay", false, "copy-on-write over the disks of ADDR, which must stay off for good")
	return c
}

func (a *App) runClone(ctx context.Context, from, name string, o cloneOptions) error {
	addr, err := parseVMAddr(from)
	if err != nil {
		return err
	}
	if o.write != "" {
		if err := checkNewFile(o.write); err != nil {
			return err
		}
	}
	if !config.ValidLabel(name) {
		return fmt.Errorf("%q cannot be the name of a block: it takes letters, digits, - and _, and begins with a letter", name)
	}
	s, in, err := a.openLive(ctx, o.projectOptions, lockOptions{})
	if err != nil {
		return err
	}
	defer s.Close()
	b, err := cloneBlock(in, addr, name)
	if err != nil {
		return err
	}
	if o.overlay {
		set(b, "clone_mode", "overlay")
	}
	text := config.WriteBlocks([]*config.Block{b})
	if err := s.checkExtra(text, o.projectOptions); err != nil {
		return err
	}
	return a.giveBlock(in, addr, text, o)
}

// giveBlock writes the block, or prints it.
func (a *App) giveBlock(in planner.Input, from resource.Addr, text []byte, o cloneOptions) error {
	if o.write == "" {
		_, err := a.Streams.Out.Write(text)
		return err
	}
	if err := atomicfile.Create(o.write, text, 0o644); err != nil {
		return err
	}
	if in.Desired.Get(from.WithPart("seed")) != nil {
		a.printer().Note(fmt.Sprintf("cloud_init is that of %s as long as clone stands there: write one before you take it out.", from))
	}
	a.printer().Note(fmt.Sprintf("Wrote %s. To see what making it means: vmplan plan", o.write))
	return nil
}

// checkExtra makes sure that the project has no mistakes with text as one more file.
func (s *session) checkExtra(text []byte, o projectOptions) error {
	p, _, diags := s.LoadExtra(map[string][]byte{"(clone).hcl": text})
	if !diags.HasErrors() {
		return nil
	}
	s.app.printer().Diagnostics(diags, p.Files())
	return errors.New("with the block the project would have mistakes, so it was not written")
}

// cloneBlock writes down what the object at from is, as the block name that is made from it.
func cloneBlock(in planner.Input, from resource.Addr, name string) (*config.Block, error) {
	r := in.Desired.Get(from)
	to := from
	to.Module, to.Name, to.Key, to.Part = "", name, "", ""
	switch {
	case from.Kind != resource.KindVM && from.Kind != resource.KindVolume:
		return nil, fmt.Errorf("%s: only vms and volumes are cloned", from)
	case r == nil:
		return nil, fmt.Errorf("%s is not in the files: see vmplan list", from)
	case from.Module != "":
		return nil, fmt.Errorf("%s is in a module, whose objects cannot be referred to from outside: write the clone into the module", from)
	case in.Desired.Get(to) != nil:
		return nil, fmt.Errorf("the project has %s already: call the clone otherwise", to)
	}
	b := config.NewBlock(r, name)
	set(b, "clone", from)
	newImportWriter(in, "").host(b, r.Base().Host)
	switch r := r.(type) {
	case *resource.VM:
		cloneVMBlock(b, in, r)
	case *resource.Volume:
		if from.Part != "" {
			return nil, fmt.Errorf("%s: name the vm to clone all of it; for a disk alone write volume %q { clone = %s }", from, name, from)
		}
		set(b, "size", sizeOf(in, r))
	}
	return b, nil
}

func cloneVMBlock(b *config.Block, in planner.Input, vm *resource.VM) {
	for _, f := range resource.Fields(vm) {
		value, ok := clonedValue(vm, f)
		if !ok {
			continue
		}
		if err := b.Set(f.Path, value); err != nil {
			panic(err) // the paths are those of the language
		}
	}
	for _, d := range vm.Disks {
		if v, ok := in.Desired.Get(d.Volume).(*resource.Volume); ok && (d.ReadOnly == nil || !*d.ReadOnly) {
			set(b, "disk."+d.Label+".size", sizeOf(in, v))
		}
	}
}

// notCloned are fields of a vm that its clone has its own of, or that vmplan decides.
var notCloned = []string{"host", "name", "uuid", "managed", "depends_on", "image", "domain_type", "running"}

// clonedValue gives what a clone's block says of the field, if anything.
func clonedValue(vm *resource.VM, f resource.Field) (any, bool) {
	first, rest, _ := strings.Cut(f.Path, ".")
	label, field, _ := strings.Cut(rest, ".")
	if a, ok := f.Value.(resource.Addr); ok && first == "nic" && a.Module != "" {
		return nil, false // the instance's of an appliance: nobody else can name it, but a clone takes it over
	}
	switch {
	case slices.Contains(notCloned, first) || first == "lifecycle" || f.Class == resource.ClassInput:
		return nil, false
	case first == "disk":
		d := vm.Disk(label)
		shared := d.Volume.Part == "" && d.ReadOnly != nil && *d.ReadOnly
		return f.Value, d.Volume.Part != "seed" && field != "source" && (field != "volume" || shared)
	case first == "nic" && field == "address":
		return "auto", true
	case first == "nic" && (field == "mac" || field == "source"):
		return nil, false
	}
	return f.Value, true
}

// sizeOf is the volume's size on its host, or what the files say.
func sizeOf(in planner.Input, v *resource.Volume) resource.Size {
	if live := in.Hosts[v.Host].Observed.Objects[resource.Key(v)]; live != nil {
		if found, ok := live.Resource.(*resource.Volume); ok {
			return found.Size
		}
	}
	return v.Size
}
