package sim

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
)

// Do implements drivers.Driver.
func (d *driver) Do(ctx context.Context, op drivers.Op, report func(drivers.Progress)) (drivers.Result, error) {
	if err := ctx.Err(); err != nil {
		return drivers.Result{}, err
	}
	if report == nil {
		report = func(drivers.Progress) {}
	}
	r := op.Target()
	ref := opRef{verb: op.Verb(), addr: r.Base().Addr, kind: r.Kind()}
	if err := d.host.strike(ctx, ref, before); err != nil {
		return drivers.Result{}, d.fail(op, err)
	}
	result, err := d.do(ctx, op, report)
	if err == nil {
		err = d.host.strike(ctx, ref, after)
	}
	if err != nil {
		return drivers.Result{}, d.fail(op, err)
	}
	return result, nil
}

// fail names the operation and the object as the host calls it.
func (d *driver) fail(op drivers.Op, err error) error {
	return fmt.Errorf("%s %s: %w", op.Verb(), strings.Replace(resource.Key(op.Target()), "/", " ", 1), err)
}

func (d *driver) do(ctx context.Context, op drivers.Op, report func(drivers.Progress)) (drivers.Result, error) {
	switch op := op.(type) {
	case *drivers.Create:
		if img, ok := op.Target().(*resource.Image); ok {
			return d.createImage(ctx, img, report)
		}
		return drivers.Result{}, d.change(func(t *tx) error { return t.create(op.Target(), op.Mark) })
	case *drivers.Copy:
		return drivers.Result{}, d.copyOrigin(op.Target().(*resource.Image))
	case *drivers.Build:
		return drivers.Result{}, d.build(ctx, op.Target().(*resource.Image), report)
	case *drivers.Update:
		return drivers.Result{}, d.touch(op, func(t *tx) error { return t.update(op) })
	case *drivers.Delete:
		if img, ok := op.Target().(*resource.Image); ok {
			if err := d.clearBuild(img); err != nil {
				return drivers.Result{}, err
			}
		}
		return drivers.Result{}, d.touch(op, func(t *tx) error { return t.delete(op.Target()) })
	case *drivers.SetMark:
		return drivers.Result{}, d.touch(op, func(t *tx) error { return t.setMark(op.Target(), &op.Mark) })
	}
	if op, ok := op.(*drivers.Flatten); ok {
		return drivers.Result{}, d.touch(op, func(t *tx) error { return t.flatten(resource.VolumeID(op.Target())) })
	}
	vm, ok := op.Target().(*resource.VM)
	if !ok {
		return drivers.Result{}, fmt.Errorf("a %s has no power: %w", op.Target().Kind(), drivers.ErrUnsupported)
	}
	switch op := op.(type) {
	case *drivers.Start:
		return drivers.Result{}, d.touch(op, func(t *tx) error { return t.start(vm.Name) })
	case *drivers.Stop:
		return drivers.Result{}, d.stop(ctx, op)
	case *drivers.Reboot:
		return drivers.Result{}, d.touch(op, func(t *tx) error { return t.reboot(vm.Name, op.Force) })
	case *drivers.WaitReady:
		return drivers.Result{}, d.waitReady(ctx, vm, report)
	case *drivers.Snapshot:
		return drivers.Result{}, d.touch(op, func(t *tx) error { return t.snapshot(vm.Name, op.Name, op.Memory) })
	case *drivers.Restore:
		return drivers.Result{}, d.touch(op, func(t *tx) error { return t.restore(vm.Name, op.Name, op.With) })
	case *drivers.DropSnapshot:
		return drivers.Result{}, d.touch(op, func(t *tx) error { return t.dropSnapshot(vm.Name, op.Name) })
	}
	panic(fmt.Sprintf("sim: %T is no operation of a driver", op))
}

// change runs fn on the host if it can be reached.
func (d *driver) change(fn func(*tx) error) error {
	return d.host.change(func(t *tx) error {
		if t.Unavailable != "" {
			return fmt.Errorf("%s: %w", t.Unavailable, drivers.ErrUnavailable)
		}
		return fn(t)
	})
}

// touch is change for an operation on an object that must be its target, and not one that has taken its name since or is somebody
// else's.
func (d *driver) touch(op drivers.Op, fn func(*tx) error) error {
	return d.change(func(t *tx) error {
		if err := t.same(op.Target()); err != nil {
			return err
		}
		if err := drivers.OwnerOf(op).Check(t.markOf(op)); err != nil {
			return err
		}
		return fn(t)
	})
}

