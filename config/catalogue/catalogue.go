// Package catalogue owns the short names of images, such as debian:12, and where what they stand for is. The names that
// everybody has are in images.json; a project's own files of the same form add to them.
//
// It reads no files, asks no server, and knows nothing of images but where they are.
package catalogue

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
)

//go:embed images.json
var builtIn []byte

// DefaultArch is the build that a name without an architecture means.
const DefaultArch = "x86_64"

// Build is where the bits for one architecture are.
type Build struct {
	URL      string `json:"url"`
	Checksum string `json:"checksum,omitempty"` // sha256:HEX, sha512:HEX or the URL of a file of sums
}

// Image is what a name stands for.
type Image struct {
	Title   string           `json:"title,omitempty"` // for people
	Aliases []string         `json:"aliases,omitempty"`
	Builds  map[string]Build `json:"builds"` // by architecture, as vms name it: x86_64, aarch64
}

// Catalogue is a set of names.
type Catalogue struct {
	images map[string]Image
	alias  map[string]string // to names
}

// New gives the names that everybody has.
func New() *Catalogue {
	c := &Catalogue{images: map[string]Image{}, alias: map[string]string{}}
	if err := c.Add(builtIn); err != nil {
		panic(fmt.Sprintf("images.json: %v", err))
	}
	return c
}

var (
	nameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]*:[A-Za-z0-9][A-Za-z0-9._-]*$`)
	archForm = regexp.MustCompile(`^[a-z0-9_]+$`)
)

// IsName tells whether a source is written as a name: NAME:VERSION, or NAME:VERSION@ARCH.
func IsName(source string) bool {
	name, arch, ok := strings.Cut(source, "@")
	return nameForm.MatchString(name) && (!ok || archForm.MatchString(arch))
}

// Add takes the names of a file in, which count more than those that there are. Its error says what is wrong with the file;
// then nothing of it is taken.
func (c *Catalogue) Add(data []byte) error {
	var file struct {
		Images map[string]Image `json:"images"`
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&file); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is something behind the end")
	}
	for _, name := range slices.Sorted(maps.Keys(file.Images)) {
		if err := file.Images[name].check(name); err != nil {
			return err
		}
	}
	for name, img := range file.Images {
		delete(c.alias, name)
		c.images[name] = img
		for _, a := range img.Aliases {
			if _, taken := file.Images[a]; !taken {
				delete(c.images, a)
				c.alias[a] = name
			}
		}
	}
	return nil
}

func (img Image) check(name string) error {
	for _, n := range append([]string{name}, img.Aliases...) {
		if !nameForm.MatchString(n) {
			return fmt.Errorf("%q is no name for an image: write NAME:VERSION, such as debian:12", n)
		}
	}
	if len(img.Builds) == 0 {
		return fmt.Errorf("%s has no builds", name)
	}
	for _, arch := range slices.Sorted(maps.Keys(img.Builds)) {
		switch b := img.Builds[arch]; {
		case !archForm.MatchString(arch):
			return fmt.Errorf("%s: %q is no architecture: write it as vms do, such as x86_64", name, arch)
		case !strings.Contains(b.URL, "://"):
			return fmt.Errorf("%s: the url %q of %s is none", name, b.URL, arch)
		}
	}
	return nil
}

// Find gives the build that a name stands for. Its errors are *UnknownError and *NoBuildError.
func (c *Catalogue) Find(source string) (Build, error) {
	name, arch, ok := strings.Cut(source, "@")
	if !ok {
		arch = DefaultArch
	}
	if to := c.alias[name]; to != "" {
		name = to
	}
	img, ok := c.images[name]
	if !ok {
		return Build{}, &UnknownError{Name: name}
	}
	b, ok := img.Builds[arch]
	if !ok {
		return Build{}, &NoBuildError{Name: name, Arch: arch, Archs: slices.Sorted(maps.Keys(img.Builds))}
	}
	return b, nil
}

// Names gives all names, aliases included, in order.
func (c *Catalogue) Names() []string {
	return slices.Sorted(func(yield func(string) bool) {
		for _, names := range []func(func(string) bool){maps.Keys(c.images), maps.Keys(c.alias)} {
			for name := range names {
				if !yield(name) {
					return
				}
			}
		}
	})
}

// Image gives what is known of a name that is no alias.
func (c *Catalogue) Image(name string) (Image, bool) {
	img, ok := c.images[name]
	return img, ok
}

// UnknownError tells that there is no such name.
type UnknownError struct{ Name string }

func (e *UnknownError) Error() string {
	return fmt.Sprintf("there is no image %q in the catalogue", e.Name)
}

// NoBuildError tells that an image is not there for an architecture.
type NoBuildError struct {
	Name, Arch string
	Archs      []string // that it is there for
}

func (e *NoBuildError) Error() string {
	return fmt.Sprintf("the image %s is not there for %s, only for %s: write %s@%s", e.Name, e.Arch, strings.Join(e.Archs, ", "), e.Name, e.Archs[0])
}
