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
	if err := c.copyAs(pool, emptyVolume(&resource.Volume{File: file, Format: formatQCOW2, Size: live.size}), live); err != nil {
		return err
	}
	return errors.Join(use(file), deleteIn(pool, file))
}

// onceOnly keeps what was cut off with the connection from being tried again at once: it would be taken for a whole copy. The next
// plan makes it anew.
func onceOnly(err error) error {
	if errors.Is(err, drivers.ErrUnavailable) {
		return errors.New("the connection was lost meanwhile, so apply again: " + err.Error()) // no longer of that kind
	}
	return err
}

// createCopy makes a volume with all that another one holds.
func (c *call) createCopy(pool *libvirt.StoragePool, v *resource.Volume) error {
	id := resource.VolumeID(v)
	if is, err := c.isVolume(v); is || err != nil {
		return err
	}
	live, err := c.readVolumeByID(v.CopyOf)
	if err == nil && v.Size != 0 && v.Size < live.size {
		err = fmt.Errorf("size: %s is less than the %s of what it is a copy of", v.Size, live.size)
	}
	if err == nil {
		err = onceOnly(c.copyUnwritten(pool, emptyVolume(v), live))
	}
	if err != nil {
		return fmt.Errorf("create volume %s as a copy of %s: %w", id, v.CopyOf, err)
	}
	return nil
}

// copyUnwritten is copyAs of what nobody may write to meanwhile. A copy that may be torn is removed again.
func (c *call) copyUnwritten(pool *libvirt.StoragePool, def *libvirtxml.StorageVolume, live *liveVolume) error {
	look, err := c.checkNoWriter(live)
	if err != nil {
		return err
	}
	if err := c.copyAs(pool, def, live); err != nil {
		return err
	}
	if err := look.recheck(); err != nil {
		return errors.Join(err, deleteIn(pool, def.Name))
	}
	return nil
}

// copyAs makes a volume in the pool, with all that live holds and stands on. When it fails it leaves nothing, and what was there
// before under that name as it was: libvirt takes back what it could not finish, and this what it could not make as large.
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
	if err := made.Resize(uint64(size), 0); err != nil {
		return errors.Join(fail(err, "grow volume %s", def.Name), fail(made.Delete(0), "remove volume %s", def.Name))
	}
	return nil
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
	live, err := readVolume(vol)
	if err != nil {
		return false
	}
	var sec, nsec int64
	if _, err := fmt.Sscanf(live.written, "%d.%d", &sec, &nsec); err != nil {
		return false
	}
	return time.Since(time.Unix(sec, nsec)) > age
}
