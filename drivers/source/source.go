// Package source owns where the bits of images come from: the Source interface, the store that gets an image through it
// (download, checksum, unpacking, format), and the cache that keeps what was got.
//
// It must not know a hypervisor, and never trusts what it is sent: bits are compared with their checksum before they are
// unpacked, limits hold while they are, no name in an archive becomes a file's, and an image whose header would make a
// hypervisor read other files of the host is refused. It starts no program but qemu-img, for disks in VMware's format; each
// protocol is a package of its own below this one.
package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"vmplan.dev/vmplan/config/resource"
)

// Source reads files by location, which begins with a scheme (https://…) that the source is registered for, or has none (a
// path). All methods may be called from several goroutines at once. A temporary failure is marked with Retry.
type Source interface {
	// Stat says what can be told without reading the file.
	Stat(ctx context.Context, location string) (Info, error)

	// Open reads the file from a position on. When the file is no longer the version that from.Validator names, or the source
	// cannot start there, it reads from the beginning: Info.Offset tells. Ending ctx ends reads. A body that stays silent for
	// long fails by itself.
	Open(ctx context.Context, location string, from Position) (io.ReadCloser, Info, error)
}

// Position is a place in one version of a file. The zero Position is the beginning of any version.
type Position struct {
	Offset    int64
	Validator string
}

// Info is what a source knows of a file.
type Info struct {
	Size      int64  // of the whole file in bytes; -1 when not known
	Validator string // changes when the file does; empty when the source cannot tell versions apart
	Offset    int64  // where the opened body begins
	Path      string // of the file itself when it is on this machine; else empty
	// Digest is "sha256:HEX" or "sha512:HEX" of the file, as the source promises it: the store holds it to that as to a
	// checksum, and takes what the cache has of that digest whatever the Validator is. Empty when nothing is promised.
	Digest string
	// Resolved is the location in a form that never moves to another file (oci://REGISTRY/REPOSITORY@sha256:…). Empty when
	// the location as given does not move, or when the source cannot pin it.
	Resolved string
	Contents Contents
}

// Contents is what a file is, as far as its source knows it from elsewhere than the file.
type Contents string

// The contents of files. All of them may be compressed.
const (
	ContentsUnknown       Contents = ""               // the file's first bytes decide
	ContentsDisk          Contents = "disk"           // the image itself, never an archive
	ContentsContainerDisk Contents = "container-disk" // a tar archive with the image as its one file in disk/ (KubeVirt)
	ContentsBox           Contents = "vagrant-box"    // a tar or zip archive: metadata.json, and the disk of one provider
	ContentsOVA           Contents = "ova"            // a tar archive: an OVF descriptor, and the disks that it names
)

// digest is what the source promises of the file, the zero sum when that is nothing.
func (i Info) digest() (sum, error) {
	if i.Digest == "" {
		return sum{}, nil
	}
	s, elsewhere, err := parseChecksum(i.Digest)
	if err == nil && elsewhere {
		err = errors.New("this is none")
	}
	if err != nil {
		return sum{}, fmt.Errorf("the source promises the digest %q: %w", i.Digest, err)
	}
	return s, nil
}

// Registry knows the sources by the scheme of a location; a plain path counts as "file".
type Registry map[string]Source

func (reg Registry) find(location string) (Source, error) {
	scheme, _, ok := strings.Cut(location, "://")
	if !ok {
		scheme = "file"
	}
	if src := reg[scheme]; src != nil {
		return src, nil
	}
	known := make([]string, 0, len(reg))
	for s := range reg {
		known = append(known, s)
	}
	slices.Sort(known)
	return nil, fmt.Errorf("no source for scheme %q, there are: %s", scheme, strings.Join(known, ", "))
}

// retryError marks a temporary failure.
type retryError struct {
	error
	after time.Duration
}

func (e *retryError) Unwrap() error { return e.error }

// Retry marks err as one that a later attempt may not meet. after is how long the other side asks to wait; usually 0.
func Retry(err error, after time.Duration) error { return &retryError{err, after} }

// IsRetry tells whether err is marked by Retry, and how long the other side asks to wait.
func IsRetry(err error) (after time.Duration, ok bool) {
	var e *retryError
	if !errors.As(err, &e) {
		return 0, false
	}
	return e.after, true
}

// fileName is the last element of a location, by which sums files name it.
func fileName(location string) string {
	if u, err := url.Parse(location); err == nil && u.Scheme != "" {
		return path.Base(u.Path)
	}
	return path.Base(location)
}

// Display is a location fit for messages and logs.
func Display(location string) string { return resource.Redact(location) }
