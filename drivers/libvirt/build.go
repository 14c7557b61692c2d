//go:build !nolibvirt

package libvirt

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"slices"
	"time"

	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/guest"
)

// buildPoll is how often a guest that builds is asked how far it is.
const buildPoll = time.Second

// workshop is what is on the host only while an image is made: all of it is named after the image's file, so that whoever makes
// or deletes the image the next time can clear it away.
type workshop struct {
	*call
	img  *resource.Image
	pool *libvirt.StoragePool
}

func (c *call) openWorkshop(img *resource.Image) (*workshop, error) {
	if err := c.Can(drivers.AbilityBuild); err != nil {
		return nil, err
	}
	pool, err := c.pool(img.PoolName)
	if err != nil {
		return nil, err
	}
	c.usage.forget()
	return &workshop{call: c, img: img, pool: pool}, nil
}

func (w *workshop) close() { freePool(w.pool) }

// What lies there beside the copy and the overlay (resource.Image.CopyID and BuildID), by id: what the guest's cloud-init is told,
// what the guest is to do, and how far it is.
func (w *workshop) seedID() string   { return w.beside("build-seed.iso") }
func (w *workshop) stepsID() string  { return w.beside("build-steps.raw") }
func (w *workshop) resultID() string { return w.beside("build-result.raw") }

func (w *workshop) beside(what string) string {
	return w.img.PoolName + "/" + w.img.Stem() + "-" + what
}

func (w *workshop) volume(id string) *resource.Volume {
	meta := w.meta(id)
	return &resource.Volume{Meta: meta, PoolName: w.img.PoolName, File: meta.Name, Format: formatQCOW2}
}

// meta is that of a file, or of the guest.
func (w *workshop) meta(id string) resource.Meta {
	return resource.Meta{Addr: w.img.Addr, Host: w.img.Host, Name: path.Base(id)}
}

// copyOrigin copies what the image is made from.
func (c *call) copyOrigin(img *resource.Image) error {
	w, err := c.openWorkshop(img)
	if err != nil {
		return fmt.Errorf("copy %s: %w", img.Origin, err)
	}
	defer w.close()
	if err = w.clear(); err == nil {
		err = w.flatten(img.Origin, emptyVolume(w.volume(w.img.CopyID("qcow2"))))
	}
	if err != nil {
		return fmt.Errorf("copy %s: %w", img.Origin, err)
	}
	return nil
}

// flatten makes a volume of all that the volume id holds, which nobody may write to meanwhile.
func (w *workshop) flatten(id string, def *libvirtxml.StorageVolume) error {
	live, err := w.readVolumeByID(id)
	if err != nil {
		return err
	}
	return w.copyUnwritten(w.pool, def, live)
}

// build lets a guest work on an overlay of the copy, or of an image that never changes.
func (c *call) build(img *resource.Image, mark drivers.Mark) (err error) {
	w, err := c.openWorkshop(img)
	if err != nil {
		return fmt.Errorf("build: %w", err)
	}
	defer w.close()
	base := img.Origin
	if img.Copies() {
		base = w.img.CopyID("qcow2")
	}
	if err := w.clear(w.img.CopyID("qcow2")); err != nil {
		return fmt.Errorf("build: %w", err)
	}
	defer func() {
		keep := []string{w.img.CopyID("qcow2"), w.img.BuildID("qcow2")}
		if err != nil {
			keep = nil
		}
		err = errors.Join(err, w.clearAfter(keep))
	}()
	work, err := guest.NewBuilding(img)
	if err != nil {
		return err
	}
	vm, err := w.prepare(base, &work)
	if err != nil {
		return fmt.Errorf("build: %w", err)
	}
	if err := w.createVM(vm, &mark); err != nil {
		return fmt.Errorf("build: %w", err)
	}
	if err := w.startVM(vm); err != nil {
		return fmt.Errorf("build: %w", err)
	}
	return w.watch(vm)
}

// prepare makes the disks of the guest that builds, and gives its definition.
func (w *workshop) prepare(base string, work *guest.Building) (*resource.VM, error) {
	if err := w.createOverlay(base); err != nil {
		return nil, err
	}
	seed := work.Seed
	seed.Meta, seed.PoolName = w.meta(w.seedID()), w.img.PoolName
	seed.File = seed.Name
	if err := w.createSeed(&seed); err != nil {
		return nil, err
	}
	if err := w.putSmall(w.pool, w.stepsID(), work.Steps); err != nil {
		return nil, err
	}
	if err := w.putSmall(w.pool, w.resultID(), make([]byte, guest.ResultSize)); err != nil {
		return nil, err
	}
	return w.vm()
}

