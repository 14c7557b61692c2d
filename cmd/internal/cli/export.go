package cli

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/planner"
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
	in, err := s.Survey(ctx, planner.Options{})
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(filepath.Dir(out), ".export-*")
	if err != nil {
		return fmt.Errorf("--out %s: %w", o.out, err)
	}
	defer os.RemoveAll(dir)
	e := &exporter{session: s, in: in, dir: dir, identity: o.withIdentity}
	if err := e.read(ctx, vms); err != nil {
		return err
	}
	if asOVA {
		err = e.writeOVA(ctx, out)
	} else {
		err = e.writeFolder(out)
	}
	if err == nil {
		a.printer().Note("Wrote " + o.out + ".")
	}
	return err
}

// exporter writes vms to files. What is not complete lies in dir, beside where it will be.
type exporter struct {
	*session
	in       planner.Input
	dir      string
	identity bool
	vms      []*exported
}

// exported is a vm and what was read of its disks.
type exported struct {
	vm    *resource.VM
	label string // that nothing else has
	disks []*exportedDisk
}

// exportedDisk is a disk that was read.
type exportedDisk struct {
	spec   *resource.Disk
	file   string // in the exporter's folder
	digest string // sha256:HEX of the file
	drivers.Content
}

// read reads the disks of all vms, after a look that they are off.
func (e *exporter) read(ctx context.Context, recorded []*resource.VM) error {
	labels := map[string]bool{}
	for i, rec := range recorded {
		if slices.ContainsFunc(recorded[:i], func(other *resource.VM) bool { return other.Addr == rec.Addr }) {
			continue
		}
		vm, ok := e.in.Desired.Get(rec.Addr).(*resource.VM)
		if !ok {
			return fmt.Errorf("%s is recorded and not in the files: it cannot be written down", rec.Addr)
		}
		live := liveObject(e.in, normalized(e.Drivers(), vm))
		switch {
		case live == nil:
			return fmt.Errorf("%s is not on its host: see vmplan plan", vm.Addr)
		case live.Power != drivers.PowerOff:
			return fmt.Errorf("%s is %s, and what its guest writes meanwhile would be torn: shut it down first, with vmplan stop %s", vm.Addr, live.Power, vm.Addr)
		}
		label := freeLabel(vm.Addr, labels)
		e.vms = append(e.vms, &exported{vm: normalized(e.Drivers(), vm).(*resource.VM), label: label})
	}
	for _, x := range e.vms {
		for i := range x.vm.Disks {
			if err := e.readDisk(ctx, x, &x.vm.Disks[i]); err != nil {
				return fmt.Errorf("%s: disk %s: %w", x.vm.Addr, x.vm.Disks[i].Label, err)
			}
		}
	}
	return nil
}

// freeLabel makes a label of the address that is not taken, and takes it.
func freeLabel(a resource.Addr, taken map[string]bool) string {
	base := plainLabel(a)
	label := base
	for n := 2; taken[label]; n++ {
		label = fmt.Sprintf("%s_%d", base, n)
	}
	taken[label] = true
	return label
}

// readDisk reads a disk from its host. The seed is written down instead, or left out.
func (e *exporter) readDisk(ctx context.Context, x *exported, d *resource.Disk) error {
	if d.Volume.Part == seedPart || d.Source == "" {
		return nil
	}
	c, file, err := e.readVolume(ctx, x, d, x.label+"-"+d.Label)
	if err != nil {
		return err
	}
	digest, err := digestOf(filepath.Join(e.dir, file))
	if err != nil {
		return err
	}
	x.disks = append(x.disks, &exportedDisk{spec: d, file: file, digest: digest, Content: c})
	e.app.printer().Note(fmt.Sprintf("%s: disk %s read: %s.", x.vm.Addr, d.Label, c.VirtualSize))
	return nil
}

// readVolume reads the volume of a disk to a file called as its format says, and shows how far it is.
func (e *exporter) readVolume(ctx context.Context, x *exported, d *resource.Disk, name string) (c drivers.Content, file string, err error) {
	reader, err := e.Able(x.vm.Host, drivers.AbilityReadVolumes)
	if err != nil {
		return c, "", err
	}
	f, err := os.OpenFile(filepath.Join(e.dir, name), os.O_RDWR|os.O_CREATE|os.O_EXCL, e.mode())
	if err != nil {
		return c, "", err
	}
	show := e.app.printer().Transfer(fmt.Sprintf("%s: disk %s", x.vm.Addr, d.Label))
	c, err = reader.ReadVolume(ctx, d.Source, f, show.Report)
	show.Close()
	if err = errors.Join(err, f.Close()); err != nil {
		return c, "", err
	}
	file = name + "." + c.Format
	return c, file, os.Rename(f.Name(), filepath.Join(e.dir, file))
}

// mode is that of the files: what tells who somebody is, is for the user alone.
func (e *exporter) mode() os.FileMode {
	if e.identity {
		return 0o600
	}
	return 0o644
}

func digestOf(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return fmt.Sprintf("sha256:%x", h.Sum(nil)), nil
}
