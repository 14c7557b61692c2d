package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

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
		Short: "Write the block for a copy of a vm or volume",
		Long: `Prints a block called NAME that copies the vm or volume at ADDR. The copy gets its own identity and starts with the contents of
the source's disks. With --write, the block goes to a new file in the project's folder. Nothing is copied until vmplan apply;
the plan says which guest is shut down during the copy.

The block contains all settings. Once the copy is made, you can remove its clone line and delete the source.`,
		Example: `  vmplan clone vm.web spare
  vmplan clone vm.web spare --write spare.hcl`,
		Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error { return a.runClone(c.Context(), args[0], args[1], o) },
	}
	o.projectOptions.addTo(c.Flags())
	c.Flags().StringVar(&o.write, "write", "", "write the block to `FILE`, which must not exist")
	c.Flags().BoolVar(&o.overlay, "overlay", false, "create copy-on-write overlays over the disks of ADDR, which must then stay off")
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
	s, in, err := a.openLive(ctx, o.projectOptions, lockOptions{})
	if err != nil {
		return err
	}
	defer s.Close()
	text, err := s.Clone(addr, name, o.overlay)
	if err != nil {
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
