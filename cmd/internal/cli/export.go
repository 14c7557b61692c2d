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
		Short: "Write vms with all their disks to an OVA or a folder",
		Long: `Writes the vm at ADDR to FILE.ova, which VirtualBox, VMware and vmplan import-ova read, or any number of vms to the new folder
DIR: short HCL and the disks, which can be put into another project or be used as a module. Each disk is written whole,
whatever it stands on, and is the same to the byte.

The vms must be off: what a running guest writes would be torn. What is written is for sharing: without UUIDs, MACs, fixed
addresses and cloud-init. What the guest itself has on its disks (machine-id, host keys, passwords) goes along.

With --with-identity it is for bringing the same vms back after a disaster: UUIDs, MACs, names, addresses, and what
cloud-init was told go along, secrets too. Only the user can read what is written then.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return a.runExport(c.Context(), args, o) },
	}
	o.projectOptions.addTo(c.Flags())
	c.Flags().StringVar(&o.out, "out", "", "write to `FILE`, if it ends in .ova, or else to the folder; it must not exist")
	c.Flags().BoolVar(&o.withIdentity, "with-identity", false, "with UUIDs, MACs, addresses and cloud-init's seed")
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
