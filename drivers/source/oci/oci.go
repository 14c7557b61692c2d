// Package oci keeps images in OCI registries, where containers are kept: it reads them as a source of bits, and puts them
// there. An image is a KubeVirt containerDisk (a container image whose layer is a tar archive with the disk in disk/) or an
// artifact (the disk itself as a layer, as `oras push` makes it).
//
// It trusts no registry: what it says has limits, digests are compared, it cannot send us to servers nearer to us than itself,
// and logins go to it alone. Logins are those of Docker and Podman; they are read, never written, and are in no message.
package oci

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"

	"vmplan.dev/vmplan/drivers/source"
)

// Options say how to speak with registries. The zero Options are right for all but special surroundings.
type Options struct {
	IdleTimeout time.Duration       // how long a registry may send nothing in the middle of bits; default 30s
	Getenv      func(string) string // where logins are looked for; default the process's environment
	// Anonymous is for locations that may come from anybody: no login is used, and only public addresses are reached.
	Anonymous bool
}

// Source implements source.Source for locations oci://… and oci+http://….
type Source struct {
	idle       time.Duration
	loginFiles []string
	anonymous  bool
	network    network
}

// New makes a source. It does no I/O.
func New(o Options) *Source {
	if o.Getenv == nil {
		o.Getenv = os.Getenv
	}
	s := &Source{idle: o.IdleTimeout, anonymous: o.Anonymous, network: realNetwork()}
	if !o.Anonymous {
		s.loginFiles = loginFiles(o.Getenv)
	}
	return s
}

// Stat implements source.Source: it reads manifests, not bits.
func (s *Source) Stat(ctx context.Context, location string) (source.Info, error) {
	_, _, info, err := s.find(ctx, location)
	return info, err
}

// Open implements source.Source. A layer never changes, so it can be continued as long as it is the same one.
func (s *Source) Open(ctx context.Context, location string, from source.Position) (io.ReadCloser, source.Info, error) {
	c, layer, info, err := s.find(ctx, location)
	if err != nil {
		return nil, source.Info{}, err
	}
	at := source.Position{}
	if from.Validator == info.Validator {
		at.Offset = from.Offset
	}
	body, got, err := c.blobs.Open(c.withScope(ctx), c.base+"blobs/"+layer.Digest.String(), at)
	if err != nil {
		return nil, source.Info{}, err
	}
	if got.Size >= 0 && got.Size != info.Size {
		body.Close()
		return nil, source.Info{}, fmt.Errorf("the registry has %d bytes of layer %s, of which its manifest says %d", got.Size, layer.Digest, info.Size)
	}
	info.Offset = got.Offset
	return body, info, nil
}

// find follows a location to the layer that holds the disk.
func (s *Source) find(ctx context.Context, location string) (*client, *layer, source.Info, error) {
	ref, err := parse(location)
	if err != nil {
		return nil, nil, source.Info{}, err
	}
	c, err := s.connect(ctx, ref)
	if err != nil {
		return nil, nil, source.Info{}, err
	}
	arch := ref.arch
	if arch == "" {
		arch = runtime.GOARCH
	}
	m, err := c.resolve(ctx, arch)
	if err != nil {
		return nil, nil, source.Info{}, err
	}
	layer, err := m.disk(ref.title)
	if err != nil {
		return nil, nil, source.Info{}, err
	}
	info := source.Info{
		Size: layer.Size, Validator: layer.Digest.String(), Digest: layer.Digest.String(), Contents: layer.contents,
	}
	if ref.ValidateReferenceAsDigest() != nil {
		info.Resolved = ref.at(m.top.String())
	}
	return c, layer, info, nil
}
