package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"vmplan.dev/vmplan/config"
	"vmplan.dev/vmplan/config/atomicfile"
	"vmplan.dev/vmplan/drivers"
)

func (a *App) appliancePullCommand() *cobra.Command {
	var write string
	c := &cobra.Command{
		Use:   "pull REF",
		Short: "Pull an appliance from an OCI registry",
		Long: `Writes the appliance at REF (HOST/REPOSITORY:TAG or HOST/REPOSITORY@sha256:…) into a folder of its own, and a file NAME.hcl that
declares it. Then vm blocks can use it. Its images are pinned to the disks that were pushed with it.

An appliance from elsewhere is not trusted. It sees only the parameters that you give it, reads only files in its own folder,
and uses nothing that already exists on a host except networks. Its images are fetched without your logins and only from public
addresses, except from the repository you pull from, which is added to its trust list.

vmplan does not judge what runs inside the guests. The plan shows what is created; read the user data in the folder before you
apply it.`,
		Example: `  vmplan appliance pull registry.example/team/shop:1
  vmplan appliance pull registry.example/team/shop:1 --write appliances/shop`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return a.runAppliancePull(c.Context(), args[0], write) },
	}
	c.Flags().StringVar(&write, "write", "", "write it into `DIR`, which must not exist (default the appliance's name)")
	return c
}

func (a *App) runAppliancePull(ctx context.Context, ref, dir string) error {
	p, err := a.Registry.PullAppliance(ctx, location(ref))
	if err != nil {
		return fmt.Errorf("pull %s: %w", ref, err)
	}
	u, err := config.Unpack(p.Files[config.PackedFile], p.DiskLocations)
	if err != nil {
		return fmt.Errorf("pull %s: %s: %w", ref, config.PackedFile, err)
	}
	p.Files[config.PackedFile] = u.HCL
	if dir == "" {
		dir = u.Name
	}
	dir = filepath.Clean(dir)
	if err := writeParcel(dir, p); err != nil {
		return fmt.Errorf("write %s: %w", dir, err)
	}
	a.printer().Note(fmt.Sprintf("Wrote %s: appliance %q, from %s", dir, u.Name, p.Location))
	_, from, _ := strings.Cut(p.Location, "://")
	from, _, _ = strings.Cut(from, "@")
	return a.declareAppliance(dir, from, u)
}

// writeParcel writes the files into a new folder, and none outside of it. The folder is there with all of them, or not at all.
func writeParcel(dir string, p drivers.Parcel) (err error) {
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		return errors.New("it exists already, and is not overwritten; name another folder with --write")
	}
	fresh, err := os.MkdirTemp(filepath.Dir(dir), ".vmplan-pull-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(fresh))
		}
	}()
	root, err := os.OpenRoot(fresh)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, name := range slices.Sorted(maps.Keys(p.Files)) {
		if err := root.MkdirAll(filepath.Dir(filepath.FromSlash(name)), 0o755); err != nil {
			return err
		}
		if err := root.WriteFile(filepath.FromSlash(name), p.Files[name], 0o644); err != nil {
			return err
		}
	}
	if err := os.Chmod(fresh, 0o755); err != nil {
		return err
	}
	return publish(fresh, dir)
}

// declareAppliance writes the block by which the project knows the appliance, unless there is a file of that name, and says how
// it is used. from is the repository that it comes from: whoever pulls it has named that, so its images may come from there too.
func (a *App) declareAppliance(dir, from string, u config.Unpacked) error {
	with := make([]string, len(u.Parameters))
	for i, name := range u.Parameters {
		with[i] = name + " = …"
	}
	use := fmt.Sprintf("To make a vm of it:\n\nvm %q {\n  appliance = appliance.%s\n", u.Name, u.Name)
	if len(with) > 0 {
		use += "  with      = { " + strings.Join(with, ", ") + " }\n"
	}
	use += "}"
	here, err := filepath.Abs(".")
	if err != nil {
		return err
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	rel, err := filepath.Rel(here, abs)
	if err != nil {
		return err
	}
	if rel = filepath.ToSlash(rel); !strings.HasPrefix(rel, "../") {
		rel = "./" + rel
	}
	block := fmt.Sprintf("appliance %q {\n  source = %q\n  trust  = [%q]\n}\n", u.Name, rel, from)
	name := u.Name + ".hcl"
	err = atomicfile.Create(name, []byte(block), 0o644)
	if errors.Is(err, fs.ErrExist) {
		a.printer().Note(fmt.Sprintf("There is a file %s already. For the project to know the appliance write:\n\n%s\n%s", name, block, use))
		return nil
	}
	if err != nil {
		return err
	}
	a.printer().Note(fmt.Sprintf("Wrote %s, which declares it. %s", name, use))
	return nil
}
