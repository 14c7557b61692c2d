package cli

import (
	"context"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"vmplan.dev/vmplan/config/atomicfile"
	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/planner/engine"
)

type importOptions struct {
	projectOptions
	match string
	kind  string
	host  string
	write string
}

func (a *App) importCommand() *cobra.Command {
	var o importOptions
	c := &cobra.Command{
		Use:   "import --match GLOB --write FILE",
		Short: "Write blocks for objects that already exist on a host",
		Long: `Writes a block and an import block to FILE, in the project's folder, for every object whose name matches GLOB and that no project
manages. Other objects that they use are referred to with managed = false. Only settings that differ from the defaults are written,
so that the plan adopts the objects without changing them. Guests keep running.

Nothing is adopted until vmplan apply. After that you can remove the import blocks.`,
		Example: `  vmplan import --match 'web-*' --write found.hcl
  vmplan import --match lan --kind network --write net.hcl
  vmplan import --match 'default/*' --kind volume --write vol.hcl`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.runImport(c.Context(), o) },
	}
	f := c.Flags()
	o.projectOptions.addTo(f)
	f.StringVar(&o.match, "match", "", "import objects with these names, such as 'web-*'; for volumes `GLOB` is POOL/FILE")
	f.StringVar(&o.kind, "kind", string(resource.KindVM), "`KIND` of what to import: vm, network, pool or volume")
	f.StringVar(&o.host, "host", "", "only from the host block called `NAME`")
	f.StringVar(&o.write, "write", "", "the `FILE` to write; it must not exist")
	return required(c, "match", "write")
}

func (o *importOptions) check() error {
	switch resource.Kind(o.kind) {
	case resource.KindVM, resource.KindNetwork, resource.KindPool, resource.KindVolume:
	default:
		return fmt.Errorf("--kind %s: write vm, network, pool or volume", o.kind)
	}
	if _, err := path.Match(o.match, ""); err != nil {
		return fmt.Errorf("--match %s: %w", o.match, err)
	}
	return checkNewFile(o.write)
}

func (a *App) runImport(ctx context.Context, o importOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	s, err := a.openWhole(ctx, o.projectOptions, lockOptions{})
	if err != nil {
		return err
	}
	defer s.Close()
	imported, err := s.Import(engine.ImportOptions{Kind: resource.Kind(o.kind), Glob: o.match, Host: o.host, File: filepath.Base(o.write)})
	var unwritable *engine.Unwritable
	if errors.As(err, &unwritable) {
		a.printer().Refusal("What the host has cannot be written so that nothing changes, and nothing was written", unwritable.Fields)
		return exitError{ExitError}
	}
	if err != nil {
		return err
	}
	if err := atomicfile.Create(o.write, imported.Text, 0o644); err != nil {
		return err
	}
	for _, f := range imported.Objects {
		a.printer().Note(fmt.Sprintf("%s: %s on host %s", f.Addr, f.ID, f.Host))
	}
	if len(imported.Left) > 0 {
		a.printer().Warn("Not all of the guests is described", strings.Join(imported.Left, "\n"))
	}
	a.printer().Note(fmt.Sprintf("Wrote %s. To see what taking this over means: vmplan plan", o.write))
	return nil
}
