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
		Short: "Print complete vm blocks",
		Long: `Prints the vm at ADDR, or all vms of an appliance's instance, as plain blocks: with all values from the appliance, instancetype, preference,
image and defaults, and without modules and appliances. No host is contacted. Secrets and conditions are left out.

With --all, also prints the objects that belong to the vms, and those they use that are not declared in the root module. The result
plans to the same objects. With --all --moved, the blocks can replace the instance: existing objects only get new addresses.`,
		Example: `  vmplan render vm.web
  vmplan render vm.shop_de --all --moved`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return a.runRender(c.Context(), args[0], o, opts) },
	}
	o.addTo(c.Flags())
	c.Flags().BoolVar(&opts.All, "all", false, "also print the objects that belong to the vms")
	c.Flags().BoolVar(&opts.Moved, "moved", false, "also print moved blocks from the current addresses")
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
