//go:build !nolibvirt

package libvirt

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/libvirt/internal/definition"
	"vmplan.dev/vmplan/drivers/libvirt/internal/xmltree"
)

// pool looks a pool up by name.
func (c *call) pool(name string) (*libvirt.StoragePool, error) {
	pool, err := c.conn.LookupStoragePoolByName(name)
	return pool, fail(err, "look up pool %s", name)
}

// volume looks a volume up by its id "pool/file". It believes what libvirt knows of the folder; see findVolume.
func (c *call) volume(id string) (*libvirt.StorageVol, error) {
	name, file, ok := splitSource(id)
	if !ok {
		return nil, fmt.Errorf("%q names no volume of a pool: %w", id, drivers.ErrNotFound)
	}
	pool, err := c.pool(name)
	if err != nil {
		return nil, err
	}
	defer freePool(pool)
	v, err := pool.LookupStorageVolByName(file)
	return v, fail(err, "look up volume %s", id)
}

// seenVolume is volume for one that may have been put into the folder since libvirt last looked.
func (c *call) seenVolume(id string) (*libvirt.StorageVol, error) {
	v, err := c.volume(id)
	if !missing(err) {
		return v, err
	}
	if err := c.refreshPoolOf(id); err != nil {
		return nil, err
	}
	return c.volume(id)
}

// readVolumeByID reads a volume that has to be there.
func (c *call) readVolumeByID(id string) (*liveVolume, error) {
	v, err := c.seenVolume(id)
	if err != nil {
		return nil, err
	}
	defer freeVolume(v)
	return readVolume(v)
}

func (c *call) refreshPoolOf(id string) error {
	name, _, _ := splitSource(id)
	pool, err := c.pool(name)
	if err != nil {
		return err
	}
	defer freePool(pool)
	return c.refreshWhenIdle(pool, name)
}

// refreshWhenIdle lets libvirt notice a file that was put into the pool's folder. libvirt refuses while it makes or fills
// another volume there, so this waits until it has finished.
func (c *call) refreshWhenIdle(pool *libvirt.StoragePool, name string) error {
	err := c.retryWhile(isBusy, func() error { return pool.Refresh(0) })
	if err == nil || notOffered(err) {
		return nil
	}
	return fail(err, "refresh pool %s", name)
}

// retryWhile calls do until it succeeds or fails with an error that is not one of refused.
func (c *call) retryWhile(refused func(error) bool, do func() error) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := do()
		if err == nil || !refused(err) {
			return err
		}
		select {
		case <-c.ctx.Done():
			return c.ctx.Err()
		case <-tick.C:
		}
	}
}

// isBusy tells whether libvirt refuses to look at a pool's folder because it works on a volume there. It has no code for that.
func isBusy(err error) bool { return strings.Contains(err.Error(), "asynchronous jobs") }

// isBeingMade tells whether libvirt refuses to delete a volume because it still copies into it: what began that is gone.
func isBeingMade(err error) bool { return strings.Contains(err.Error(), "is still being allocated") }

// createVolume allocates an empty disk or an overlay, or copies a volume.
func (c *call) createVolume(v *resource.Volume) error {
	id := resource.VolumeID(v)
	pool, err := c.pool(v.PoolName)
	if err != nil {
		return fmt.Errorf("create volume %s: %w", id, err)
	}
	defer freePool(pool)
	if v.CopyOf != "" {
		return c.createCopy(pool, v)
	}
	def, err := c.volumeDef(v)
	if err != nil {
		return fmt.Errorf("create volume %s: %w", id, err)
	}
	return c.createAs(pool, v, def)
}

