package ocitest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"testing"

	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
)

// repository opens a repository, logged in as the first of the registry's users.
func (r *Registry) repository(t testing.TB, name string) *remote.Repository {
	t.Helper()
	repo, err := remote.NewRepository(r.Host + "/" + name)
	if err != nil {
		t.Fatal(err)
	}
	repo.PlainHTTP = true
	client := &auth.Client{}
	for user, password := range r.users {
		client.Credential = auth.StaticCredential(r.Host, auth.Credential{Username: user, Password: password})
	}
	repo.Client = client
	return repo
}

// Blob puts a blob into a repository.
func (r *Registry) Blob(t testing.TB, repository, mediaType string, data []byte) specs.Descriptor {
	t.Helper()
	d := specs.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}
	if err := r.repository(t, repository).Blobs().Push(t.Context(), d, bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	return d
}

// Manifest puts a manifest or an index into a repository, under a tag when that is not empty.
func (r *Registry) Manifest(t testing.TB, repository, tag, mediaType string, manifest any) specs.Descriptor {
	t.Helper()
	text, err := json.Marshal(manifest)
	if err != nil {
		t.Fatal(err)
	}
	d := specs.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(text), Size: int64(len(text))}
	if tag == "" {
		tag = d.Digest.String()
	}
	if err := r.repository(t, repository).PushReference(t.Context(), d, bytes.NewReader(text), tag); err != nil {
		t.Fatal(err)
	}
	return d
}

// Artifact puts a disk into a repository as `oras push` does: as it is, with its name in a title.
func (r *Registry) Artifact(t testing.TB, repository, tag string, files map[string][]byte) specs.Descriptor {
	t.Helper()
	m := specs.Manifest{MediaType: specs.MediaTypeImageManifest, ArtifactType: "application/vnd.unknown.artifact.v1"}
	m.SchemaVersion = 2
	m.Config = r.Blob(t, repository, specs.MediaTypeEmptyJSON, []byte("{}"))
	for name, data := range files {
		d := r.Blob(t, repository, specs.MediaTypeImageLayer, data)
		d.Annotations = map[string]string{specs.AnnotationTitle: name}
		m.Layers = append(m.Layers, d)
	}
	return r.Manifest(t, repository, tag, specs.MediaTypeImageManifest, m)
}

// ContainerDisk puts a container image into a repository whose layers, beside a small one, are the given tar archives.
func (r *Registry) ContainerDisk(t testing.TB, repository, tag, arch string, layers ...[]byte) specs.Descriptor {
	t.Helper()
	config := specs.Image{Platform: specs.Platform{Architecture: arch, OS: "linux"}}
	config.RootFS.Type = "layers"
	m := specs.Manifest{MediaType: specs.MediaTypeImageManifest}
	m.SchemaVersion = 2
	for _, data := range append([][]byte{Tar(t, "etc/passwd", []byte("qemu:x:107:107::/:/\n"))}, layers...) {
		m.Layers = append(m.Layers, r.Blob(t, repository, specs.MediaTypeImageLayer, data))
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, digest.FromBytes(data))
	}
	text, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	m.Config = r.Blob(t, repository, specs.MediaTypeImageConfig, text)
	d := r.Manifest(t, repository, tag, specs.MediaTypeImageManifest, m)
	d.Platform = &config.Platform
	return d
}

// Index puts an index of manifests into a repository.
func (r *Registry) Index(t testing.TB, repository, tag string, manifests ...specs.Descriptor) specs.Descriptor {
	t.Helper()
	index := specs.Index{MediaType: specs.MediaTypeImageIndex, Manifests: manifests}
	index.SchemaVersion = 2
	return r.Manifest(t, repository, tag, specs.MediaTypeImageIndex, index)
}

// Tar is an archive with one file.
func Tar(t testing.TB, name string, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o440, Uid: 107, Gid: 107, Size: int64(len(data)), Typeflag: tar.TypeReg}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Read reads a manifest or an index by tag or digest, and gives its digest.
func (r *Registry) Read(t testing.TB, repository, reference string, manifest any) digest.Digest {
	t.Helper()
	d, body, err := r.repository(t, repository).FetchReference(t.Context(), reference)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if err := json.NewDecoder(body).Decode(manifest); err != nil {
		t.Fatal(err)
	}
	return d.Digest
}

// ReadBlob reads a blob.
func (r *Registry) ReadBlob(t testing.TB, repository string, d specs.Descriptor) []byte {
	t.Helper()
	data, err := content.FetchAll(t.Context(), r.repository(t, repository).Blobs(), d)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Unpack gives the archive that a layer is.
func Unpack(t testing.TB, d specs.Descriptor, data []byte) []byte {
	t.Helper()
	if d.MediaType != specs.MediaTypeImageLayerGzip {
		return data
	}
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if data, err = io.ReadAll(z); err != nil {
		t.Fatal(err)
	}
	return data
}
