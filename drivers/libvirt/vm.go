//go:build !nolibvirt

package libvirt

import (
	"fmt"
	"path"

	"libvirt.org/go/libvirt"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/libvirt/internal/definition"
)

// domain looks a vm's domain up by name. Another vm that has the name by now is ErrConflict.
func (c *call) domain(vm *resource.VM) (*libvirt.Domain, error) {
	dom, err := c.conn.LookupDomainByName(vm.Name)
	if err != nil {
		return nil, fail(err, "look up vm %s", vm.Name)
	}
	if err := checkDomain(dom, vm); err != nil {
		freeDomain(dom)
		return nil, fail(err, "look up vm %s", vm.Name)
	}
	return dom, nil
}

// createVM defines the domain, off.
func (c *call) createVM(vm *resource.VM, mark *drivers.Mark) error {
	dom, err := c.conn.LookupDomainByName(vm.Name)
	switch {
	case missing(err):
		dom, err = c.defineVM(vm, mark)
	case err == nil:
		err = checkDomain(dom, vm)
	}
	if err != nil {
		return fail(err, "create vm %s", vm.Name)
	}
	defer freeDomain(dom)
	return autostartVM(dom, vm)
}

func checkDomain(dom *libvirt.Domain, vm *resource.VM) error {
	uuid, err := dom.GetUUIDString()
	if err != nil || vm.UUID == "" || uuid == vm.UUID {
		return err
	}
	return fmt.Errorf("%w: another vm has that name", drivers.ErrConflict)
}

func (c *call) defineVM(vm *resource.VM, mark *drivers.Mark) (*libvirt.Domain, error) {
	context, err := c.writing()
	if err != nil {
		return nil, err
	}
	if len(vm.Disks) > 0 {
		file, err := c.diskFile(vm.Disks[0].Source)
		if err != nil {
			return nil, fmt.Errorf("disk %s: %w", vm.Disks[0].Label, err)
		}
		// In a pool the log can be read and removed through libvirt, whose machine may be another.
		context.SerialLog = path.Join(path.Dir(file.Path), serialLog(vm))
	}
	def, err := newDomain(vm, mark, context)
	if err != nil {
		return nil, err
	}
	dom, err := c.conn.DomainDefineXML(def.String())
	if err != nil && vm.UUID != "" {
		if other, lookupErr := c.conn.LookupDomainByUUIDString(vm.UUID); lookupErr == nil {
			defer freeDomain(other)
			name, _ := other.GetName()
			return nil, fmt.Errorf("%w: vm %s has its uuid", drivers.ErrConflict, name)
		}
	}
	return dom, err
}

// serialLog is the name of the file that gets what the guest writes to its serial console.
func serialLog(vm *resource.VM) string { return vm.Name + "-serial.log" }

// diskFile finds the file and format behind a disk's source.
func (c *call) diskFile(source string) (definition.File, error) {
	if file, ok := c.folders.file(source); ok {
		return file, nil
	}
	if path.IsAbs(source) {
		return c.fileAt(source)
	}
	v, err := c.readVolumeByID(source)
	if err != nil {
		return definition.File{}, err
	}
	return definition.File{Path: v.path, Format: v.format}, nil
}

// fileAt is for a disk whose file lies outside all pools: its format is told by the domain that has it, or raw.
func (c *call) fileAt(file string) (definition.File, error) {
	vol, err := c.conn.LookupStorageVolByPath(file)
	if missing(err) {
		return definition.File{Path: file, Format: formatRaw}, nil
	}
	if err != nil {
		return definition.File{}, fail(err, "look up %s", file)
	}
	defer freeVolume(vol)
	v, err := readVolume(vol)
	if err != nil {
		return definition.File{}, err
	}
	return definition.File{Path: v.path, Format: v.format}, nil
}

