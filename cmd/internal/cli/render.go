package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"vmplan.dev/vmplan/config"
	"vmplan.dev/vmplan/config/resource"
)

func (a *App) renderCommand() *cobra.Command {
	var o projectOptions
	var opts config.RenderOptions
	c := &cobra.Command{
		Use:   "render ADDR",
		Short: "Print vms as they are completed",
		Long: `Prints the vm at ADDR, or all vms of an appliance's instance, with all that appliance, instancetype, preference, image and
defaults make of it, as blocks of a project without modules and appliances. No host is asked. Secrets and conditions are left out.

With --all, what belongs to the vms comes too, and what they stand on that no block of the project itself declares: then the
blocks plan to the same. With --moved --all they can take the place of the instance: what is there then only gets other addresses.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return a.runRender(c.Context(), args[0], o, opts) },
	}
	o.addTo(c.Flags())
	c.Flags().BoolVar(&opts.All, "all", false, "print what belongs to the vms too")
	c.Flags().BoolVar(&opts.Moved, "moved", false, "print moved blocks from the addresses that the objects have now")
	return c
}

func (a *App) runRender(ctx context.Context, text string, o projectOptions, opts config.RenderOptions) error {
	addr, err := parseVMAddr(text)
	if err != nil {
		return err
	}
	s, err := a.openLoaded(ctx, o, lockOptions{})
	if err != nil {
		return err
	}
	defer s.Close()
	blocks := s.Config().Render(addr, opts)
	switch {
	case len(blocks) == 0 && addr.Kind != resource.KindVM:
		return fmt.Errorf("%s is no vm: name one of those that vmplan list shows", addr)
	case len(blocks) == 0:
		return fmt.Errorf("%s is not in the files: see vmplan list", addr)
	}
	_, err = a.Streams.Out.Write(config.WriteBlocks(blocks))
	return err
}
