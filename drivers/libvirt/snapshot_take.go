//go:build !nolibvirt

package libvirt

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/libvirt/internal/definition"
	"vmplan.dev/vmplan/drivers/libvirt/internal/xmltree"
)

// CheckSnapshot implements drivers.Rules. Snapshots are kept inside the qcow2 files of the disks; libvirt takes those
// of a guest that is off, or with its memory, only where the firmware has no memory of its own.
func (d *driver) CheckSnapshot(vm *resource.VM, on, memory bool) error {
	if vm.Firmware != "uefi" || on && !memory {
		return nil
	}
	return fmt.Errorf("%w: libvirt takes no snapshot of a vm with UEFI firmware that is off, nor one with memory. Take one of its disks while it runs (--disk-only), or copy it: vmplan clone '%s' NAME", drivers.ErrUnsupported, vm.Addr)
}

// What the description of a snapshot says of how it was taken.
const (
	takenQuiesced  = "Taken by vmplan with the guest's file systems at rest."
	takenUnquieted = "Taken by vmplan; the guest's agent did not answer, so what the guest had not written yet is missing."
	takenOther     = "Taken by vmplan."
)

func (c *call) takeSnapshot(vm *resource.VM, name string, memory bool) error {
	dom, err := c.domain(vm)
	if err != nil {
		return fmt.Errorf("snapshot %s: %w", name, err)
	}
	defer freeDomain(dom)
	if have, err := dom.SnapshotLookupByName(name, 0); err == nil {
		return have.Free()
	} else if !hasCode(err, libvirt.ERR_NO_DOMAIN_SNAPSHOT) {
		return fail(err, "look for snapshot %s of vm %s", name, vm.Name)
	}
	def, err := wholeDefinition(dom)
	if err != nil {
		return err
	}
	active, err := dom.IsActive()
	if err != nil {
		return fail(err, "snapshot of vm %s", vm.Name)
	}
	described := &resource.VM{Meta: vm.Meta}
	if described.Firmware = "bios"; definition.IsUEFI(def) {
		described.Firmware = "uefi"
	}
	if err := c.CheckSnapshot(described, active, memory && active); err != nil {
		return err
	}
	if active && !memory {
		return c.snapshotDisks(dom, def, name)
	}
	c.report(drivers.Progress{Phase: "taking a snapshot"})
	snap := libvirtxml.DomainSnapshot{Name: name, Description: takenOther}
	text, err := snap.Marshal()
	if err != nil {
		return err
	}
	made, err := dom.CreateSnapshotXML(text, 0)
	if err != nil {
		return fail(err, "take snapshot %s of vm %s", name, vm.Name)
	}
	return made.Free()
}

// snapshotDisks takes a snapshot of the disks of a guest that goes on running. libvirt's own call would put files of its own
// over the disks instead, which it cannot restore; so QEMU is asked, and libvirt is told.
func (c *call) snapshotDisks(dom *libvirt.Domain, def *xmltree.Node, name string) error {
	nodes, err := writableNodes(dom)
	if err != nil {
		return err
	}
	description := takenUnquieted
	if dom.FSFreeze(nil, 0) == nil {
		description = takenQuiesced
	}
	err = qmpSnapshot(dom, nodes, name)
	if description == takenQuiesced {
		if thawErr := dom.FSThaw(nil, 0); thawErr != nil {
			err = errors.Join(err, fail(thawErr, "let the guest write again"))
		}
	}
	if err != nil {
		return err
	}
	snap := &xmltree.Node{Name: "domainsnapshot"}
	snap.Ensure("name").SetText(name)
	snap.Ensure("description").SetText(description)
	snap.Ensure("state").SetText("shutoff") // how a guest is that has no memory in the snapshot
	snap.Ensure("creationTime").SetText(strconv.FormatInt(time.Now().Unix(), 10))
	snap.Ensure("memory").Set("snapshot", "no")
	for _, disk := range def.Get("devices").All("disk") {
		kind := "internal"
		if disk.Get("readonly") != nil {
			kind = "no"
		}
		d := &xmltree.Node{Name: "disk"}
		d.Set("name", disk.Get("target").Attr("dev"))
		d.Set("snapshot", kind)
		disks := snap.Ensure("disks")
		disks.Add(d)
	}
	snap.Add(def)
	made, err := dom.CreateSnapshotXML(snap.String(), libvirt.DOMAIN_SNAPSHOT_CREATE_REDEFINE)
	if err != nil {
		return fail(err, "tell libvirt of snapshot %s", name)
	}
	return made.Free()
}

// writableNodes lists what QEMU calls the disks that its guest may write to.
func writableNodes(dom *libvirt.Domain) ([]string, error) {
	answer, err := dom.QemuMonitorCommand(`{"execute":"query-block"}`, 0)
	if err != nil {
		return nil, fail(err, "ask QEMU for its disks")
	}
	var blocks struct {
		Return []struct {
			Inserted struct {
				Node     string `json:"node-name"`
				File     string `json:"file"`
				Driver   string `json:"drv"`
				ReadOnly bool   `json:"ro"`
			} `json:"inserted"`
		} `json:"return"`
	}
	if err := json.Unmarshal([]byte(answer), &blocks); err != nil {
		return nil, fmt.Errorf("read QEMU's list of disks: %w", err)
	}
	var nodes []string
	for _, b := range blocks.Return {
		in := b.Inserted
		switch {
		case in.Node == "" || in.ReadOnly || strings.Contains(in.Node, "pflash"):
		case in.Driver != formatQCOW2:
			return nil, fmt.Errorf("%w: %s is %s, which holds no snapshots: only qcow2 does", drivers.ErrUnsupported, in.File, in.Driver)
		default:
			nodes = append(nodes, in.Node)
		}
	}
	return nodes, nil
}

