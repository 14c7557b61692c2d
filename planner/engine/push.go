package engine

import (
	"context"
	"errors"
	"fmt"

	"vmplan.dev/vmplan/config"
	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/state"
)

// Registry puts images and appliances where others get them from.
type Registry interface {
	// PushImage puts a disk under location (a tag's), free of where it comes from: the same disk is the same image. What is
	// there already is not sent again, and a push that fails leaves the tag as it was. It gives the location of just that image.
	PushImage(ctx context.Context, location string, disk drivers.Bits, report func(drivers.Progress)) (string, error)
	// PushAppliance is PushImage for a parcel, with all its disks.
	PushAppliance(ctx context.Context, location string, p drivers.Parcel, report func(drivers.Progress)) (string, error)
	// PullAppliance reads a parcel, which may come from anybody: the names of its files are safe to write, what is in them is
	// not looked at. Of its disks it gives where they are.
	PullAppliance(ctx context.Context, location string) (drivers.Parcel, error)
}

// PushImage puts what a recorded image or volume (see RecordedDisk) holds under location, and gives where just that is. Of a volume that
// a guest writes to the error is drivers.ErrInUse. Connect must have been called.
func (p *Project) PushImage(ctx context.Context, r resource.Resource, location string, report func(drivers.Progress)) (string, error) {
	bits, release, err := p.bitsOf(ctx, r, report)
	if err != nil {
		return "", err
	}
	at, err := p.opts.Registry.PushImage(ctx, location, bits, report)
	return at, errors.Join(err, release())
}

// RecordedDisk finds the image or volume that is recorded under addr.
func (p *Project) RecordedDisk(addr resource.Addr) (resource.Resource, error) {
	rec := p.state.Records[addr]
	switch {
	case rec == nil:
		return nil, fmt.Errorf("%s is not in the state: see vmplan state list, or create it with vmplan apply", addr)
	case rec.Status != state.StatusReady:
		return nil, fmt.Errorf("%s is not complete: another apply goes on with it", addr)
	case resource.VolumeID(rec.Object) == "" || rec.Object.Kind() != resource.KindImage && rec.Object.Kind() != resource.KindVolume:
		return nil, fmt.Errorf("%s is no image and no volume; a vm's disks are %s.disk.NAME", addr, addr.Owner())
	}
	return rec.Object, nil
}

// bitsOf gives a file with what an image or a volume holds: the cache's, or one read off the host, that release removes.
func (p *Project) bitsOf(ctx context.Context, r resource.Resource, report func(drivers.Progress)) (bits drivers.Bits, release func() error, err error) {
	if img, ok := r.(*resource.Image); ok {
		if bits, ok := p.images.Held(img.Digest); ok {
			return bits, func() error { return nil }, nil
		}
	}
	host := r.Base().Host
	reader, err := p.Able(host, drivers.AbilityReadVolumes)
	if err != nil {
		return bits, nil, err
	}
	f, release, err := p.images.Scratch()
	if err != nil {
		return bits, nil, err
	}
	content, err := reader.ReadVolume(ctx, resource.VolumeID(r), f, report)
	info, statErr := f.Stat()
	if err := errors.Join(err, statErr, f.Close()); err != nil {
		return bits, nil, errors.Join(fmt.Errorf("host.%s: %w", host, err), release())
	}
	return drivers.Bits{Path: f.Name(), Format: content.Format, Size: info.Size(), VirtualSize: content.VirtualSize}, release, nil
}

// PushAppliance puts an appliance that Files().Pack gave under location, with all its disks, and gives where just that is. Connect must
// have been called.
func (p *Project) PushAppliance(ctx context.Context, packed *config.Parcel, location string, report func(drivers.Progress)) (at string, err error) {
	parcel := drivers.Parcel{Files: packed.Files, Disks: map[string]drivers.Bits{}}
	for name, addr := range packed.Disks {
		bits, release, err := p.diskOf(ctx, addr, report)
		if err != nil {
			return "", err
		}
		defer func() { err = errors.Join(err, release()) }()
		parcel.Disks[name] = bits
	}
	return p.opts.Registry.PushAppliance(ctx, location, parcel, report)
}

// diskOf gives the bits of an image: of what was applied, or what its source has when it never was.
func (p *Project) diskOf(ctx context.Context, addr resource.Addr, report func(drivers.Progress)) (drivers.Bits, func() error, error) {
	if p.state.Records[addr] != nil {
		r, err := p.RecordedDisk(addr)
		if err != nil {
			return drivers.Bits{}, nil, err
		}
		return p.bitsOf(ctx, r, report)
	}
	img, ok := p.config.Set.Get(addr).(*resource.Image)
	if !ok || img.Source == "" {
		return drivers.Bits{}, nil, fmt.Errorf("%s has no bits yet: create it with vmplan apply", addr)
	}
	bits, err := p.images.Fetch(ctx, img, report)
	return bits, func() error { return nil }, err
}
