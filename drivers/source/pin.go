package source

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
)

// place is where an image is, as the cache knows it.
type place struct {
	location  string // as the files say it
	pick      string // which of several disks there is wanted
	anonymous bool   // what is got from there with a login is none of its business
}

// errand is what is to be got for an image.
type errand struct {
	place
	addr    resource.Addr
	source  Source
	alone   bool   // the file is one disk of an appliance, and no archive itself
	address string // where it is got from: that of the pinned version, if it has one of its own
	want    sum    // of the file; zero: any will do
	pinned  bool   // want is a pin's
	current bool   // what the cache has will not do when the source cannot be asked
}

// errand tells what to get for the image: the version that it is held to, or else the newest one.
func (s *Store) errand(ctx context.Context, img *resource.Image, tries int) (errand, error) {
	pin := img.Pin
	if pin == nil {
		return s.newest(ctx, img, tries)
	}
	e, err := s.errandTo(img)
	if err != nil {
		return e, err
	}
	if e.want, _, err = parseChecksum(pin.Digest); err != nil {
		return e, fmt.Errorf("lock file: %w", err)
	}
	e.pinned = true
	if pin.Resolved == "" {
		return e, nil
	}
	e.address = pin.Resolved
	e.source, err = s.sourceOf(e.place, e.address)
	return e, err
}

// newest is the errand to get what the source has now, of the image's checksum.
func (s *Store) newest(ctx context.Context, img *resource.Image, tries int) (errand, error) {
	e, err := s.errandTo(img)
	if err != nil {
		return e, err
	}
	checksum := img.ChecksumLocation()
	if checksum == "" {
		_, checksum, _ = s.options.Named(img.Source)
	}
	e.want, err = s.expected(ctx, checksum, e.location, tries)
	return e, err
}

func (s *Store) errandTo(img *resource.Image) (e errand, err error) {
	e = errand{place: s.placeOf(img), addr: img.Addr}
	e.address = e.location
	e.source, err = s.sourceOf(e.place, e.address)
	return e, err
}

// isLocal tells whether a place is a file of this machine.
func (p place) isLocal() bool {
	scheme, _, isURL := strings.Cut(p.location, "://")
	return !isURL || scheme == "file"
}

// sourceOf gives the source of an address that a place leads to.
func (s *Store) sourceOf(at place, address string) (Source, error) {
	if at.anonymous {
		return s.options.Strangers.find(address)
	}
	return s.options.Sources.find(address)
}

// moved words that the source no longer has what it is held to.
func (e errand) moved(err error) error {
	var wrong *checksumError
	if !e.pinned || !errors.As(err, &wrong) {
		return err
	}
	return fmt.Errorf("%w: locked is %s, its source has %s now. To take that: vmplan image update %s", drivers.ErrMoved, wrong.want, wrong.got, e.addr)
}

// promised is the digest that the source promises, when it is of the kind that is wanted; else zero.
func (e errand) promised(info Info) sum {
	if got, err := info.digest(); err == nil && got.Algo == e.want.Algo {
		return got
	}
	return sum{}
}

// otherThanPinned tells whether it is certain that the source has another version.
func (e errand) otherThanPinned(info Info) bool {
	got := e.promised(info)
	return e.pinned && got != sum{} && got != e.want
}

// Newer tells whether the image's source has another version than the one that it is held to. It takes a few seconds at
// most; an error tells why nobody knows.
func (s *Store) Newer(ctx context.Context, img *resource.Image) (bool, error) {
	pin := img.Pin
	if pin == nil {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	e, err := s.newest(ctx, img, 1)
	if err != nil {
		return false, err
	}
	algo, _, _ := strings.Cut(pin.Digest, ":")
	if e.want.Algo == algo {
		return e.want.String() != pin.Digest, nil
	}
	info, err := e.source.Stat(ctx, e.address)
	if err != nil {
		return false, err
	}
	digest, err := info.digest()
	switch {
	case err != nil:
		return false, err
	case digest.Algo == algo:
		return digest.String() != pin.Digest, nil
	case info.Resolved != "" && pin.Resolved != "":
		return info.Resolved != pin.Resolved, nil
	}
	return info.Validator != "" && pin.Validator != "" && info.Validator != pin.Validator, nil
}

// Latest gets the newest version of an image, whatever it is held to, and gives its pin, of revision 0.
func (s *Store) Latest(ctx context.Context, img *resource.Image, report func(drivers.Progress)) (resource.Pin, error) {
	e, err := s.newest(ctx, img, s.limits.tries)
	var v *version
	if err == nil {
		e.current = true
		v, _, err = s.run(ctx, e, newMeter(report))
	}
	if err != nil {
		return resource.Pin{}, fmt.Errorf("%s: get %s: %w", img.Addr, Display(img.Source), err)
	}
	return v.pin(), nil
}

// pinOf is the pin of the version that was got for the image: the image's own, if it has one. It is nil for a file of this
// machine, which may change at any time.
func (e errand) pinOf(v *version, img *resource.Image) *resource.Pin {
	if e.isLocal() {
		return nil
	}
	p := v.pin()
	if img.Pin != nil {
		p = *img.Pin
	}
	return &p
}

// pin is the version as a lock file says it: by the strongest sum that it was held to.
func (v *version) pin() resource.Pin {
	p := resource.Pin{Resolved: v.Resolved, Validator: v.Validator}
	for _, d := range digits {
		if number := v.Sums[d.algo]; number != "" {
			p.Digest = sum{d.algo, number}.String()
		}
	}
	return p
}
