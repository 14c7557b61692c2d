package oci

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"unicode"

	"github.com/klauspost/compress/gzip"
	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go/v1"

	"vmplan.dev/vmplan/drivers"
)

// An appliance is an index with a manifest for its files, and one for each of its disks: containerDisks, which can be used
// without the appliance.
const (
	applianceType = "application/vnd.vmplan.appliance.v1"
	filesType     = "application/vnd.vmplan.appliance.files.v1.tar+gzip"
	// diskName is the annotation of a disk's manifest in the index.
	diskName = "dev.vmplan.disk"
)

const (
	maxFiles     = 1000
	maxFilesSize = 64 << 20 // of all files, unpacked
)

// PushAppliance puts a parcel into a registry under a tag, and gives the location that names just that. Its disks are pushed
// as PushImage does it; the tag is written last.
func (s *Source) PushAppliance(ctx context.Context, location string, p drivers.Parcel, report func(drivers.Progress)) (string, error) {
	c, err := s.connectTo(ctx, location)
	if err != nil {
		return "", err
	}
	files, err := packFiles(p.Files)
	if err != nil {
		return "", err
	}
	index := specs.Index{MediaType: specs.MediaTypeImageIndex, ArtifactType: applianceType}
	index.SchemaVersion = 2
	about, err := c.pushFiles(ctx, bytesBlob(filesType, files), report)
	if err != nil {
		return "", err
	}
	index.Manifests = append(index.Manifests, about)
	for _, name := range slices.Sorted(maps.Keys(p.Disks)) {
		image, err := c.pushDisk(ctx, p.Disks[name], report)
		if err == nil {
			err = c.putManifest(ctx, image.Digest.String(), image)
		}
		if err != nil {
			return "", fmt.Errorf("disk %s: %w", name, err)
		}
		image.Annotations = map[string]string{diskName: name}
		index.Manifests = append(index.Manifests, image.Descriptor)
	}
	top, err := newDocument(index.MediaType, index)
	if err != nil {
		return "", err
	}
	return c.ref.at(top.Digest.String()), c.putManifest(ctx, c.ref.Reference.Reference, top)
}

// pushFiles puts the files of an appliance into the repository, with a manifest that has no tag.
func (c *client) pushFiles(ctx context.Context, files *blob, report func(drivers.Progress)) (specs.Descriptor, error) {
	empty := bytesBlob(specs.MediaTypeEmptyJSON, []byte("{}"))
	for _, b := range []*blob{files, empty} {
		if err := c.upload(ctx, b, report); err != nil {
			return specs.Descriptor{}, err
		}
	}
	m := specs.Manifest{MediaType: specs.MediaTypeImageManifest, ArtifactType: applianceType, Config: empty.Descriptor, Layers: []specs.Descriptor{files.Descriptor}}
	m.SchemaVersion = 2
	about, err := newDocument(m.MediaType, m)
	if err != nil {
		return specs.Descriptor{}, err
	}
	about.ArtifactType = applianceType
	return about.Descriptor, c.putManifest(ctx, about.Digest.String(), about)
}

// PullAppliance reads what PushAppliance wrote, or somebody who wants to do harm. Of the disks it gives their locations.
func (s *Source) PullAppliance(ctx context.Context, location string) (drivers.Parcel, error) {
	p := drivers.Parcel{DiskLocations: map[string]string{}}
	ref, err := parse(location)
	if err != nil {
		return p, err
	}
	c, err := s.connect(ctx, ref)
	if err != nil {
		return p, err
	}
	text, at, err := c.manifest(ctx, ref.Reference.Reference)
	if err != nil {
		return p, err
	}
	var index specs.Index
	if err := json.Unmarshal(text, &index); err != nil || index.ArtifactType != applianceType || len(index.Manifests) > maxManifests {
		return p, errors.New("it is not an appliance; to pull an image: vmplan image pull")
	}
	p.Location = ref.at(at.Digest.String())
	for _, d := range index.Manifests {
		if err := d.Digest.Validate(); err != nil {
			return p, fmt.Errorf("index %s has a manifest with the digest %q, which cannot be", at.Digest, d.Digest)
		}
		switch name := d.Annotations[diskName]; {
		case name != "":
			p.DiskLocations[name] = ref.at(d.Digest.String())
		case d.ArtifactType == applianceType && p.Files == nil:
			if p.Files, err = c.files(ctx, d.Digest); err != nil {
				return p, err
			}
		}
	}
	if p.Files == nil {
		return p, errors.New("it has no files: it is no appliance")
	}
	return p, nil
}