// ownSnapshots begin the names of snapshots that vmplan takes for itself.
const ownSnapshots = "vmplan-"

// qmpSnapshot takes the snapshot of all disks at once. What a run that was cut short has left of one of vmplan's own is replaced;
// of another name it may be somebody's, whom libvirt does not know of.
func qmpSnapshot(dom *libvirt.Domain, nodes []string, name string) error {
	type data struct {
		Device string `json:"device"`
		Name   string `json:"name"`
	}
	type action struct {
		Type string `json:"type"`
		Data data   `json:"data"`
	}
	var actions []action
	for _, n := range nodes {
		if strings.HasPrefix(name, ownSnapshots) {
			_ = qmp(dom, "blockdev-snapshot-delete-internal-sync", data{n, name})
		}
		actions = append(actions, action{"blockdev-snapshot-internal-sync", data{n, name}})
	}
	err := qmp(dom, "transaction", map[string]any{"actions": actions})
	if err != nil && strings.Contains(err.Error(), "already exists") {
		return fmt.Errorf("%w: a disk has a snapshot %s that libvirt does not know of: choose another name (%w)", drivers.ErrConflict, name, err)
	}
	return err
}

// qmp has QEMU execute a command of its monitor protocol.
func qmp(dom *libvirt.Domain, command string, args any) error {
	text, err := json.Marshal(map[string]any{"execute": command, "arguments": args})
	if err != nil {
		return err
	}
	answer, err := dom.QemuMonitorCommand(string(text), 0)
	if err != nil {
		return fail(err, "ask QEMU to %s", command)
	}
	var failed struct {
		Error *struct {
			Desc string `json:"desc"`
		} `json:"error"`
	}
	if err := json.Unmarshal([]byte(answer), &failed); err != nil {
		return fmt.Errorf("QEMU's answer to %s: %w", command, err)
	}
	if failed.Error != nil {
		return fmt.Errorf("QEMU: %s: %s", command, failed.Error.Desc)
	}
	return nil
}

func (c *call) restoreSnapshot(vm *resource.VM, name string, with bool) error {
	dom, err := c.domain(vm)
	if err != nil {
		return fmt.Errorf("restore %s: %w", name, err)
	}
	defer freeDomain(dom)
	snap, err := dom.SnapshotLookupByName(name, 0)
	if hasCode(err, libvirt.ERR_NO_DOMAIN_SNAPSHOT) {
		return fmt.Errorf("vm %s has no snapshot %s: %w", vm.Name, name, drivers.ErrNotFound)
	}
	if err != nil {
		return fail(err, "look for snapshot %s of vm %s", name, vm.Name)
	}
	defer func() { _ = snap.Free() }()
	def, err := wholeDefinition(dom)
	if err != nil {
		return err
	}
	c.usage.forget()
	c.report(drivers.Progress{Phase: "restoring"})
	if err := snap.RevertToSnapshot(0); err != nil {
		return fail(err, "restore snapshot %s of vm %s", name, vm.Name)
	}
	for _, disk := range vm.Disks { // libvirt forgets the sizes, which may be others now
		if err := c.refreshPoolOf(disk.Source); err != nil && !errors.Is(err, drivers.ErrNotFound) {
			return err
		}
	}
	if with {
		return nil
	}
	defined, err := c.conn.DomainDefineXML(def.String())
	if err != nil {
		return fail(err, "define vm %s as it was before", vm.Name)
	}
	freeDomain(defined)
	return nil
}

func (c *call) dropSnapshot(vm *resource.VM, name string) error {
	dom, err := c.domain(vm)
	if missing(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("delete snapshot %s: %w", name, err)
	}
	defer freeDomain(dom)
	snap, err := dom.SnapshotLookupByName(name, 0)
	if hasCode(err, libvirt.ERR_NO_DOMAIN_SNAPSHOT) {
		return nil
	}
	if err != nil {
		return fail(err, "look for snapshot %s of vm %s", name, vm.Name)
	}
	defer func() { _ = snap.Free() }()
	return fail(snap.Delete(0), "delete snapshot %s of vm %s", name, vm.Name)
}

// snapshotInfos is what a domain's snapshots say of themselves, oldest first.
func snapshotInfos(trees []*xmltree.Node) []drivers.SnapshotInfo {
	var out []drivers.SnapshotInfo
	for _, snap := range trees {
		out = append(out, readSnapshot(snap))
	}
	slices.SortFunc(out, func(a, b drivers.SnapshotInfo) int {
		if !a.Created.Equal(b.Created) {
			return a.Created.Compare(b.Created)
		}
		return strings.Compare(a.Name, b.Name)
	})
	return out
}

func readSnapshot(snap *xmltree.Node) drivers.SnapshotInfo {
	info := drivers.SnapshotInfo{Name: snap.Get("name").Text(), Note: snap.Get("description").Text()}
	seconds, err := strconv.ParseInt(snap.Get("creationTime").Text(), 10, 64)
	if err == nil {
		info.Created = time.Unix(seconds, 0).UTC()
	}
	memory := snap.Get("memory").Attr("snapshot")
	info.Memory = memory == "internal" || memory == "external"
	info.Quiesced = info.Note == takenQuiesced
	info.Running = info.Memory || info.Quiesced || info.Note == takenUnquieted
	if slices.Contains([]string{takenOther, takenQuiesced, takenUnquieted}, info.Note) {
		info.Note = ""
	}
	return info
}