// createOverlay makes the disk that the guest writes to. QEMU takes space back by whole clusters only: with clusters as small as
// the blocks of a file system, nothing that was deleted and trimmed in the guest gets into the image.
func (w *workshop) createOverlay(base string) error {
	disk := w.volume(w.img.BuildID("qcow2"))
	disk.Backing = base
	def, err := w.volumeDef(disk)
	if err != nil {
		return fmt.Errorf("create volume %s: %w", w.img.BuildID("qcow2"), err)
	}
	def.Target.ClusterSize = &libvirtxml.StorageVolumeTargetClusterSize{Unit: "KiB", Value: 4}
	return w.createAs(w.pool, disk, def)
}

// vm is the guest that builds.
func (w *workshop) vm() (*resource.VM, error) {
	b := w.img.Builder
	if b == nil {
		return nil, errors.New("the image does not say what its guest is like")
	}
	yes := true
	vm := &resource.VM{
		Meta:  w.meta(w.beside("build")),
		UUID:  w.guestUUID(),
		Title: "builds " + w.img.Addr.String(),
		VCPUs: b.VCPUs, Memory: b.Memory, CPU: b.CPU, DomainType: b.DomainType, Arch: b.Arch, Machine: b.Machine,
		Firmware: b.Firmware, SecureBoot: b.SecureBoot,
		Disks: []resource.Disk{
			{Label: "root", Source: w.img.BuildID("qcow2"), Bus: b.DiskBus},
			{Label: "seed", Source: w.seedID(), Bus: b.DiskBus, ReadOnly: &yes},
			{Label: guest.StepsDisk, Source: w.stepsID(), Bus: b.DiskBus, ReadOnly: &yes},
			{Label: guest.ResultDisk, Source: w.resultID(), Bus: b.DiskBus},
		},
		NICs: []resource.NIC{{Label: "net", Model: b.NICModel, Source: b.Network, Bridge: b.Bridge}},
	}
	if b.Network == "" && b.Bridge == "" {
		vm.NICs[0].User = &yes
	}
	return vm, normalizeVM(vm)
}

// watch waits until the guest is off, tells what it is at, and finds out how it ended.
func (w *workshop) watch(vm *resource.VM) error {
	ctx, cancel := context.WithTimeout(w.ctx, time.Duration(w.img.Builder.Timeout))
	defer cancel()
	dom, err := w.domain(vm)
	if err != nil {
		return err
	}
	defer freeDomain(dom)
	w.report(drivers.Progress{Phase: "booting"})
	var last guest.Report
	for {
		state, err := domainState(dom, vm)
		if err != nil {
			return err
		}
		report, err := w.readResult()
		if err != nil {
			return fmt.Errorf("read how far the guest is: %w", err)
		}
		if report != (guest.Report{}) {
			last = report
		}
		if off := state == libvirt.DOMAIN_SHUTOFF || state == libvirt.DOMAIN_CRASHED; off || last.Failed {
			return w.outcome(vm, last)
		}
		if last.Step != "" {
			w.report(drivers.Progress{Phase: last.Step})
		}
		if pause(ctx, buildPoll) != nil {
			return w.overdue(vm, last)
		}
	}
}

// outcome is how the build ended, by what the guest said last.
func (w *workshop) outcome(vm *resource.VM, last guest.Report) error {
	switch {
	case last.Done:
		return nil
	case last.Failed:
		return &drivers.BuildError{Step: last.Step, Code: last.Code, Log: last.Log}
	case last.Step != "":
		return fmt.Errorf("the guest went off during %s; the last lines of its output:\n%s", last.Step, last.Log)
	}
	return w.silent(vm, "the guest shut down and reported nothing")
}

// overdue says at what a guest was when its time was up.
func (w *workshop) overdue(vm *resource.VM, last guest.Report) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	timeout := w.img.Builder.Timeout
	switch {
	case last.Done:
		return fmt.Errorf("%w after %s: all is done, but the guest did not go off", drivers.ErrTimeout, timeout)
	case last.Step != "":
		return fmt.Errorf("%w after %s, during %s (build { timeout = … } gives it longer); the last lines of its output:\n%s", drivers.ErrTimeout, timeout, last.Step, last.Log)
	}
	return fmt.Errorf("%w after %s: %w", drivers.ErrTimeout, timeout, w.silent(vm, "the guest never began"))
}

// silent is for a guest whose system did not do what its seed says.
func (w *workshop) silent(vm *resource.VM, what string) error {
	err := fmt.Errorf("%s: does it boot, and is cloud-init in it, which reads what to do from a NoCloud seed?", what)
	if tail := w.serialTail(vm); tail != "" {
		err = fmt.Errorf("%w\nThe last lines on its serial console:\n%s", err, tail)
	}
	return err
}

