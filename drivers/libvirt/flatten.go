//go:build !nolibvirt

package libvirt

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"strings"

	"libvirt.org/go/libvirt"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/libvirt/internal/definition"
)

// flatten lets QEMU pull everything that the volume stands on into it, while its guest goes on running. For a volume that no
// running guest has, a machine is put around it that never runs, and goes with the connection.
func (c *call) flatten(v *resource.Volume) error {
	id := resource.VolumeID(v)
	live, err := c.readVolumeByID(id)
	if err != nil {
		return fmt.Errorf("flatten: %w", err)
	}
	if live.backing == "" {
		return nil
	}
	if err := c.Can(drivers.AbilityFlatten); err != nil {
		return fmt.Errorf("flatten volume %s: %w", id, err)
	}
	if err := c.checkNoSnapshots(v); err != nil {
		return fmt.Errorf("flatten volume %s: %w", id, err)
	}
	if err := c.pullAll(live); err != nil {
		return fmt.Errorf("flatten volume %s: %w", id, err)
	}
	c.folders.gone(id)
	if live, err = c.readVolumeByID(id); err != nil {
		return err
	}
	if live.backing != "" {
		return fmt.Errorf("flatten volume %s: QEMU stopped before it was finished, and it still has the backing file %s: make sure that its pool has free space, then run it again to continue", id, live.backing)
	}
	return nil
}

// checkNoSnapshots refuses a volume with snapshots in its file: what they have not of their own, they have of the base.
func (c *call) checkNoSnapshots(v *resource.Volume) error {
	vol, err := c.volume(resource.VolumeID(v))
	if err != nil {
		return err
	}
	defer freeVolume(vol)
	head := make([]byte, 64)
	if err := c.download(vol, 0, head); err != nil {
		return err
	}
	if n := binary.BigEndian.Uint32(head[60:]); n > 0 {
		return fmt.Errorf("%w by %d snapshots in it, which stand on the base too: delete them first (vmplan snapshot list)", drivers.ErrInUse, n)
	}
	return nil
}

// pullAll does the work, on the guest that runs with the volume or on an idle machine.
func (c *call) pullAll(live *liveVolume) error {
	dom, dev, err := c.runningUser(live.path)
	if err != nil {
		return err
	}
	defer func() {
		if dom != nil {
			freeDomain(dom)
		}
	}()
	if dom == nil {
		if dom, err = c.idleMachine(live); err != nil {
			return err
		}
		dev = "vda"
		defer c.usage.forget()
		defer func() { _ = dom.Destroy() }() // or libvirt does, when the connection ends
	}
	return c.pull(dom, dev, live)
}

// pull lets the disk dev of a machine stand on nothing.
func (c *call) pull(dom *libvirt.Domain, dev string, live *liveVolume) error {
	if info, err := dom.GetBlockJobInfo(dev, 0); err == nil && info.Type == 0 { // none that a run has left
		if err := dom.BlockPull(dev, 0, 0); err != nil {
			return fail(err, "pull what it stands on")
		}
	}
	for {
		info, err := dom.GetBlockJobInfo(dev, libvirt.DOMAIN_BLOCK_JOB_INFO_BANDWIDTH_BYTES)
		if err != nil {
			return fail(err, "ask how far it is")
		}
		if info.Type == 0 {
			return c.refreshChain(live)
		}
		c.report(drivers.Progress{Phase: "flattening", Done: int64(info.Cur), Total: int64(info.End)})
		if err := pause(c.ctx, powerPoll); err != nil {
			_ = dom.BlockJobAbort(dev, 0)
			return err
		}
	}
}

// refreshChain lets libvirt see what the volume stands on now.
func (c *call) refreshChain(live *liveVolume) error {
	pools, err := readPools(c.session)
	if err != nil {
		return err
	}
	return c.refreshPoolOf(pools.volumeID(live.path))
}

// idleMachine starts a machine around the volume that stays paused.
func (c *call) idleMachine(live *liveVolume) (*libvirt.Domain, error) {
	facts, err := c.caps()
	if err != nil {
		return nil, err
	}
	vm := &resource.VM{VCPUs: 1, MaxVCPUs: 1, Memory: 64 * resource.MiB, MaxMemory: 64 * resource.MiB, DomainType: c.host.DomainType}
	vm.Name = "vmplan-flatten-" + strings.ToLower(rand.Text()[:10])
	vm.Disks = []resource.Disk{{Label: "disk", Source: live.path, Bus: "virtio", Device: "disk"}}
	def, err := definition.NewVM(vm, &definition.Context{
		Host: facts.guestHost(false),
		File: func(string) (definition.File, error) {
			return definition.File{Path: live.path, Format: live.format}, nil
		},
	})
	if err != nil {
		return nil, err
	}
	dom, err := c.conn.DomainCreateXML(def.String(), libvirt.DOMAIN_START_PAUSED|libvirt.DOMAIN_START_AUTODESTROY)
	return dom, fail(err, "start a machine around it")
}
