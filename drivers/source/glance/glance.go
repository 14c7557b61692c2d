// Package glance reads images of OpenStack's image service, by id or name: of a cloud that clouds.yaml or the environment
// tells how to log in to (glance://CLOUD/IMAGE), or of a service that asks for no login (glance+https://HOST/IMAGE).
//
// It writes nothing, and what it knows of logins never gets into a message.
package glance

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"

	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/source"
	web "vmplan.dev/vmplan/drivers/source/http"
)

// The schemes of locations: with a login, and without.
const (
	Scheme      = "glance"
	SchemeHTTP  = "glance+http"
	SchemeHTTPS = "glance+https"
)

// Schemes are all of them.
var Schemes = []string{Scheme, SchemeHTTP, SchemeHTTPS}

// Options say how to speak with clouds.
type Options struct {
	Dir         string        // where clouds.yaml is looked for first: the project's folder
	IdleTimeout time.Duration // how long a server may send nothing; as http.Options has it
}

// Source implements source.Source.
type Source struct {
	options Options

	mu       sync.Mutex
	services map[string]*service // by cloud, or address of the service
}

// New makes a source. It does no I/O.
func New(o Options) *Source { return &Source{options: o, services: map[string]*service{}} }

// Stat implements source.Source: it logs in, finds the image, and refuses one that is of no use.
func (s *Source) Stat(ctx context.Context, location string) (source.Info, error) {
	_, img, err := s.find(ctx, location)
	if err != nil {
		return source.Info{}, err
	}
	return infoOf(location, img), nil
}

// Open implements source.Source. A download goes on where it was while the image is the same.
func (s *Source) Open(ctx context.Context, location string, from source.Position) (io.ReadCloser, source.Info, error) {
	svc, img, err := s.find(ctx, location)
	if err != nil {
		return nil, source.Info{}, err
	}
	info := infoOf(location, img)
	if from.Validator != info.Validator {
		from = source.Position{}
	}
	// The service tells no versions apart here; that the id is the same is enough: the bits of an image never change.
	body, opened, err := svc.bits.Open(ctx, svc.client.ResourceBaseURL()+"images/"+img.ID+"/file", from)
	if err != nil {
		return nil, source.Info{}, err
	}
	info.Offset = opened.Offset
	if info.Size < 0 {
		info.Size = opened.Size
	}
	return body, info, nil
}

func (s *Source) find(ctx context.Context, location string) (*service, *images.Image, error) {
	at, err := parse(location)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", drivers.ErrUnusable, err)
	}
	svc, err := s.service(ctx, at)
	if err != nil {
		return nil, nil, err
	}
	img, err := svc.image(ctx, at.image)
	if err != nil {
		return nil, nil, err
	}
	return svc, img, usable(img)
}

// usable tells whether the image is something that a vm can start from.
func usable(img *images.Image) error {
	switch img.Status {
	case images.ImageStatusActive:
	case images.ImageStatusQueued, images.ImageStatusSaving, images.ImageStatusImporting:
		return source.Retry(fmt.Errorf("image %s has no bits yet: it is %s", img.ID, img.Status), 0)
	default:
		return fmt.Errorf("%w: image %s is %s", drivers.ErrUnusable, img.ID, img.Status)
	}
	switch img.DiskFormat {
	case "qcow2", "raw", "vmdk":
	default:
		return fmt.Errorf("%w: image %s has the disk format %q, and disks are made of qcow2, raw and vmdk. Convert it, and upload it again: qemu-img convert -O qcow2", drivers.ErrUnusable, img.ID, img.DiskFormat)
	}
	switch img.ContainerFormat {
	case "bare", "ova", "compressed":
		return nil
	}
	return fmt.Errorf("%w: image %s has the container format %q, and vmplan takes bare, ova and compressed", drivers.ErrUnusable, img.ID, img.ContainerFormat)
}

// infoOf is what the service says of the image.
func infoOf(location string, img *images.Image) source.Info {
	info := source.Info{Size: img.SizeBytes, Validator: img.ID + " " + img.Checksum}
	if img.SizeBytes == 0 {
		info.Size = -1
	}
	algorithm, _ := img.Properties["os_hash_algo"].(string)
	value, _ := img.Properties["os_hash_value"].(string)
	if algorithm == "sha512" || algorithm == "sha256" {
		info.Digest = algorithm + ":" + strings.ToLower(value)
		info.Validator = img.ID + " " + info.Digest
	}
	if at, err := parse(location); err == nil && at.image != img.ID {
		info.Resolved = at.prefix + img.ID
	}
	switch img.ContainerFormat {
	case "bare":
		info.Contents = source.ContentsDisk
	case "ova":
		info.Contents = source.ContentsOVA
	}
	return info
}

// readBits has the service's bits read through transport, with the token of its login.
func (svc *service) readBits(o Options, transport http.RoundTripper) {
	svc.bits = web.New(web.Options{IdleTimeout: o.IdleTimeout, Transport: &tokenTransport{base: transport, service: svc}})
}