func (w *workshop) readResult() (guest.Report, error) {
	vol, err := w.seenVolume(w.resultID()) // it may have been written into the folder
	if err != nil {
		return guest.Report{}, err
	}
	defer freeVolume(vol)
	text := make([]byte, guest.ResultSize)
	if err := w.download(vol, 0, text); err != nil {
		return guest.Report{}, err
	}
	return guest.ReadReport(text), nil
}

// clearAfter clears up also when the run was cancelled.
func (w *workshop) clearAfter(keep []string) error {
	own := *w.call
	own.ctx = context.WithoutCancel(w.ctx)
	left := workshop{call: &own, img: w.img, pool: w.pool}
	return left.clear(keep...)
}

// clear removes the guest and the files, but for those to keep. A vm of that name that is not ours stays, and so does what it
// uses.
func (w *workshop) clear(keep ...string) error {
	w.usage.forget()
	if err := w.removeGuest(); err != nil {
		return err
	}
	w.usage.forget()
	for _, id := range []string{w.stepsID(), w.seedID(), w.resultID(), w.img.BuildID("qcow2"), w.img.CopyID("qcow2")} {
		if slices.Contains(keep, id) {
			continue
		}
		if err := w.deleteVolume(w.volume(id)); err != nil {
			return err
		}
	}
	return nil
}

// guestUUID tells the guest that builds from whatever else may have its name: it follows from the image's file, whose name no
// other project has.
func (w *workshop) guestUUID() string {
	id := sha256.Sum256([]byte("vmplan build " + resource.VolumeID(w.img)))
	id[6], id[8] = id[6]&0x0f|0x80, id[8]&0x3f|0x80 // version 8: made in a way of our own
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:16])
}

func (w *workshop) removeGuest() error {
	vm := &resource.VM{Meta: w.meta(w.beside("build")), UUID: w.guestUUID()}
	if err := w.stopVM(vm, true); err != nil {
		return err
	}
	return w.deleteVM(vm)
}

// deleteMade deletes an image with all that making it may have left.
func (c *call) deleteMade(img *resource.Image) error {
	w, err := c.openWorkshop(img)
	if errors.Is(err, drivers.ErrNotFound) {
		return nil // with the pool
	}
	if err != nil {
		return fmt.Errorf("delete: %w", err)
	}
	defer w.close()
	if err := w.clear(); err != nil {
		return fmt.Errorf("delete: %w", err)
	}
	return c.deleteVolume(img)
}

// makeImage makes an image of what was built, or of its origin.
func (c *call) makeImage(img *resource.Image) (drivers.Result, error) {
	w, err := c.openWorkshop(img)
	if err != nil {
		return drivers.Result{}, fmt.Errorf("make image: %w", err)
	}
	defer w.close()
	digest, err := w.make()
	if err != nil {
		return drivers.Result{}, fmt.Errorf("make image %s: %w", resource.VolumeID(img), err)
	}
	done := resource.Clone(img)
	done.Digest = digest
	return drivers.Result{Object: done}, nil
}

func (w *workshop) make() (digest string, err error) {
	id, from := resource.VolumeID(w.img), w.img.Origin
	if w.img.Builds() {
		from = w.img.BuildID("qcow2")
	}
	live, err := w.readVolumeByID(id)
	switch {
	case errors.Is(err, drivers.ErrNotFound):
		if err = w.flatten(from, w.base()); !w.img.Builds() {
			err = onceOnly(err)
		}
	case err == nil:
		err = w.finish(live, from)
	}
	if err != nil {
		return "", err
	}
	w.report(drivers.Progress{Phase: "taking the digest"})
	sum := sha256.New()
	if err := w.sendOut(w.pool, w.img.File, sum); err != nil {
		return "", err
	}
	return "sha256:" + hex.EncodeToString(sum.Sum(nil)), w.clear()
}

// base is the image's file as a volume that nobody may write to.
func (w *workshop) base() *libvirtxml.StorageVolume {
	def := emptyVolume(&resource.Volume{File: w.img.File, Format: w.img.Format})
	def.Target.Permissions = w.permissions(0o444)
	return def
}

// finish settles what to do with a file that is there already. While there is what was built, it may be half of it: that goes
// last. Else it must be what a copy of the origin would be.
func (w *workshop) finish(live *liveVolume, from string) error {
	_, err := w.readVolumeByID(w.img.BuildID("qcow2"))
	switch {
	case w.img.Builds() && err == nil:
		if err := w.deleteVolume(w.img); err != nil {
			return err
		}
		return w.flatten(from, w.base())
	case w.img.Builds() && errors.Is(err, drivers.ErrNotFound):
		return nil
	case w.img.Builds():
		return err
	}
	origin, err := w.readVolumeByID(from)
	if err == nil && (live.format != w.img.Format || live.size != origin.size) {
		err = fmt.Errorf("%w: there is a file of that name already, %s of %s, and it is not overwritten", drivers.ErrConflict, live.format, live.size)
	}
	return err
}
