package oci

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go/v1"

	"vmplan.dev/vmplan/drivers/source"
)

const (
	maxManifest  = 4 << 20 // bytes; real ones have a few KB
	maxNesting   = 4       // indexes within indexes
	maxManifests = 512     // that an index may list
	maxLayers    = 512
)

// accepted are the kinds of manifests that are understood.
var accepted = strings.Join([]string{specs.MediaTypeImageManifest, specs.MediaTypeImageIndex, dockerManifest, dockerIndex}, ", ")

const (
	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	dockerIndex    = "application/vnd.docker.distribution.manifest.list.v2+json"
	dockerConfig   = "application/vnd.docker.container.image.v1+json"
	// attestation marks what is in an index beside the images, about them.
	attestation = "vnd.docker.reference.type"
)

// manifest is what a reference leads to.
type manifest struct {
	specs.Manifest
	top digest.Digest // of what the reference names: the manifest's own, or that of the index it was found in
}

// layer is one of a manifest's blobs.
type layer struct {
	specs.Descriptor
	contents source.Contents
}

// resolve reads the manifest that the reference names, that for arch when there are several.
func (c *client) resolve(ctx context.Context, arch string) (*manifest, error) {
	var m manifest
	name := c.ref.Reference.Reference
	for range maxNesting {
		text, at, err := c.manifest(ctx, name)
		if err != nil {
			return nil, err
		}
		if m.top == "" {
			m.top = at.Digest
		}
		var index specs.Index
		switch at.MediaType {
		case specs.MediaTypeImageManifest, dockerManifest:
			if err := json.Unmarshal(text, &m.Manifest); err != nil {
				return nil, fmt.Errorf("manifest %s is damaged: %w", at.Digest, err)
			}
			return &m, nil
		case specs.MediaTypeImageIndex, dockerIndex:
			if err := json.Unmarshal(text, &index); err != nil {
				return nil, fmt.Errorf("index %s is damaged: %w", at.Digest, err)
			}
		default:
			return nil, fmt.Errorf("it is a %q, which is no image", at.MediaType)
		}
		next, err := choose(index.Manifests, arch)
		if err != nil {
			return nil, err
		}
		if err := next.Digest.Validate(); err != nil {
			return nil, fmt.Errorf("index %s has a manifest with the digest %q, which cannot be", at.Digest, next.Digest)
		}
		name = next.Digest.String()
	}
	return nil, fmt.Errorf("it is an index of indexes, more than %d deep", maxNesting)
}

// manifest reads one manifest or index, and compares it with its digest.
func (c *client) manifest(ctx context.Context, name string) ([]byte, specs.Descriptor, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, 2*silence, source.Retry(errSilent, 0))
	defer cancel()
	resp, err := c.request(ctx, http.MethodGet, "manifests/"+name, http.Header{"Accept": {accepted}})
	if err != nil {
		return nil, specs.Descriptor{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxManifest+1))
	if err != nil {
		return nil, specs.Descriptor{}, c.explain(ctx, err)
	}
	if len(text) > maxManifest {
		return nil, specs.Descriptor{}, fmt.Errorf("the manifest is larger than %d MiB", maxManifest>>20)
	}
	got, want := digest.FromBytes(text), resp.Header.Get("Docker-Content-Digest")
	if asked, err := digest.Parse(name); err == nil {
		want = name
		got = asked.Algorithm().FromBytes(text)
	}
	if want != "" && want != got.String() {
		return nil, specs.Descriptor{}, fmt.Errorf("the manifest is not what its digest %s says: it was changed on the way or in the registry", want)
	}
	var self struct {
		MediaType string `json:"mediaType"`
	}
	if err := json.Unmarshal(text, &self); err != nil {
		return nil, specs.Descriptor{}, fmt.Errorf("manifest %s is damaged: %w", got, err)
	}
	if self.MediaType == "" {
		self.MediaType = resp.Header.Get("Content-Type")
	}
	return text, specs.Descriptor{MediaType: self.MediaType, Digest: got, Size: int64(len(text))}, nil
}

