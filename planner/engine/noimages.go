package engine

import (
	"context"
	"errors"
	"os"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
)

// noImages is a store of images that has none, and gets none: neither from this machine nor over the network.
type noImages struct{}

var errNoImages = errors.New("no images are looked at in a project that is not trusted")

func (noImages) Fetch(context.Context, *resource.Image, func(drivers.Progress)) (drivers.Bits, error) {
	return drivers.Bits{}, errNoImages
}

func (noImages) Latest(context.Context, *resource.Image, func(drivers.Progress)) (resource.Pin, error) {
	return resource.Pin{}, errNoImages
}

// Probe implements ImageStore: how much there is to download is not known.
func (noImages) Probe(context.Context, *resource.Image) (int64, bool, error) { return 0, false, nil }

func (noImages) Newer(context.Context, *resource.Image) (bool, error) { return false, nil }
func (noImages) Imported(*resource.Image) (resource.Pin, bool)        { return resource.Pin{}, false }
func (noImages) Locked(*resource.Image) (string, bool)                { return "", false }
func (noImages) Need(string, string, []string) error                  { return nil }
func (noImages) Cached() ([]drivers.CachedBits, error)                { return nil, nil }
func (noImages) Drop(string) error                                    { return errNoImages }
func (noImages) Sweep() error                                         { return nil }
func (noImages) Held(string) (drivers.Bits, bool)                     { return drivers.Bits{}, false }
func (noImages) Scratch() (*os.File, func() error, error)             { return nil, nil, errNoImages }
