package sim

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
)

func (t *tx) createPool(p *resource.Pool) error {
	if err := otherUUID(t.Pools, p.Name, p.UUID, func(p *Pool) string { return p.UUID }); err != nil {
		return err
	}
	pool := &Pool{Pool: *bare(p)}
	if have := t.Pools[p.Name]; have != nil {
		pool.Capacity = have.Capacity
	}
	t.fillPool(p.Name, pool)
	t.putPool(p.Name, pool)
	return nil
}

func (t *tx) updatePool(was, will *resource.Pool) error {
	pool, err := find(t.Pools, will.Name)
	if err != nil {
		return err
	}
	if err := onlyInPlace(was, will); err != nil {
		return err
	}
	pool.Autostart = will.Autostart
	t.fillPool(will.Name, pool)
	t.putPool(will.Name, pool)
	return nil
}

// deletePool leaves the volumes' files where they are, as libvirt does.
func (t *tx) deletePool(name string) error {
	if t.Pools[name] != nil {
		t.putPool(name, nil)
	}
	return nil
}

// onlyInPlace refuses changes that a plan would have called replacements.
func onlyInPlace(was, will resource.Resource) error {
	for _, f := range (rules{}).Impact(was, will) {
		if f.Impact > drivers.ImpactLive {
			return fmt.Errorf("%s cannot be changed in place: %w", f.Path, drivers.ErrConflict)
		}
	}
	return nil
}

func (t *tx) createVolume(v *resource.Volume) error {
	id := resource.VolumeID(v)
	vol := &Volume{Size: v.Size, Format: v.Format, Backing: v.Backing}
	fillVolume(vol)
	if v.Backing != "" {
		base := t.volume(v.Backing)
		if base == nil {
			return fmt.Errorf("backing volume %s: %w", v.Backing, drivers.ErrNotFound)
		}
		if v.Format == "raw" {
			return fmt.Errorf("format: a raw volume cannot be an overlay: %w", drivers.ErrUnsupported)
		}
		setDefault(&vol.Size, base.Size)
		if vol.Size < base.Size {
			return fmt.Errorf("size: %s is less than the %s of what it is an overlay of: %w", vol.Size, base.Size, drivers.ErrConflict)
		}
	}
	if v.CopyOf != "" && t.volume(id) == nil {
		if err := t.copyOf(v, vol); err != nil {
			return err
		}
	}
	if have := t.volume(id); have != nil {
		if v.CopyOf != "" && v.Size == 0 {
			vol.Size = have.Size
		}
		if have.Format == vol.Format && have.Backing == vol.Backing && have.Size == vol.Size {
			return nil
		}
		return fmt.Errorf("there is another of this name, of %s in format %s: %w", have.Size, have.Format, drivers.ErrConflict)
	}
	if vol.Size == 0 {
		return fmt.Errorf("size: it is not set: %w", drivers.ErrUnsupported)
	}
	return t.allocate(id, vol)
}

// copyOf gives vol what v is to be a copy of.
func (t *tx) copyOf(v *resource.Volume, vol *Volume) error {
	source, err := t.atRest(v.CopyOf)
	if err != nil {
		return fmt.Errorf("volume %s to copy: %w", v.CopyOf, err)
	}
	setDefault(&vol.Size, source.Size)
	if vol.Size < source.Size {
		return fmt.Errorf("size: %s is less than the %s of what it is a copy of: %w", vol.Size, source.Size, drivers.ErrConflict)
	}
	vol.Content, vol.Used = t.content(v.CopyOf), max(source.Used, thinUse)
	return nil
}

// allocate puts a new volume into its pool if there is room.
func (t *tx) allocate(id string, v *Volume) error {
	name, _, _ := strings.Cut(id, "/")
	pool := t.Pools[name]
	if pool == nil {
		return fmt.Errorf("pool %s: %w", name, drivers.ErrNotFound)
	}
	if pool.Inactive {
		return fmt.Errorf("pool %s is not active: %w", name, drivers.ErrConflict)
	}
	if free := t.free(name); v.use() > free {
		return fmt.Errorf("pool %s has %s left and this takes %s: %w", name, free, v.use(), drivers.ErrNoSpace)
	}
	t.putVolume(id, v)
	return nil
}

