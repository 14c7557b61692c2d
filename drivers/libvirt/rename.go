//go:build !nolibvirt

package libvirt

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"

	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/libvirt/internal/definition"
	"vmplan.dev/vmplan/drivers/libvirt/internal/xmltree"
)

// renamed gives the vm's domain, called as after says: it is renamed, if that has not been done. Snapshots and checkpoints go
// with it by themselves; what the guest's firmware remembers is in a file that is called like the vm, and is taken along.
func (c *call) renamed(before, after *resource.VM) (*libvirt.Domain, error) {
	if before.Name == after.Name {
		return c.domain(after)
	}
	dom, err := c.conn.LookupDomainByName(after.Name)
	if err == nil {
		if err := checkDomain(dom, before); err != nil {
			freeDomain(dom)
			return nil, fail(err, "rename vm %s to %s", before.Name, after.Name)
		}
		return dom, c.dropFirmwareState(dom, before.Name)
	}
	if !missing(err) {
		return nil, fail(err, "look up vm %s", after.Name)
	}
	if dom, err = c.domain(before); err != nil {
		return nil, err
	}
	if err := c.rename(dom, before, after); err != nil {
		freeDomain(dom)
		return nil, fmt.Errorf("rename vm %s to %s: %w", before.Name, after.Name, err)
	}
	return dom, c.dropFirmwareState(dom, before.Name)
}

func (c *call) rename(dom *libvirt.Domain, before, after *resource.VM) error {
	if err := checkDomain(dom, before); err != nil {
		return err
	}
	if active, err := dom.IsActive(); err != nil {
		return err
	} else if active {
		return fmt.Errorf("%w: a guest that runs cannot be renamed", drivers.ErrInUse)
	}
	// libvirt renames no guest with saved memory, and could not resume it under another name.
	if err := discardSaved(dom, before.Name); err != nil {
		return err
	}
	def, err := domainTree(dom, libvirt.DOMAIN_XML_INACTIVE)
	if err != nil {
		return err
	}
	if err := c.copyFirmwareState(def, before.Name, after.Name); err != nil {
		return err
	}
	checkpoints, err := takeCheckpoints(dom)
	if err != nil {
		return err
	}
	err = fail(dom.Rename(after.Name, 0), "virDomainRename")
	return errors.Join(err, putCheckpoints(dom, checkpoints))
}

// takeCheckpoints takes the descriptions of the checkpoints off a domain, parents first: libvirt 9 writes them to a wrong folder
// when it renames one, where they are lost with its next start. The disks are not touched.
func takeCheckpoints(dom *libvirt.Domain) ([]string, error) {
	list, err := dom.ListAllCheckpoints(libvirt.DOMAIN_CHECKPOINT_LIST_TOPOLOGICAL)
	if notOffered(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fail(err, "list checkpoints")
	}
	var texts []string
	for _, cp := range list {
		text, err := cp.GetXMLDesc(libvirt.DOMAIN_CHECKPOINT_XML_SECURE)
		if err != nil {
			return nil, fail(err, "read a checkpoint")
		}
		texts = append(texts, text)
	}
	for _, cp := range slices.Backward(list) {
		if err := cp.Delete(libvirt.DOMAIN_CHECKPOINT_DELETE_METADATA_ONLY); err != nil {
			return nil, errors.Join(fail(err, "take off a checkpoint"), putCheckpoints(dom, texts))
		}
		_ = cp.Free()
	}
	return texts, nil
}

func putCheckpoints(dom *libvirt.Domain, texts []string) error {
	for _, text := range texts {
		cp, err := dom.CreateCheckpointXML(text, libvirt.DOMAIN_CHECKPOINT_CREATE_REDEFINE)
		if err != nil {
			return fail(err, "put a checkpoint back")
		}
		_ = cp.Free()
	}
	return nil
}

// discardSaved drops the memory that a guest was saved with: it holds the guest as it was defined then.
func discardSaved(dom *libvirt.Domain, name string) error {
	saved, err := dom.HasManagedSaveImage(0)
	if err == nil && saved {
		err = dom.ManagedSaveRemove(0)
	}
	if notOffered(err) {
		return nil
	}
	return fail(err, "discard the saved memory of vm %s", name)
}

// copyFirmwareState copies the file with what the firmware of the vm remembers (boot entries, keys) to where it is looked for
// under the new name.
func (c *call) copyFirmwareState(def *xmltree.Node, from, to string) error {
	old, err := c.firmwareState(def, from)
	if err != nil || old == "" {
		return err
	}
	next, err := c.firmwareState(def, to)
	if err != nil || next == old {
		return err
	}
	return c.inFolder(path.Dir(old), func(pool *libvirt.StoragePool) error {
		vol, err := pool.LookupStorageVolByName(path.Base(old))
		if missing(err) {
			return nil // it has never started
		}
		if err != nil {
			return fail(err, "look up %s", old)
		}
		defer freeVolume(vol)
		if done, err := c.isCopied(pool, vol, path.Base(next)); done || err != nil {
			return err
		}
		copied := libvirtxml.StorageVolume{Name: path.Base(next), Capacity: &libvirtxml.StorageVolumeSize{}}
		text, err := copied.Marshal()
		if err != nil {
			return err
		}
		made, err := pool.StorageVolCreateXMLFrom(text, vol, 0)
		if err != nil {
			return fail(err, "copy %s to %s", old, next)
		}
		freeVolume(made)
		return nil
	})
}