func (t *tx) create(r resource.Resource, mark *drivers.Mark) error {
	switch r := r.(type) {
	case *resource.Pool:
		return t.createPool(r)
	case *resource.Network:
		return t.createNetwork(r, mark)
	case *resource.Volume:
		return t.createVolume(r)
	case *resource.Seed:
		return t.createSeed(r)
	case *resource.VM:
		return t.createVM(r, mark)
	}
	return noSuchKind(r)
}

func (t *tx) update(op *drivers.Update) error {
	switch after := op.Target().(type) {
	case *resource.Pool:
		return t.updatePool(op.Before.(*resource.Pool), after)
	case *resource.Network:
		return t.updateNetwork(op.Before.(*resource.Network), after)
	case *resource.Volume:
		return t.updateVolume(after)
	case *resource.VM:
		return t.updateVM(op.Before.(*resource.VM), after, op.Live)
	}
	return fmt.Errorf("a %s cannot be changed: %w", op.Target().Kind(), drivers.ErrUnsupported)
}

// markOf gives the mark of what an operation is about; nil when that has none. What an update renames may have its old name still.
func (t *tx) markOf(op drivers.Op) *drivers.Mark {
	objects := []resource.Resource{op.Target()}
	if u, ok := op.(*drivers.Update); ok {
		objects = append(objects, u.Before)
	}
	for _, r := range objects {
		switch r := r.(type) {
		case *resource.VM:
			if live := t.VMs[r.Name]; live != nil {
				return live.Mark
			}
		case *resource.Network:
			if live := t.Networks[r.Name]; live != nil {
				return live.Mark
			}
		}
	}
	return nil
}

// same tells whether what has r's name is r; one without a UUID stands for whatever has its name.
func (t *tx) same(r resource.Resource) error {
	name, want, have := r.Base().Name, "", ""
	switch r := r.(type) {
	case *resource.Pool:
		if live := t.Pools[name]; live != nil {
			want, have = r.UUID, live.UUID
		}
	case *resource.Network:
		if live := t.Networks[name]; live != nil {
			want, have = r.UUID, live.UUID
		}
	case *resource.VM:
		if live := t.VMs[name]; live != nil {
			want, have = r.UUID, live.UUID
		}
	}
	if want != "" && want != have {
		return fmt.Errorf("there is another of this name, with UUID %s: %w", have, drivers.ErrConflict)
	}
	return nil
}

func (t *tx) delete(r resource.Resource) error {
	name := r.Base().Name
	switch r := r.(type) {
	case *resource.Pool:
		return t.deletePool(name)
	case *resource.Network:
		return t.deleteNetwork(name)
	case *resource.VM:
		return t.deleteVM(name)
	case *resource.Image, *resource.Volume, *resource.Seed:
		return t.deleteVolume(resource.VolumeID(r))
	}
	return noSuchKind(r)
}

// setMark marks vms and networks; nothing else can bear one.
func (t *tx) setMark(r resource.Resource, mark *drivers.Mark) error {
	name := r.Base().Name
	switch r.(type) {
	case *resource.VM:
		vm, err := find(t.VMs, name)
		if err != nil {
			return err
		}
		vm.Mark = cloneMark(mark)
		t.putVM(name, vm)
	case *resource.Network:
		n, err := find(t.Networks, name)
		if err != nil {
			return err
		}
		n.Mark = cloneMark(mark)
		t.putNetwork(name, n)
	}
	return nil
}

func noSuchKind(r resource.Resource) error {
	return fmt.Errorf("a %s is nothing a host can have: %w", r.Kind(), drivers.ErrUnsupported)
}

// find gives a copy to change and put back.
func find[T any](m map[string]*T, name string) (*T, error) {
	v := m[name]
	if v == nil {
		return nil, drivers.ErrNotFound
	}
	c := *v
	return &c, nil
}

// otherUUID tells why an object with this name and UUID cannot be made: ids gives the UUIDs of what there is, by name.
func otherUUID[T any](m map[string]*T, name, uuid string, id func(*T) string) error {
	if have := m[name]; have != nil && id(have) != uuid {
		return fmt.Errorf("there is another of this name, with UUID %s: %w", id(have), drivers.ErrConflict)
	}
	if uuid == "" {
		return nil
	}
	for other, v := range m {
		if other != name && id(v) == uuid {
			return fmt.Errorf("%s has the same UUID %s: %w", other, uuid, drivers.ErrConflict)
		}
	}
	return nil
}

// inUse is ErrInUse with the users' names, nil when there are none.
func inUse(users map[string]bool) error {
	if len(users) == 0 {
		return nil
	}
	names := strings.Join(slices.Sorted(maps.Keys(users)), ", ")
	return fmt.Errorf("%w by %s", drivers.ErrInUse, names)
}
