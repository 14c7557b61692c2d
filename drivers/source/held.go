package source

import (
	"fmt"
	"os"
	"strings"

	"vmplan.dev/vmplan/drivers"
)

// Held gives the bits of a digest ("sha256:HEX"), if the cache has them.
func (s *Store) Held(digest string) (drivers.Bits, bool) {
	number, ok := strings.CutPrefix(digest, "sha256:")
	if !ok || len(number) != 64 || !isHex(number) {
		return drivers.Bits{}, false
	}
	path := (&entry{store: s}).blob(digest)
	f, err := os.Open(path)
	if err != nil {
		return drivers.Bits{}, false
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return drivers.Bits{}, false
	}
	is, err := inspect(f, info.Size())
	if got, hashErr := hashFile(path); err != nil || hashErr != nil || got != digest {
		return drivers.Bits{}, false
	}
	return drivers.Bits{Path: path, Format: is.Format, Digest: digest, Size: info.Size(), VirtualSize: is.VirtualSize}, true
}

// Scratch makes a file beside the cache, where there is room for bits on their way to somewhere else. The caller removes it.
func (s *Store) Scratch() (*os.File, error) {
	if err := os.MkdirAll(s.options.CacheDir, 0o700); err != nil {
		return nil, fmt.Errorf("image cache: %w", err)
	}
	f, err := os.CreateTemp(s.options.CacheDir, "scratch-*")
	if err != nil {
		return nil, fmt.Errorf("image cache: %w", err)
	}
	return f, nil
}
