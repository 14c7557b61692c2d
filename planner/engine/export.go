package engine

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

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
)

// ExportOptions say what of vms is written.
type ExportOptions struct {
	OVA bool // one vm, as an OVA; otherwise a new folder of HCL and disks
	// Identity writes UUIDs, MACs, addresses and what cloud-init was told too, for the user's eyes alone.
	Identity bool
}

// Export writes recorded vms, which must be off, with all that their disks hold to the new file or folder out. Files must be loaded and
// hosts surveyed. Nothing is left of what fails. Transfer and Note events tell how it goes.
func (p *Project) Export(ctx context.Context, vms []*resource.VM, out string, o ExportOptions) error {
	dir, err := os.MkdirTemp(filepath.Dir(out), ".export-*")
	if err != nil {
		return fmt.Errorf("%s: %w", out, err)
	}
	defer os.RemoveAll(dir)
	e := &exporter{Project: p, dir: dir, identity: o.Identity}
	if err := e.read(ctx, vms); err != nil {
		return err
	}
	write := e.writeFolder
	if o.OVA {
		write = func(out string) error { return e.writeOVA(ctx, out) }
	}
	err = write(out)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s appeared meanwhile, and is not overwritten", out)
	}
	return err
}

// exporter writes vms to files. What is not complete lies in dir, beside where it will be.
type exporter struct {
	*Project
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
		vm, ok := e.seen.Desired.Get(rec.Addr).(*resource.VM)
		if !ok {
			return fmt.Errorf("%s is recorded and not in the files: it cannot be written down", rec.Addr)
		}
		live := liveObject(e.seen, e.normalized(vm))
		switch {
		case live == nil:
			return fmt.Errorf("%s is not on its host: see vmplan plan", vm.Addr)
		case live.Power != drivers.PowerOff:
			return fmt.Errorf("%s is %s, and what its guest writes meanwhile would be torn: shut it down first, with vmplan stop %s", vm.Addr, live.Power, vm.Addr)
		}
		label := freeLabel(vm.Addr, labels)
		e.vms = append(e.vms, &exported{vm: e.normalized(vm).(*resource.VM), label: label})
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
	e.note(fmt.Sprintf("%s: disk %s read: %s.", x.vm.Addr, d.Label, c.VirtualSize))
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
	what := fmt.Sprintf("%s: disk %s", x.vm.Addr, d.Label)
	c, err = reader.ReadVolume(ctx, d.Source, f, func(progress drivers.Progress) { e.tell(Transfer{What: what, Progress: progress}) })
	e.tell(Transfer{What: what, Done: true})
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
