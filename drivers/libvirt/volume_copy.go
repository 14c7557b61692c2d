//go:build !nolibvirt

package libvirt

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
)

const formatQCOW2 = "qcow2"

// copyPrefix begins the names of the copies that are made only to be read.
const copyPrefix = "vmplan-copy-"

// copyAge is how old a copy is that nobody reads when it counts as left behind by a process that was killed. Those that are
// made or read at the moment libvirt does not delete.
const copyAge = 10 * time.Minute

// withFlatCopy lets use have a copy of the volume, in the same pool and by its file's name, that stands on nothing.
func (c *call) withFlatCopy(pool *libvirt.StoragePool, live *liveVolume, use func(file string) error) error {
	c.removeOldCopies(pool)
	file := copyPrefix + strings.ToLower(rand.Text()[:10]) + "." + formatQCOW2
	err := c.copyInto(pool, &resource.Volume{File: file, Format: formatQCOW2, Size: live.size}, live)
	if err == nil {
		err = use(file)
	}
	return errors.Join(err, deleteIn(pool, file))
}

// createCopy makes a volume with all that another one holds. Unlike the other volumes, one that is there may be half a copy:
// so it is not tried again when the connection is lost, which is left to the next plan.
func (c *call) createCopy(pool *libvirt.StoragePool, v *resource.Volume) error {
	id := resource.VolumeID(v)
	if is, err := c.isVolume(v); is || err != nil {
		return err
	}
	live, err := c.readVolumeByID(v.CopyOf)
	if err == nil {
		err = c.checkStill(live)
	}
	if err == nil && v.Size != 0 && v.Size < live.size {
		err = fmt.Errorf("size: %s is less than the %s of what it is a copy of", v.Size, live.size)
	}
	if err == nil {
		err = c.copyInto(pool, v, live)
	}
	if errors.Is(err, drivers.ErrUnavailable) {
		return errors.New("create volume " + id + " as a copy of " + v.CopyOf + ": the connection was lost meanwhile, so apply again: " + err.Error())
	}
	if err != nil {
		return fmt.Errorf("create volume %s as a copy of %s: %w", id, v.CopyOf, err)
	}
	return nil
}

// copyInto makes the volume v in the pool, with all that live holds and stands on.
func (c *call) copyInto(pool *libvirt.StoragePool, v *resource.Volume, live *liveVolume) error {
	return c.copyAs(pool, emptyVolume(v), live)
}

// copyAs is copyInto for a volume that is more than a disk.
func (c *call) copyAs(pool *libvirt.StoragePool, def *libvirtxml.StorageVolume, live *liveVolume) error {
	size := resource.Size(def.Capacity.Value)
	if live.probed != live.format {
		return fmt.Errorf("%w: %s is a raw disk, and libvirt takes what its guest wrote to it for %s", drivers.ErrUnsupported, live.name, live.probed)
	}
	grow := size > live.size && !c.test // where making it as large at once is enough: there are no bits
	if grow || size == 0 {
		def.Capacity.Value = uint64(live.size) // libvirt makes no copy larger, and says that it did
	}
	text, err := def.Marshal()
	if err != nil {
		return err
	}
	source, err := c.conn.LookupStorageVolByPath(live.path)
	if err != nil {
		return fail(err, "look up volume %s", live.name)
	}
	defer freeVolume(source)
	c.report(drivers.Progress{Phase: "copying"})
	made, err := pool.StorageVolCreateXMLFrom(text, source, 0)
	if err != nil {
		return fail(err, "copy volume %s to %s", live.name, def.Name)
	}
	defer freeVolume(made)
	if !grow {
		return nil
	}
	return fail(made.Resize(uint64(size), 0), "grow volume %s", def.Name)
}

// emptyVolume defines a volume with nothing in it.
func emptyVolume(v *resource.Volume) *libvirtxml.StorageVolume {
	def := &libvirtxml.StorageVolume{
		Name:       v.File,
		Capacity:   &libvirtxml.StorageVolumeSize{Unit: "bytes", Value: uint64(v.Size)},
		Allocation: &libvirtxml.StorageVolumeSize{},
		Target:     &libvirtxml.StorageVolumeTarget{Format: &libvirtxml.StorageVolumeTargetFormat{Type: v.Format}},
	}
	if v.Format == formatQCOW2 {
		def.Allocation, def.Target.Compat = nil, "1.1"
	}
	return def
}

// removeOldCopies removes what runs that were killed have left in the pool. What cannot be removed now is left to the next.
func (c *call) removeOldCopies(pool *libvirt.StoragePool) {
	list, err := pool.ListAllStorageVolumes(0)
	if err != nil {
		return
	}
	for _, vol := range pointers(list) {
		if name, err := vol.GetName(); err == nil && strings.HasPrefix(name, copyPrefix) && isOlder(vol, copyAge) {
			if err := vol.Delete(0); err != nil && !missing(err) {
				c.env.Log.Debug("a copy that was left behind could not be removed", "volume", name, "error", err)
			}
		}
		freeVolume(vol)
	}
}

// isOlder tells whether nobody has written to the volume's file for that long, by this machine's clock.
func isOlder(vol *libvirt.StorageVol, age time.Duration) bool {
	text, err := vol.GetXMLDesc(0)
	if err != nil {
		return false
	}
	def, err := parseTree(text)
	if err != nil {
		return false
	}
	var sec, nsec int64
	if _, err := fmt.Sscanf(def.get("target", "timestamps", "mtime").value(), "%d.%d", &sec, &nsec); err != nil {
		return false
	}
	return time.Since(time.Unix(sec, nsec)) > age
}
