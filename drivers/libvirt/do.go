//go:build !nolibvirt

package libvirt

import (
	"context"
	"fmt"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
)

// call is one operation under way.
type call struct {
	*driver
	*session
	ctx    context.Context
	report func(drivers.Progress)
}

// Do implements drivers.Driver.
func (d *driver) Do(ctx context.Context, op drivers.Op, report func(drivers.Progress)) (result drivers.Result, err error) {
	if err := ctx.Err(); err != nil {
		return drivers.Result{}, err
	}
	if report == nil {
		report = func(drivers.Progress) {}
	}
	err = d.withReconnect(ctx, func(s *session) error {
		result, err = (&call{driver: d, session: s, ctx: ctx, report: report}).do(op)
		return err
	})
	return result, err
}

func (c *call) do(op drivers.Op) (drivers.Result, error) {
	if err := c.checkOwner(op); err != nil {
		return drivers.Result{}, fmt.Errorf("%s %s: %w", op.Verb(), op.Target().Base().Name, err)
	}
	switch op := op.(type) {
	case *drivers.Create:
		return c.create(op)
	case *drivers.Copy:
		return drivers.Result{}, c.copyOrigin(op.Target().(*resource.Image))
	case *drivers.Build:
		return drivers.Result{}, c.build(op.Target().(*resource.Image), op.Mark)
	case *drivers.Update:
		return drivers.Result{}, c.update(op)
	case *drivers.Delete:
		return drivers.Result{}, c.remove(op.Target())
	case *drivers.SetMark:
		return drivers.Result{}, c.setMark(op)
	case *drivers.Flatten:
		c.usage.forget()
		return drivers.Result{}, c.flatten(op.Target().(*resource.Volume))
	}
	vm, ok := op.Target().(*resource.VM)
	if !ok {
		return drivers.Result{}, c.noSuchOp(op)
	}
	var err error
	switch op := op.(type) {
	case *drivers.Start:
		err = c.startVM(vm)
	case *drivers.Stop:
		err = c.stopVM(vm, op.Force)
	case *drivers.Reboot:
		err = c.rebootVM(vm, op.Force)
	case *drivers.WaitReady:
		err = c.waitReady(vm)
	case *drivers.Snapshot:
		err = c.takeSnapshot(vm, op.Name, op.Memory)
	case *drivers.Restore:
		err = c.restoreSnapshot(vm, op.Name, op.With)
	case *drivers.DropSnapshot:
		err = c.dropSnapshot(vm, op.Name)
	default:
		err = c.noSuchOp(op)
	}
	return drivers.Result{}, err
}

func (c *call) noSuchOp(op drivers.Op) error {
	return fmt.Errorf("%s %s: %w", op.Verb(), op.Target().Kind(), drivers.ErrUnsupported)
}

func (c *call) create(op *drivers.Create) (drivers.Result, error) {
	c.usage.forget()
	switch r := op.Target().(type) {
	case *resource.Pool:
		return drivers.Result{}, c.createPool(r)
	case *resource.Network:
		return drivers.Result{}, c.createNetwork(r, op.Mark)
	case *resource.Volume:
		return drivers.Result{}, c.createVolume(r)
	case *resource.Image:
		if !r.From.IsZero() {
			return c.makeImage(r)
		}
		return c.importImage(r)
	case *resource.Seed:
		return drivers.Result{}, c.createSeed(r)
	case *resource.VM:
		return drivers.Result{}, c.createVM(r, op.Mark)
	}
	return drivers.Result{}, c.noSuchOp(op)
}

func (c *call) update(op *drivers.Update) error {
	c.usage.forget()
	switch after := op.Target().(type) {
	case *resource.Pool:
		return c.updatePool(after)
	case *resource.Network:
		return c.updateNetwork(op.Before.(*resource.Network), after)
	case *resource.Volume:
		return c.growVolume(after)
	case *resource.VM:
		return c.updateVM(op.Before.(*resource.VM), after, op.Live)
	}
	return c.noSuchOp(op)
}

func (c *call) remove(r resource.Resource) error {
	switch r := r.(type) {
	case *resource.Pool:
		return c.deletePool(r)
	case *resource.Network:
		return c.deleteNetwork(r)
	case *resource.VM:
		return c.deleteVM(r)
	}
	if img, ok := r.(*resource.Image); ok && !img.From.IsZero() && !c.test {
		return c.deleteMade(img)
	}
	if resource.VolumeID(r) != "" {
		return c.deleteVolume(r)
	}
	return fmt.Errorf("delete %s: %w", r.Kind(), drivers.ErrUnsupported)
}

func (c *call) setMark(op *drivers.SetMark) error {
	switch r := op.Target().(type) {
	case *resource.VM:
		return c.markVM(r, op.Mark)
	case *resource.Network:
		return c.markNetwork(r, op.Mark)
	}
	return nil // pools and volumes cannot carry one
}
