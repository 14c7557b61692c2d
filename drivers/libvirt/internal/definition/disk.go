package definition

import (
	"fmt"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers/libvirt/internal/xmltree"
)

// diskFields are the rows of a <disk>.
var diskFields = []Field[resource.Disk]{
	{
		Name: "device",
		Read: func(el *xmltree.Node, disk *resource.Disk, _ *Context) {
			if disk.Device = el.Attr("device"); disk.Device == "" {
				disk.Device = "disk"
			}
		},
		Write: func(el *xmltree.Node, disk *resource.Disk, _ *Context) error {
			if el.Attr("device") != "" {
				el.Drop("address")
			}
			el.Set("device", disk.Device)
			return nil
		},
	},
	{
		Name: "source", Write: writeSource, Live: LiveDevice,
		Read: func(el *xmltree.Node, disk *resource.Disk, c *Context) { disk.Source = Source(el, c.VolumeID) },
		Rules: []Rule{
			{Impact: live, When: "for a cdrom", Note: "the medium is changed", Call: callDevice, Holds: mediumChanges},
			// Such as after somebody has made an external snapshot, whose overlay the guest writes to.
			{Impact: restart, Note: "what is on the volume that it has now is not seen by the guest any more", Call: callDefine},
		},
	},
	attribute("cache", func(d *resource.Disk) *string { return &d.Cache }, "cache", "driver"),
	{
		Name: "bus", Write: writeBus,
		Read:  func(el *xmltree.Node, disk *resource.Disk, _ *Context) { disk.Bus = el.Get("target").Attr("bus") },
		Rules: []Rule{{Impact: restart, Note: "what only the old bus has goes from the definition: queues, I/O thread, WWN, vendor and product", Call: callDefine}},
	},
	{
		Name: "read_only",
		Read: func(el *xmltree.Node, disk *resource.Disk, _ *Context) {
			disk.ReadOnly = new(el.Get("readonly") != nil)
		},
		Write: func(el *xmltree.Node, disk *resource.Disk, _ *Context) error {
			if el.Drop("readonly"); isTrue(disk.ReadOnly) {
				el.Ensure("readonly")
			}
			return nil
		},
	},
}

func isTrue(b *bool) bool { return b != nil && *b }

// Source names a disk's (or one of its backing files') source: "pool/file" inside a pool, else what libvirt says.
func Source(disk *xmltree.Node, volumeID func(string) string) string {
	source := disk.Get("source")
	switch disk.Attr("type") {
	case "volume":
		return source.Attr("pool") + "/" + source.Attr("volume")
	case "block":
		return source.Attr("dev")
	case "network":
		return source.Attr("protocol") + ":" + source.Attr("name")
	}
	if volumeID == nil {
		return source.Attr("file")
	}
	return volumeID(source.Attr("file"))
}

func writeSource(el *xmltree.Node, disk *resource.Disk, c *Context) error {
	file, err := c.File(disk.Source)
	if err != nil {
		return err
	}
	el.Drop("source")
	el.Drop("backingStore")
	el.Set("type", "file")
	el.Ensure("driver").Set("type", file.Format)
	el.Ensure("source").Set("file", file.Path)
	return nil
}

// writeBus puts a disk on a bus, under a target of its own; and takes away what that bus cannot have.
func writeBus(el *xmltree.Node, disk *resource.Disk, c *Context) error {
	dev, err := c.targets.next(disk.Bus)
	if err != nil {
		return err
	}
	target := el.Ensure("target")
	target.Set("dev", dev)
	target.Set("bus", disk.Bus)
	el.Drop("address")
	if disk.Bus != "virtio" {
		for _, a := range []string{"queues", "queue_size", "iothread", "ioeventfd", "event_idx", "packed", "page_per_vq", "iommu", "ats"} {
			el.Get("driver").Set(a, "")
		}
	}
	if disk.Bus != "scsi" {
		el.Drop("vendor")
		el.Drop("product")
	}
	if disk.Bus == "virtio" || disk.Bus == "usb" {
		el.Drop("wwn")
		target.Set("rotation_rate", "")
	}
	return nil
}