// createAs makes v as def says.
func (c *call) createAs(pool *libvirt.StoragePool, v *resource.Volume, def *libvirtxml.StorageVolume) error {
	id := resource.VolumeID(v)
	text, err := def.Marshal()
	if err != nil {
		return err
	}
	vol, err := pool.StorageVolCreateXML(text, 0)
	if err == nil {
		defer freeVolume(vol)
		if file, err := vol.GetPath(); err == nil {
			c.folders.wrote(id, definition.File{Path: file, Format: v.Format}) // saves its vm from asking
		}
		return nil
	}
	if is, checkErr := c.isVolume(v); is || checkErr != nil {
		return checkErr
	}
	return fail(err, "create volume %s", id)
}

// base reads the volume under an overlay: once, for all the overlays of a run.
func (c *call) base(id string) (*liveVolume, error) {
	if v, ok := c.folders.base(id); ok {
		return v, nil
	}
	v, err := c.readVolumeByID(id)
	if err == nil {
		c.folders.readBase(id, v)
	}
	return v, err
}

func (c *call) volumeDef(v *resource.Volume) (*libvirtxml.StorageVolume, error) {
	def := emptyVolume(v)
	if v.Backing != "" {
		base, err := c.base(v.Backing)
		if err != nil {
			return nil, fmt.Errorf("backing file: %w", err)
		}
		if v.Size == 0 {
			def.Capacity.Value = uint64(base.size)
		}
		if def.Capacity.Value < uint64(base.size) {
			return nil, fmt.Errorf("size: %s is less than the %s of its image", v.Size, base.size)
		}
		def.BackingStore = &libvirtxml.StorageVolumeBackingStore{Path: base.path, Format: &libvirtxml.StorageVolumeTargetFormat{Type: base.format}}
	} else if v.Size == 0 {
		return nil, errors.New("size: an empty disk needs one")
	}
	return def, nil
}

