package oci

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"

	"github.com/klauspost/compress/gzip"
	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go/v1"

	"vmplan.dev/vmplan/drivers"
)

// kubevirt is the user that KubeVirt runs virtual machines as (Debian's and Red Hat's qemu): it has to be able to read the disk.
const kubevirt = 107

// PushImage puts a disk into a registry as a containerDisk, a container image that KubeVirt runs as it is, and gives the
// location that names just that image. The image says nothing of where the disk comes from, and the same disk makes the same
// image. What the registry has already is not sent again; the tag is written last, so that it never names something that is
// not complete. location is a tag's; its ?arch= says what the disk is for, by default this machine's architecture.
func (s *Source) PushImage(ctx context.Context, location string, disk drivers.Bits, report func(drivers.Progress)) (string, error) {
	c, err := s.connectTo(ctx, location)
	if err != nil {
		return "", err
	}
	image, err := c.pushDisk(ctx, disk, report)
	if err != nil {
		return "", err
	}
	return c.ref.at(image.Digest.String()), c.putManifest(ctx, c.ref.Reference.Reference, image)
}

// pushDisk puts all of a containerDisk into the repository but its manifest, which it gives.
func (c *client) pushDisk(ctx context.Context, disk drivers.Bits, report func(drivers.Progress)) (document, error) {
	arch := c.ref.arch
	if arch == "" {
		arch = runtime.GOARCH
	}
	layer, content, err := diskLayer(ctx, disk, report)
	if err != nil {
		return document{}, fmt.Errorf("read %s: %w", disk.Path, err)
	}
	config := specs.Image{Platform: specs.Platform{Architecture: arch, OS: "linux"}}
	config.RootFS = specs.RootFS{Type: "layers", DiffIDs: []digest.Digest{content}}
	config.History = []specs.History{{CreatedBy: "vmplan image push"}}
	about, err := newDocument(specs.MediaTypeImageConfig, config)
	if err != nil {
		return document{}, err
	}
	for _, b := range []*blob{layer, about.blob()} {
		if err := c.upload(ctx, b, report); err != nil {
			return document{}, err
		}
	}
	m := specs.Manifest{MediaType: specs.MediaTypeImageManifest, Config: about.Descriptor, Layers: []specs.Descriptor{layer.Descriptor}}
	m.SchemaVersion = 2
	image, err := newDocument(m.MediaType, m)
	image.Platform = &config.Platform
	return image, err
}

// document is a small JSON text of a registry: a manifest, an index, a configuration.
type document struct {
	specs.Descriptor
	text []byte
}

func newDocument(mediaType string, v any) (document, error) {
	text, err := json.Marshal(v)
	d := specs.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(text), Size: int64(len(text))}
	return document{d, text}, err
}

func (d document) blob() *blob { return bytesBlob(d.MediaType, d.text) }

// connectTo connects to where something is to be pushed to.
func (s *Source) connectTo(ctx context.Context, location string) (*client, error) {
	ref, err := parse(location)
	switch {
	case err != nil:
		return nil, err
	case ref.ValidateReferenceAsDigest() == nil:
		return nil, errors.New("name a tag (oci://HOST/REPOSITORY:TAG): a digest follows from what is pushed")
	case ref.title != "":
		return nil, errors.New("leave out what follows #: an image has one disk")
	}
	ref.push = true
	return s.connect(ctx, ref)
}

// blob is something to upload, that can be read several times.
type blob struct {
	specs.Descriptor
	open func() (io.ReadCloser, error)
}

func bytesBlob(mediaType string, data []byte) *blob {
	return &blob{
		specs.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))},
		func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil },
	}
}