// NewDisk is the element of a disk that is plugged in, with a target that none of the definitions has.
func NewDisk(disk *resource.Disk, c *Context, defs ...*xmltree.Node) (*xmltree.Node, error) {
	c.targets = newTargets(defs...)
	return newDisk(disk, c)
}

// newDisk makes a disk. Its label is its alias, by which it is found again, and its serial, by which the guest finds it.
func newDisk(disk *resource.Disk, c *Context) (*xmltree.Node, error) {
	el, driver := xmltree.New("disk", "type", "file"), xmltree.New("driver", "name", "qemu")
	el.Add(driver)
	if err := write(diskFields, el, disk, c, nil); err != nil {
		return nil, err
	}
	if !isTrue(disk.ReadOnly) {
		driver.Set("discard", "unmap")
	}
	el.Ensure("serial").SetText(disk.Label)
	el.Ensure("alias").Set("name", aliasDisk+disk.Label)
	return el, nil
}

// WriteDisk edits the named fields in the element of a disk.
func WriteDisk(el *xmltree.Node, disk *resource.Disk, fields []string, c *Context) error {
	return write(diskFields, el, disk, c, among(fields))
}

func writeDisks(def *xmltree.Node, before, after *resource.VM, c *Context, changes Changes) error {
	if len(changes.Disks) == 0 {
		return nil
	}
	devices, there := def.Ensure("devices"), disks(def, Known(before, after), c)
	for _, label := range changes.DisksInOrder(before, after) {
		disk, el := after.Disk(label), find(there, label)
		var err error
		switch {
		case disk == nil:
			devices.DropFunc(func(k *xmltree.Node) bool { return k == el })
		case el == nil:
			if el, err = newDisk(disk, c); err == nil {
				devices.Add(el)
			}
		default:
			err = write(diskFields, el, disk, c, among(changes.Disks[label]))
		}
		if err != nil {
			return fmt.Errorf("disk %s: %w", label, err)
		}
		if disk != nil && disk.Bus == "scsi" {
			addSCSI(devices, c)
		}
	}
	bootFirst(def, after, c)
	return nil
}

// addSCSI gives a guest without a SCSI controller the one that ours have. libvirt's own choice is one that few guests know.
func addSCSI(devices *xmltree.Node, c *Context) {
	for _, k := range devices.All("controller") {
		if k.Attr("type") == "scsi" {
			return
		}
	}
	if !c.Test {
		devices.Add(newSCSI())
	}
}

func newSCSI() *xmltree.Node {
	return xmltree.New("controller", "type", "scsi", "index", "0", "model", "virtio-scsi")
}

// bootFirst lets a guest that would boot from nothing boot from its first disk: a new one, and one whose boot disk is gone.
func bootFirst(def *xmltree.Node, vm *resource.VM, c *Context) {
	if len(vm.Disks) == 0 || def.Get("os", "boot") != nil { // it boots by device class
		return
	}
	for _, k := range def.Get("devices").Children() {
		if k.Get("boot") != nil {
			return
		}
	}
	if el := find(disks(def, vm, c), vm.Disks[0].Label); el != nil {
		el.Ensure("boot").Set("order", "1")
	}
}

// targets hands out the names that libvirt wants disks to have; nobody refers to a disk of ours by them.
type targets map[string]bool

var targetPrefixes = map[string]string{"virtio": "vd", "scsi": "sd", "sata": "sd", "usb": "sd", "ide": "hd"}

// newTargets begins with the names that disks in the definitions have.
func newTargets(defs ...*xmltree.Node) targets {
	t := targets{}
	for _, def := range defs {
		for _, k := range def.Get("devices").All("disk") {
			t[k.Get("target").Attr("dev")] = true
		}
	}
	return t
}

func (t targets) next(bus string) (string, error) {
	prefix := targetPrefixes[bus]
	if prefix == "" {
		return "", fmt.Errorf("there is no bus %q", bus)
	}
	for i := range 26 * 27 {
		name := string(rune('a' + i%26))
		if i >= 26 {
			name = string(rune('a'+i/26-1)) + name
		}
		if dev := prefix + name; !t[dev] {
			t[dev] = true
			return dev, nil
		}
	}
	return "", fmt.Errorf("there are too many %s disks", bus)
}