// choose picks the manifest of an architecture from an index.
func choose(manifests []specs.Descriptor, arch string) (specs.Descriptor, error) {
	if len(manifests) > maxManifests {
		return specs.Descriptor{}, fmt.Errorf("it is an index of %d manifests; %d are the most", len(manifests), maxManifests)
	}
	var found []specs.Descriptor
	var others []string
	for _, m := range manifests {
		switch p := m.Platform; {
		case m.Annotations[attestation] != "":
		case p == nil:
			found = append(found, m)
		case ociArch(p.Architecture) == arch && (p.OS == "linux" || p.OS == ""):
			found = append([]specs.Descriptor{m}, found...)
		default:
			others = append(others, strings.Trim(p.OS+"/"+p.Architecture, "/"))
		}
	}
	if qemu := slices.IndexFunc(found, func(m specs.Descriptor) bool { return m.Annotations["disktype"] == "qemu" }); qemu >= 0 {
		return found[qemu], nil // Podman's machines come as one disk for each hypervisor
	}
	if len(found) == 0 {
		slices.Sort(others)
		return specs.Descriptor{}, fmt.Errorf("it has nothing for %s, there are: %s; to take one of them append ?arch=ARCH to the location",
			arch, strings.Join(slices.Compact(others), ", "))
	}
	return found[0], nil
}

// disk picks the layer with the disk: the one with the title, or the one whose title ends as disks' names do, or the
// largest. Of several equal ones the last counts, as it would in a container.
func (m *manifest) disk(title string) (*layer, error) {
	if len(m.Layers) > maxLayers {
		return nil, fmt.Errorf("it has %d layers; %d are the most", len(m.Layers), maxLayers)
	}
	kind := source.ContentsUnknown
	if m.Config.MediaType == specs.MediaTypeImageConfig || m.Config.MediaType == dockerConfig {
		kind = source.ContentsContainerDisk
	}
	var largest *layer
	var titled []layer
	for _, d := range m.Layers {
		if err := d.Digest.Validate(); err != nil || d.Size < 0 {
			return nil, fmt.Errorf("the manifest has a layer of %d bytes with the digest %q, which cannot be", d.Size, d.Digest)
		}
		if strings.HasPrefix(d.MediaType, "application/vnd.cirruslabs.tart.disk") {
			return nil, errors.New("it is a machine of Tart, whose disk is in pieces that only macOS can put together")
		}
		if len(d.URLs) > 0 {
			return nil, errors.New("it has a layer that is not in the registry but elsewhere (a foreign layer); those are not got")
		}
		l := layer{d, kind}
		name := path.Base(d.Annotations[specs.AnnotationTitle])
		if title != "" && name == title {
			return &l, nil
		}
		if kind == source.ContentsUnknown && isDiskName(name) {
			titled = append(titled, l)
		}
		if largest == nil || d.Size >= largest.Size {
			largest = &l
		}
	}
	switch {
	case largest == nil:
		return nil, errors.New("it has no layers: it is no image of a disk")
	case title != "" && kind == source.ContentsUnknown:
		return nil, fmt.Errorf("it has no file %q", title)
	case len(titled) > 1 && title == "":
		return nil, fmt.Errorf("it has several disks, choose one by appending #NAME to the location: %s", titles(titled))
	case len(titled) == 1:
		return &titled[0], nil
	}
	return largest, nil
}

func titles(layers []layer) string {
	var names []string
	for _, l := range layers {
		names = append(names, path.Base(l.Annotations[specs.AnnotationTitle]))
	}
	return strings.Join(names, ", ")
}

// isDiskName tells whether a file's name ends as those of disks do.
func isDiskName(name string) bool {
	name = strings.ToLower(name)
	for _, packed := range []string{".gz", ".xz", ".zst", ".bz2"} {
		name = strings.TrimSuffix(name, packed)
	}
	return slices.Contains([]string{".qcow2", ".raw", ".img", ".vmdk", ".ova"}, path.Ext(name))
}