// updateVolume grows a volume.
func (t *tx) updateVolume(will *resource.Volume) error {
	id := resource.VolumeID(will)
	have := t.volume(id)
	if have == nil {
		return drivers.ErrNotFound
	}
	if will.Format != "" && will.Format != have.Format || will.Backing != have.Backing {
		return fmt.Errorf("format and backing volume cannot be changed: %w", drivers.ErrConflict)
	}
	if will.Size < have.Size && will.Size != 0 {
		return fmt.Errorf("size: a volume cannot shrink from %s to %s: %w", have.Size, will.Size, drivers.ErrConflict)
	}
	vol := *have
	vol.Size = max(will.Size, have.Size)
	pool, _, _ := strings.Cut(id, "/")
	if more := vol.use() - have.use(); more > t.free(pool) {
		return fmt.Errorf("pool %s has %s left and this takes %s more: %w", pool, t.free(pool), more, drivers.ErrNoSpace)
	}
	if vol != *have {
		t.putVolume(id, &vol)
	}
	return nil
}

func (t *tx) deleteVolume(id string) error {
	if t.volume(id) == nil {
		return nil
	}
	users := map[string]bool{}
	for name, vm := range t.VMs {
		if vm.usesVolume(id) {
			users["vm "+name] = true
		}
	}
	for other, v := range t.Volumes {
		if v.Backing == id && t.volume(other) != nil {
			users["volume "+other] = true
		}
	}
	if err := inUse(users); err != nil {
		return err
	}
	t.putVolume(id, nil)
	return nil
}

// createSeed makes no ISO, but needs what would be in it. The file's name stands for the content, so one that is there is it.
func (t *tx) createSeed(s *resource.Seed) error {
	for _, secret := range []resource.Secret{s.UserData, s.MetaData, s.NetworkConfig, s.VendorData} {
		if _, ok := secret.Clear(); !ok {
			return fmt.Errorf("the content of the seed is not known: its text was not given again")
		}
	}
	id := resource.VolumeID(s)
	if t.volume(id) != nil {
		return nil
	}
	return t.allocate(id, &Volume{Size: 368 * resource.KiB, Format: "raw"})
}

func (d *driver) createImage(ctx context.Context, img *resource.Image, report func(drivers.Progress)) (drivers.Result, error) {
	if img.From.IsZero() {
		return d.importImage(ctx, img, report)
	}
	return d.makeImage(img)
}

// importImage fetches the bits, without holding the host, and puts them into the pool.
func (d *driver) importImage(ctx context.Context, img *resource.Image, report func(drivers.Progress)) (drivers.Result, error) {
	vol, pin, err := d.bits(ctx, img, report)
	if err != nil {
		return drivers.Result{}, err
	}
	var have *Volume
	err = d.change(func(t *tx) error {
		id := resource.VolumeID(img)
		if have = t.volume(id); have != nil {
			return nil
		}
		have = vol
		return t.allocate(id, vol)
	})
	if err != nil {
		return drivers.Result{}, err
	}
	if img.Format != "" && img.Format != have.Format {
		return drivers.Result{}, fmt.Errorf("format: there is an image of this name in format %s: %w", have.Format, drivers.ErrConflict)
	}
	done := resource.Clone(img)
	done.Format, done.Digest = have.Format, have.Digest
	if have.Digest == vol.Digest {
		done.Pin = pin
	}
	return drivers.Result{Object: done}, nil
}

// bits fetches what the image is to hold, and gives which version of its source that is.
func (d *driver) bits(ctx context.Context, img *resource.Image, report func(drivers.Progress)) (*Volume, *resource.Pin, error) {
	if d.images == nil {
		return madeUpBits(img), nil, nil
	}
	bits, err := d.images.Fetch(ctx, img, report)
	if err != nil {
		return nil, nil, err
	}
	if img.Format != "" && img.Format != bits.Format {
		return nil, nil, fmt.Errorf("format: the bits are %s, not %s: %w", bits.Format, img.Format, drivers.ErrConflict)
	}
	return &Volume{Size: bits.VirtualSize, Format: bits.Format, Digest: bits.Digest, Used: resource.Size(bits.Size)}, bits.Pin, nil
}

// madeUpBits pretends that the source holds a disk of 2 GiB.
func madeUpBits(img *resource.Image) *Volume {
	sum := sha256.Sum256([]byte(img.Source))
	v := &Volume{Size: 2 * resource.GiB, Format: img.Format, Digest: "sha256:" + hex.EncodeToString(sum[:]), Used: 256 * resource.MiB}
	if v.Format == "" && strings.HasSuffix(img.File, ".raw") {
		v.Format = "raw"
	}
	setDefault(&v.Format, "qcow2")
	return v
}
