package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"vmplan.dev/vmplan/planner"
	"vmplan.dev/vmplan/planner/engine"
)

type exportOptions struct {
	projectOptions
	out          string
	withIdentity bool
}

func (a *App) exportCommand() *cobra.Command {
	var o exportOptions
	c := &cobra.Command{
		Use:   "export ADDR… --out FILE.ova|DIR/",
		Short: "Export vms with their disks to an OVA or a folder",
		Long: `Writes one vm to FILE.ova, which VirtualBox, VMware and vmplan import-ova can read, or any number of vms to the new folder DIR.
The folder contains HCL and the disks. Copy its contents into another project, or use it as a module. Each disk is complete, without
backing files, and has exactly the same contents.

The vms must be off. By default the export is meant for sharing: it leaves out UUIDs, MACs, fixed addresses and cloud-init.
What the guest has on its disks (machine id, host keys, passwords) is exported with them.

With --with-identity the export is a backup of the same vms. It contains UUIDs, MACs, names, addresses and cloud-init data, secrets
included. Only you can read the files.`,
		Example: `  vmplan export vm.web --out web.ova
  vmplan export vm.web vm.db --out shop/
  vmplan export vm.web --out backup/ --with-identity`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return a.runExport(c.Context(), args, o) },
	}
	o.projectOptions.addTo(c.Flags())
	c.Flags().StringVar(&o.out, "out", "", "write to `FILE` if it ends in .ova, else to a folder; it must not exist")
	c.Flags().BoolVar(&o.withIdentity, "with-identity", false, "include UUIDs, MACs, addresses and cloud-init data")
	return required(c, "out")
}

func (a *App) runExport(ctx context.Context, args []string, o exportOptions) error {
	out := filepath.Clean(o.out)
	if _, err := os.Lstat(out); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("--out %s: it exists already, and is not overwritten", o.out)
	}
	s, err := a.openLoaded(ctx, o.projectOptions, lockOptions{})
	if err != nil {
		return err
	}
	defer s.Close()
	vms, err := s.recordedVMs(args)
	if err != nil {
		return err
	}
	asOVA := strings.EqualFold(filepath.Ext(out), ".ova")
	if asOVA && len(vms) > 1 {
		return fmt.Errorf("an OVA holds one vm, and %s names %d: write them to a folder, or each to an OVA of its own", strings.Join(args, " "), len(vms))
	}
	if _, err := s.Survey(ctx, planner.Options{}); err != nil {
		return err
	}
	if err := s.Export(ctx, vms, out, engine.ExportOptions{OVA: asOVA, Identity: o.withIdentity}); err != nil {
		return err
	}
	a.printer().Note("Wrote " + o.out + ".")
	return nil
}