// isVolume tells whether v is there as wanted. Another volume in its place is ErrConflict.
func (c *call) isVolume(v *resource.Volume) (bool, error) {
	id := resource.VolumeID(v)
	if err := c.awaitMade(id); err != nil && !errors.Is(err, drivers.ErrNotFound) {
		return false, err
	}
	live, err := c.readVolumeByID(id)
	if errors.Is(err, drivers.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	pools, err := readPools(c.session)
	if err != nil {
		return false, err
	}
	backing := pools.volumeID(live.backing)
	if live.format != v.Format || backing != v.Backing || v.Size != 0 && live.size != v.Size {
		return false, fmt.Errorf("create volume %s: %w: there is a file of that name already, %s of %s over %q, and it is not overwritten: plan again to see how it differs, or move it away", id, drivers.ErrConflict, live.format, live.size, backing)
	}
	return true, nil
}

// growVolume makes the volume as large as after says. While a guest runs on it, QEMU has to do it.
func (c *call) growVolume(after *resource.Volume) error {
	id := resource.VolumeID(after)
	if top, err := c.topOf(id); err != nil {
		return fmt.Errorf("grow volume %s: %w", id, err)
	} else if top != id {
		over := &resource.Volume{Size: after.Size}
		over.PoolName, over.File, _ = splitSource(top)
		return c.growVolume(over)
	}
	vol, err := c.volume(id)
	if err != nil {
		return fmt.Errorf("grow volume: %w", err)
	}
	defer freeVolume(vol)
	live, err := readVolume(vol)
	if err != nil {
		return err
	}
	if after.Format != "" && live.format != after.Format {
		return fmt.Errorf("grow volume %s: %w: it is %s, not %s", id, drivers.ErrConflict, live.format, after.Format)
	}
	switch {
	case live.size > after.Size:
		return fmt.Errorf("grow volume %s: %w: it has %s already, and volumes do not shrink", id, drivers.ErrConflict, live.size)
	case live.size == after.Size:
		return nil
	}
	dom, dev, err := c.runningUser(live.path)
	if err != nil {
		return err
	}
	if dom == nil && live.format == formatRaw && live.probed != formatRaw {
		return c.growDisguised(after, live)
	}
	if dom == nil {
		return fail(vol.Resize(uint64(after.Size), 0), "grow volume %s", id)
	}
	defer freeDomain(dom)
	if err := dom.BlockResize(dev, uint64(after.Size), libvirt.DOMAIN_BLOCK_RESIZE_BYTES); err != nil {
		return fail(err, "grow volume %s under its running guest", id)
	}
	return c.refreshPoolOf(id)
}

// growDisguised grows a raw file with something in it that libvirt takes for another format. libvirt has no way to be told what
// a file is: it would change what a guest has written as if it were the header of an image.
func (c *call) growDisguised(v *resource.Volume, live *liveVolume) error {
	id := resource.VolumeID(v)
	pool, err := c.pool(v.PoolName)
	if err != nil {
		return fmt.Errorf("grow volume %s: %w", id, err)
	}
	defer freePool(pool)
	folder, err := c.folderOf(pool)
	if err != nil {
		return fmt.Errorf("grow volume %s: %w", id, err)
	}
	if folder == "" {
		return fmt.Errorf("grow volume %s: %w: it is a raw disk, and libvirt takes what its guest wrote to it for %s. Start its vm and apply again: QEMU knows better",
			id, drivers.ErrUnsupported, live.probed)
	}
	file := filepath.Join(folder, v.File)
	if info, err := os.Stat(file); err != nil {
		return fmt.Errorf("grow volume %s: %w", id, err)
	} else if info.Size() > int64(v.Size) {
		return fmt.Errorf("grow volume %s: %w: it has %d bytes already, and volumes do not shrink", id, drivers.ErrConflict, info.Size())
	}
	if err := os.Truncate(file, int64(v.Size)); err != nil {
		return fmt.Errorf("grow volume %s: %w", id, err)
	}
	return c.refreshWhenIdle(pool, v.PoolName)
}

// runningUser finds the running domain that has the file as a disk, and the disk's target; nil when there is none.
func (c *call) runningUser(path string) (user *libvirt.Domain, dev string, err error) {
	err = c.eachRunning(func(dom *libvirt.Domain, def *xmltree.Node) error {
		for _, disk := range def.Get("devices").All("disk") {
			if user == nil && disk.Get("source").Attr("file") == path {
				user, dev = dom, disk.Get("target").Attr("dev")
				return dom.Ref()
			}
		}
		return nil
	})
	return user, dev, err
}

// eachRunning calls do for each running domain, with its live definition.
func (c *call) eachRunning(do func(*libvirt.Domain, *xmltree.Node) error) error {
	list, err := c.conn.ListAllDomains(libvirt.CONNECT_LIST_DOMAINS_ACTIVE)
	if err != nil {
		return fail(err, "list running domains")
	}
	domains := pointers(list)
	defer func() {
		for _, dom := range domains {
			freeDomain(dom)
		}
	}()
	for _, dom := range domains {
		def, err := domainTree(dom, 0)
		if missing(err) {
			continue
		}
		if err != nil {
			return err
		}
		if err := do(dom, def); err != nil {
			return err
		}
	}
	return nil
}

// deleteVolume deletes the bits of a volume, image or seed, unless something uses them.
func (c *call) deleteVolume(r resource.Resource) error {
	id := resource.VolumeID(r)
	vol, err := c.seenVolume(id) // a run that was cut off may have put it there
	if errors.Is(err, drivers.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("delete: %w", err)
	}
	defer freeVolume(vol)
	_, seed := r.(*resource.Seed)
	if users, err := c.usersOf(id, !seed); err != nil {
		return err
	} else if len(users) > 0 {
		return fmt.Errorf("delete volume %s: %w by %s", id, drivers.ErrInUse, joinUsers(users))
	}
	if !seed { // on which nothing can stand
		if err := c.checkIdle(id); err != nil {
			return err
		}
	}
	c.folders.gone(id)
	err = c.retryWhile(isBeingMade, func() error { return vol.Delete(libvirt.STORAGE_VOL_DELETE_NORMAL) })
	if missing(err) {
		return nil
	}
	return fail(err, "delete volume %s", id)
}