// diskLayer makes the layer of a containerDisk: a tar archive with the disk in disk/. It also gives the digest of the archive
// itself. A raw disk is mostly zeros, so its layer is compressed; qcow2 leaves them out by itself.
func diskLayer(ctx context.Context, disk drivers.Bits, report func(drivers.Progress)) (*blob, digest.Digest, error) {
	name, mediaType, packed := "disk.qcow2", specs.MediaTypeImageLayer, disk.Format == "raw"
	if packed {
		name, mediaType = "disk.img", specs.MediaTypeImageLayerGzip
	}
	head, tail, err := tarAround(name, disk.Size)
	if err != nil {
		return nil, "", err
	}
	archive := func() (io.ReadCloser, error) {
		f, err := os.Open(disk.Path)
		if err != nil {
			return nil, err
		}
		return closing{io.MultiReader(bytes.NewReader(head), f, bytes.NewReader(tail)), f.Close}, nil
	}
	content, size, err := sumUp(ctx, archive, int64(len(head)+len(tail))+disk.Size, report)
	if err != nil {
		return nil, "", err
	}
	b := &blob{specs.Descriptor{MediaType: mediaType, Digest: content, Size: size}, archive}
	if packed {
		b.open = func() (io.ReadCloser, error) { return pack(archive) }
		b.Digest, b.Size, err = sumUp(ctx, b.open, 0, report)
	}
	return b, content, err
}

// tarAround is what stands in the archive before and after the disk. It holds no time and no names of users.
func tarAround(name string, size int64) (head, tail []byte, err error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	dir := &tar.Header{Typeflag: tar.TypeDir, Name: "disk/", Mode: 0o555, Uid: kubevirt, Gid: kubevirt, Format: tar.FormatPAX}
	file := &tar.Header{Typeflag: tar.TypeReg, Name: "disk/" + name, Mode: 0o440, Uid: kubevirt, Gid: kubevirt, Size: size, Format: tar.FormatPAX}
	if err := w.WriteHeader(dir); err != nil {
		return nil, nil, err
	}
	if err := w.WriteHeader(file); err != nil {
		return nil, nil, err
	}
	const block = 512 // of tar: files are filled up to it, and two empty ones are the end
	padding := (block - size%block) % block
	return b.Bytes(), make([]byte, padding+2*block), nil
}

// pack compresses an archive while it is read. The same archive becomes the same bytes.
func pack(archive func() (io.ReadCloser, error)) (io.ReadCloser, error) {
	in, err := archive()
	if err != nil {
		return nil, err
	}
	r, w := io.Pipe()
	go func() {
		z, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
		if err == nil {
			_, err = io.Copy(z, in)
		}
		if err == nil {
			err = z.Close()
		}
		w.CloseWithError(errors.Join(err, in.Close()))
	}()
	return r, nil
}

// sumUp reads all of a blob for its digest and size. total is how much that will be, 0 when that is not known.
func sumUp(ctx context.Context, open func() (io.ReadCloser, error), total int64, report func(drivers.Progress)) (digest.Digest, int64, error) {
	in, err := open()
	if err != nil {
		return "", 0, err
	}
	defer in.Close()
	sum := digest.Canonical.Digester()
	n, err := io.CopyBuffer(struct{ io.Writer }{sum.Hash()}, &metered{ctx: ctx, r: in, report: report, phase: "checking", total: total}, make([]byte, 1<<20))
	if err == nil && total > 0 && n != total {
		err = errors.New("the file was changed while it was read")
	}
	return sum.Digest(), n, err
}

type closing struct {
	io.Reader
	close func() error
}

func (c closing) Close() error { return c.close() }

// metered reports how much was read, and ends with its context.
type metered struct {
	ctx         context.Context
	r           io.Reader
	report      func(drivers.Progress)
	phase       string
	done, total int64
	alive       func() // called at each read; may be nil
}

func (m *metered) Read(p []byte) (int, error) {
	if m.ctx.Err() != nil {
		return 0, context.Cause(m.ctx)
	}
	if m.alive != nil {
		m.alive()
	}
	n, err := m.r.Read(p)
	m.done += int64(n)
	if m.report != nil {
		m.report(drivers.Progress{Phase: m.phase, Done: m.done, Total: m.total})
	}
	return n, err
}