func autostartVM(dom *libvirt.Domain, vm *resource.VM) error {
	if vm.Autostart == nil {
		return nil
	}
	on, err := dom.GetAutostart()
	if err == nil && on != *vm.Autostart {
		err = dom.SetAutostart(*vm.Autostart)
	}
	return fail(err, "set autostart of vm %s", vm.Name)
}

// undefineFlags are tried in turn: older libvirts and the test driver do not know all.
var undefineFlags = []libvirt.DomainUndefineFlagsValues{
	libvirt.DOMAIN_UNDEFINE_MANAGED_SAVE | libvirt.DOMAIN_UNDEFINE_SNAPSHOTS_METADATA | libvirt.DOMAIN_UNDEFINE_NVRAM | libvirt.DOMAIN_UNDEFINE_CHECKPOINTS_METADATA | libvirt.DOMAIN_UNDEFINE_TPM,
	libvirt.DOMAIN_UNDEFINE_MANAGED_SAVE | libvirt.DOMAIN_UNDEFINE_SNAPSHOTS_METADATA | libvirt.DOMAIN_UNDEFINE_NVRAM | libvirt.DOMAIN_UNDEFINE_CHECKPOINTS_METADATA,
	libvirt.DOMAIN_UNDEFINE_MANAGED_SAVE | libvirt.DOMAIN_UNDEFINE_SNAPSHOTS_METADATA | libvirt.DOMAIN_UNDEFINE_NVRAM,
	libvirt.DOMAIN_UNDEFINE_MANAGED_SAVE | libvirt.DOMAIN_UNDEFINE_SNAPSHOTS_METADATA | libvirt.DOMAIN_UNDEFINE_CHECKPOINTS_METADATA,
	libvirt.DOMAIN_UNDEFINE_MANAGED_SAVE | libvirt.DOMAIN_UNDEFINE_SNAPSHOTS_METADATA,
	0,
}

// deleteVM undefines the domain, with all that libvirt keeps beside it, and removes its serial log and what its external snapshots
// have written.
func (c *call) deleteVM(vm *resource.VM) error {
	dom, err := c.domain(vm)
	if missing(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("delete: %w", err)
	}
	defer freeDomain(dom)
	if active, err := dom.IsActive(); err != nil {
		return fail(err, "delete vm %s", vm.Name)
	} else if active {
		return fmt.Errorf("delete vm %s: %w: it still runs", vm.Name, drivers.ErrInUse)
	}
	def, err := domainTree(dom, libvirt.DOMAIN_XML_INACTIVE)
	if missing(err) {
		return nil
	}
	if err != nil {
		return err
	}
	// The log and the snapshots' volumes first: once the domain is gone, nothing leads to them.
	if err := c.deleteLog(def, vm); err != nil {
		return fmt.Errorf("delete vm %s: remove its serial log: %w", vm.Name, err)
	}
	if err := c.deleteOverlays(dom, vm); err != nil {
		return fmt.Errorf("delete vm %s: %w", vm.Name, err)
	}
	for _, flags := range undefineFlags {
		err = dom.UndefineFlags(flags)
		if err == nil || missing(err) {
			return nil
		}
		if !notOffered(err) {
			break
		}
	}
	return fail(err, "undefine vm %s", vm.Name)
}

func (c *call) markVM(vm *resource.VM, mark drivers.Mark) error {
	dom, err := c.domain(vm)
	if err != nil {
		return err
	}
	defer freeDomain(dom)
	flags := libvirt.DOMAIN_AFFECT_CONFIG
	if active, err := dom.IsActive(); err != nil {
		return fail(err, "mark vm %s", vm.Name)
	} else if active {
		flags |= libvirt.DOMAIN_AFFECT_LIVE
	}
	n := markNode(&mark)
	// libvirt adds prefix and namespace itself.
	n.Name = markName
	n.Set("xmlns:"+markPrefix, "")
	err = dom.SetMetadata(libvirt.DOMAIN_METADATA_ELEMENT, n.String(), markPrefix, markURI, flags)
	return fail(err, "mark vm %s", vm.Name)
}