// files reads the files of the appliance whose manifest has the digest.
func (c *client) files(ctx context.Context, at digest.Digest) (map[string][]byte, error) {
	text, _, err := c.manifest(ctx, at.String())
	if err != nil {
		return nil, err
	}
	var m specs.Manifest
	if err := json.Unmarshal(text, &m); err != nil || len(m.Layers) != 1 || m.Layers[0].MediaType != filesType {
		return nil, fmt.Errorf("manifest %s is none of an appliance's files", at)
	}
	layer := m.Layers[0]
	if err := layer.Digest.Validate(); err != nil || layer.Size < 0 || layer.Size > maxFilesSize {
		return nil, fmt.Errorf("the appliance has files of %d bytes with the digest %q, which cannot be", layer.Size, layer.Digest)
	}
	resp, err := c.request(ctx, "GET", "blobs/"+layer.Digest.String(), nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	packed, err := io.ReadAll(io.LimitReader(resp.Body, layer.Size+1))
	if err != nil {
		return nil, c.explain(ctx, err)
	}
	if got := layer.Digest.Algorithm().FromBytes(packed); got != layer.Digest {
		return nil, fmt.Errorf("the appliance's files are not what their digest %s says: they were changed on the way or in the registry", layer.Digest)
	}
	return unpackFiles(packed)
}

// packFiles makes an archive that says nothing of the machine it was made on: the same files make the same bytes.
func packFiles(files map[string][]byte) ([]byte, error) {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	w := tar.NewWriter(z)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := checkName(name); err != nil {
			return nil, err
		}
		h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(files[name])), Format: tar.FormatPAX}
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := w.Write(files[name]); err != nil {
			return nil, err
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// unpackFiles reads an archive from outside: plain files with plain names, and not too much of them.
func unpackFiles(packed []byte) (map[string][]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("the appliance's files are damaged: %w", err)
	}
	in := tar.NewReader(io.LimitReader(z, 2*maxFilesSize))
	files, folded := map[string][]byte{}, map[string]bool{}
	for left := int64(maxFilesSize); ; {
		h, err := in.Next()
		if err == io.EOF {
			return files, nil
		}
		if err != nil {
			return nil, fmt.Errorf("the appliance's files are damaged: %w", err)
		}
		if err := checkName(h.Name); err != nil {
			return nil, err
		}
		switch {
		case h.Typeflag != tar.TypeReg:
			return nil, fmt.Errorf("the appliance has %q, which is no plain file", h.Name)
		case folded[strings.ToLower(h.Name)]:
			return nil, fmt.Errorf("the appliance has %q twice", h.Name)
		case len(files) == maxFiles:
			return nil, fmt.Errorf("the appliance has more than %d files", maxFiles)
		case h.Size > left:
			return nil, fmt.Errorf("the appliance's files are larger than %d MiB", maxFilesSize>>20)
		}
		left -= h.Size
		if files[h.Name], err = io.ReadAll(io.LimitReader(in, h.Size)); err != nil {
			return nil, fmt.Errorf("the appliance's files are damaged: %w", err)
		}
		folded[strings.ToLower(h.Name)] = true
	}
}

// checkName refuses names of files that lead out of a folder on any system, that hide, or that a terminal would not show.
func checkName(name string) error {
	bad := name == "" || len(name) > 255 || path.IsAbs(name) || path.Clean(name) != name || strings.ContainsAny(name, `\:`) ||
		strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) })
	for part := range strings.SplitSeq(name, "/") {
		bad = bad || strings.HasPrefix(part, ".")
	}
	if bad {
		return fmt.Errorf("%q is no name for a file of an appliance: such names are relative, without .. and without hidden parts", name)
	}
	return nil
}