// isCopied tells whether the file next is there and holds what vol does: a run was killed after it had copied it. Any other is
// not known to be ours.
func (c *call) isCopied(pool *libvirt.StoragePool, vol *libvirt.StorageVol, next string) (bool, error) {
	there, err := pool.LookupStorageVolByName(next)
	if missing(err) {
		return false, nil
	}
	if err != nil {
		return false, fail(err, "look up %s", next)
	}
	defer freeVolume(there)
	same, err := c.sameBytes(vol, there)
	if err == nil && !same {
		file, _ := there.GetPath()
		err = fmt.Errorf("%w: there is a file %s already, with the firmware variables of another vm or from a rename that was cut off: if no vm needs it, delete it, and apply again", drivers.ErrConflict, file)
	}
	return err == nil, err
}

// sameBytes compares two small volumes.
func (c *call) sameBytes(a, b *libvirt.StorageVol) (bool, error) {
	var content [2][]byte
	for i, vol := range []*libvirt.StorageVol{a, b} {
		size, err := fileSize(vol)
		if err != nil || i > 0 && size != int64(len(content[0])) {
			return false, err
		}
		content[i] = make([]byte, size)
		if err := c.download(vol, 0, content[i]); err != nil {
			return false, err
		}
	}
	return bytes.Equal(content[0], content[1]), nil
}

// dropFirmwareState removes the file that a renamed vm left behind, unless another vm has the old name by now.
func (c *call) dropFirmwareState(dom *libvirt.Domain, from string) error {
	def, err := domainTree(dom, libvirt.DOMAIN_XML_INACTIVE)
	if err != nil {
		return err
	}
	old, err := c.firmwareState(def, from)
	if err != nil || old == "" {
		return err
	}
	if now, err := c.firmwareState(def, def.Get("name").Text()); err != nil || now == old {
		return err
	}
	other, err := c.conn.LookupDomainByName(from)
	if err == nil {
		freeDomain(other)
		return nil
	}
	if !missing(err) {
		return fail(err, "look up vm %s", from)
	}
	return c.inFolder(path.Dir(old), func(pool *libvirt.StoragePool) error { return deleteIn(pool, path.Base(old)) })
}

func deleteIn(pool *libvirt.StoragePool, name string) error {
	vol, err := pool.LookupStorageVolByName(name)
	if err == nil {
		err = vol.Delete(libvirt.STORAGE_VOL_DELETE_NORMAL)
		freeVolume(vol)
	}
	if missing(err) {
		return nil
	}
	return fail(err, "delete %s", name)
}

// firmwareFile finds the second flash drive, which is the firmware's memory, in the way QEMU is called now and was before.
var firmwareFile = regexp.MustCompile(`"filename":"([^"]+)","node-name":"libvirt-pflash1-storage"|file=([^, ]+),if=pflash,[^ ]*unit=1`)

// firmwareState is the path of the file in which the firmware of a vm called name keeps what it remembers; empty when it keeps
// nothing. libvirt tells it only of guests that run, and in the command line that it would start one with.
func (c *call) firmwareState(def *xmltree.Node, name string) (string, error) {
	if c.test || !definition.IsUEFI(def) {
		return "", nil
	}
	named, err := xmltree.Parse(def.String())
	if err != nil {
		return "", err
	}
	named.Get("name").SetText(name)
	command, err := c.conn.DomainXMLToNative("qemu-argv", named.String(), 0)
	if err != nil {
		return "", fail(err, "find the firmware's memory of vm %s", name)
	}
	m := firmwareFile.FindStringSubmatch(command)
	if m == nil {
		return "", nil
	}
	return m[1] + m[2], nil
}

// foldersPool is a pool that is there only while files outside of all pools are looked after.
const foldersPool = "vmplan-folder"

// inFolder does something in a folder of the host that belongs to no pool.
func (c *call) inFolder(folder string, do func(*libvirt.StoragePool) error) error {
	c.inFolders.Lock()
	defer c.inFolders.Unlock()
	pool, err := c.conn.LookupStoragePoolByTargetPath(folder)
	if err == nil {
		defer freePool(pool)
		if err := c.refreshWhenIdle(pool, folder); err != nil {
			return err
		}
		return do(pool)
	}
	if !missing(err) {
		return fail(err, "look up the pool of %s", folder)
	}
	def := libvirtxml.StoragePool{Type: "dir", Name: foldersPool, Target: &libvirtxml.StoragePoolTarget{Path: folder}}
	text, err := def.Marshal()
	if err != nil {
		return err
	}
	if pool, err = c.conn.StoragePoolCreateXML(text, 0); err != nil {
		return fail(err, "look into %s", folder)
	}
	defer freePool(pool)
	return errors.Join(do(pool), fail(pool.Destroy(), "remove pool %s", foldersPool))
}
