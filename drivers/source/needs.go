package source

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"vmplan.dev/vmplan/config/atomicfile"
	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
)

// needs is what a project of this machine needs of the cache: a file in its folder needs/.
type needs struct {
	Dir     string   `json:"dir"`     // of the project
	Digests []string `json:"digests"` // of the bits of its images, in order
}

// Need notes which bits the project called id, in folder dir, needs from now on. The cache keeps them when it is cleared.
func (s *Store) Need(id, dir string, digests []string) error {
	file := filepath.Join(s.options.CacheDir, "needs", filepath.Base(id)+".json")
	if len(digests) == 0 {
		return removeAll(file)
	}
	list := slices.Compact(slices.Sorted(slices.Values(digests)))
	text, err := json.MarshalIndent(needs{dir, list}, "", "  ")
	if err != nil {
		return err
	}
	if was, err := os.ReadFile(file); err == nil && bytes.Equal(was, text) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("image cache: %w", err)
	}
	return atomicfile.Write(file, text, 0o600)
}

// Locked gives the digest of the bits that the cache has of the version that an image is held to.
func (s *Store) Locked(img *resource.Image) (digest string, ok bool) {
	if img.Pin == nil {
		return "", false
	}
	want, _, err := parseChecksum(img.Pin.Digest)
	if err != nil {
		return "", false
	}
	v := s.peekEntry(s.placeOf(img)).bySum(want)
	if v == nil {
		return "", false
	}
	return v.Digest, true
}

// Cached lists what the cache holds, in order of digest. What a project needs whose folder is gone is needed no more.
func (s *Store) Cached() ([]drivers.CachedBits, error) {
	files, err := inFolder(s.blobs())
	if err != nil {
		return nil, fmt.Errorf("image cache: %w", err)
	}
	neededBy, err := s.neededBy()
	if err != nil {
		return nil, err
	}
	entries, err := s.entries()
	if err != nil {
		return nil, err
	}
	sources := map[string][]string{}
	for _, e := range entries {
		for _, v := range e.Versions {
			if v.InPlace == "" && !slices.Contains(sources[v.Digest], e.Location) {
				sources[v.Digest] = append(sources[v.Digest], e.Location)
			}
		}
	}
	var out []drivers.CachedBits
	for _, file := range files {
		digest := strings.Replace(filepath.Base(file), "-", ":", 1)
		info, err := os.Stat(file)
		if !isDigest(digest) || err != nil {
			continue // none of ours, or gone by now
		}
		out = append(out, drivers.CachedBits{
			Digest: digest, Size: info.Size(), Since: info.ModTime(), Sources: sources[digest], NeededBy: neededBy[digest],
		})
	}
	return out, nil
}

// neededBy gives the folders of the projects that need bits, by digest. A file that cannot be read is an error: what it says
// may be that something is needed.
func (s *Store) neededBy() (map[string][]string, error) {
	files, err := inFolder(filepath.Join(s.options.CacheDir, "needs"))
	if err != nil {
		return nil, fmt.Errorf("image cache: %w", err)
	}
	out := map[string][]string{}
	for _, file := range files {
		if filepath.Ext(file) != ".json" {
			continue // one that is being written
		}
		text, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		var n needs
		if err == nil {
			err = json.Unmarshal(text, &n)
		}
		if err != nil {
			return nil, fmt.Errorf("image cache: %s: %w; remove it: the project's next apply writes it again", file, err)
		}
		if _, err := os.Stat(n.Dir); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		for _, digest := range n.Digests {
			out[digest] = append(out[digest], n.Dir)
		}
	}
	return out, nil
}

// entries are all locations that the cache knows of, as far as they can be read.
func (s *Store) entries() ([]*entry, error) {
	dirs, err := inFolder(s.sources())
	if err != nil {
		return nil, fmt.Errorf("image cache: %w", err)
	}
	var out []*entry
	for _, dir := range dirs {
		e := &entry{store: s, dir: dir}
		e.load()
		out = append(out, e)
	}
	return out, nil
}

// Drop removes bits from the cache. Those that a project needs are ErrInUse, and those that a process uses, or is about to.
func (s *Store) Drop(digest string) error {
	if !isDigest(digest) {
		return fmt.Errorf("image cache: %q is no digest", digest)
	}
	err := s.removeUnused(s.blob(digest), func() error {
		needed, err := s.neededBy() // by now: who used it just before may have noted that
		if by := needed[digest]; err == nil && len(by) > 0 {
			err = fmt.Errorf("%w: the project in %s needs it", drivers.ErrInUse, by[0])
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("image cache: %s: %w", digest, err)
	}
	return nil
}
