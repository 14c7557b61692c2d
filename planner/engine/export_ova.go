package engine

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"vmplan.dev/vmplan/config/atomicfile"
	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers/ovf"
	"vmplan.dev/vmplan/drivers/qemuimg"
)

// seedDisk is the disk of an appliance that holds the seed: in the label of the disk that cloud_init makes, no other may be.
const seedDisk = "cidata"

// writeOVA writes the one vm as an OVA, and gives it its name when all is there.
func (e *exporter) writeOVA(ctx context.Context, out string) error {
	x := e.vms[0]
	if err := e.addSeed(ctx, x); err != nil {
		return err
	}
	a := e.appliance(x)
	for _, d := range x.disks {
		if d.spec.Device == "cdrom" {
			e.note(fmt.Sprintf("%s: the cdrom %s is left out.", x.vm.Addr, d.spec.Label))
			continue
		}
		disk, err := e.convert(ctx, x, d)
		if err != nil {
			return fmt.Errorf("%s: disk %s: %w", x.vm.Addr, d.spec.Label, err)
		}
		a.Disks = append(a.Disks, disk)
	}
	f, err := os.OpenFile(filepath.Join(e.dir, "ova"), os.O_WRONLY|os.O_CREATE|os.O_EXCL, e.mode())
	if err != nil {
		return err
	}
	defer f.Close()
	if err := a.WriteArchive(f, e.dir, nil); err != nil {
		return err
	}
	return atomicfile.Publish(f.Name(), out)
}

// appliance describes the vm, without its disks.
func (e *exporter) appliance(x *exported) *ovf.Appliance {
	a := &ovf.Appliance{
		Name: x.label, Description: x.vm.Description, VCPUs: max(x.vm.VCPUs, 1), Memory: x.vm.Memory, Firmware: x.vm.Firmware,
	}
	if e.identity {
		a.UUID = x.vm.UUID
	}
	for _, n := range x.vm.NICs {
		card := ovf.NIC{Network: plainLabel(n.Network), Model: n.Model}
		if n.Network.IsZero() {
			card.Network = n.Label
		}
		if e.identity {
			card.MAC = n.MAC
		}
		a.NICs = append(a.NICs, card)
	}
	return a
}

// convert makes the file of the disk that goes into the OVA.
func (e *exporter) convert(ctx context.Context, x *exported, d *exportedDisk) (ovf.Disk, error) {
	disk := ovf.Disk{ID: d.spec.Label, File: x.label + "-" + d.spec.Label + ".vmdk", Capacity: d.VirtualSize, Bus: "sata"}
	if d.spec.Bus == "virtio" || d.spec.Bus == "scsi" || d.spec.Bus == "" {
		disk.Bus = "virtio"
	}
	c := &qemuimg.Conversion{
		From: filepath.Join(e.dir, d.file), FromFormat: d.Format, To: filepath.Join(e.dir, disk.File), ToFormat: "vmdk", Options: "subformat=streamOptimized",
	}
	if err := c.Run(ctx); err != nil {
		return disk, err
	}
	return disk, os.Remove(c.From) // the room may be needed for the archive
}

// addSeed reads the seed as one more disk, when the guest is to stay who it is.
func (e *exporter) addSeed(ctx context.Context, x *exported) error {
	for i := range x.vm.Disks {
		d := &x.vm.Disks[i]
		if d.Volume.Part != seedPart || !e.identity {
			continue
		}
		c, file, err := e.readVolume(ctx, x, d, x.label+"-"+seedDisk)
		if err != nil {
			return fmt.Errorf("%s: seed: %w", x.vm.Addr, err)
		}
		spec := &resource.Disk{Label: seedDisk, Bus: d.Bus}
		x.disks = append(x.disks, &exportedDisk{spec: spec, file: file, Content: c})
	}
	return nil
}
