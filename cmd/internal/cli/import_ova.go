package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"vmplan.dev/vmplan/config/atomicfile"
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
		Short: "Write the blocks for a vm from an OVA",
		Long: `Writes to NAME.hcl, in the project's folder, a vm as the OVA or OVF at FILE describes it: processors, memory, firmware, disks and
network cards. The images refer to FILE, so keep it where it is until vmplan apply has created them.

A network card goes to the network of the project that has the same name as in the appliance, or else to the hypervisor's built-in user
network. The UUID and MACs in the appliance are kept; do not run the same appliance twice.`,
		Example: `  vmplan import-ova shop.ova --write shop.hcl
  vmplan import-ova shop.ova --write shop.hcl --name shop2`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return a.runImportOVA(c.Context(), args[0], o) },
	}
	o.projectOptions.addTo(c.Flags())
	c.Flags().StringVar(&o.write, "write", "", "the `FILE` to write; it must not exist")
	c.Flags().StringVar(&o.name, "name", "", "call the vm `NAME` (default the appliance's name)")
	return required(c, "write")
}

func (a *App) runImportOVA(ctx context.Context, file string, o importOVAOptions) error {
	if err := checkNewFile(o.write); err != nil {
		return err
	}
	s, err := a.openLoaded(ctx, o.projectOptions, lockOptions{})
	if err != nil {
		return err
	}
	defer s.Close()
	text, notes, err := s.ImportOVA(file, sourceOfAppliance(file), o.name)
	if err != nil {
		return err
	}
	if err := atomicfile.Create(o.write, text, 0o644); err != nil {
		return err
	}
	for _, note := range notes {
		a.printer().Note(note)
	}
	a.printer().Note(fmt.Sprintf("Wrote %s. To see what making it means: vmplan plan", o.write))
	return nil
}

// sourceOfAppliance is the appliance's file as the project's files name it.
func sourceOfAppliance(file string) string {
	abs, err := filepath.Abs(file)
	if err != nil {
		return file
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
