package source

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/gofrs/flock"

	"vmplan.dev/vmplan/drivers"
)

// blobsInUse are the bits that this process uses, or is about to: no process drops them as long as it runs.
type blobsInUse struct {
	mu    sync.Mutex
	locks map[string]*flock.Flock // by digest
}

// lockUse locks the file in uses/ that stands for a file of the cache. Who uses that file shares the lock, and who removes it
// must have it alone. It ends with its process, also with one that is killed, and whatever gets that one's number next.
func (s *Store) lockUse(name string, lock func(*flock.Flock) error) (*flock.Flock, error) {
	dir := filepath.Join(s.options.CacheDir, "uses")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, name)
	for {
		l := flock.New(path, flock.SetPermissions(0o600))
		if err := lock(l); err != nil {
			return nil, err
		}
		locked, err := l.Stat()
		named, namedErr := os.Stat(path)
		if err == nil && namedErr == nil && os.SameFile(locked, named) {
			return l, nil
		}
		l.Close()
		if err := errors.Join(err, namedErr); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		} // else it was removed or replaced before it was locked
	}
}

// hold keeps a file of the cache from being removed until the lock is closed.
func (s *Store) hold(name string) (*flock.Flock, error) { return s.lockUse(name, (*flock.Flock).RLock) }

// removeUnused removes a file of the cache that nobody uses, if may finds nothing against it; else it is ErrInUse.
func (s *Store) removeUnused(path string, may func() error) error {
	lock, err := s.lockUse(filepath.Base(path), func(l *flock.Flock) error {
		locked, err := l.TryLock()
		if err == nil && !locked {
			err = fmt.Errorf("%w: a running vmplan uses it, or is about to", drivers.ErrInUse)
		}
		return err
	})
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := may(); err != nil {
		return err
	}
	return removeAll(path, lock.Path())
}

// use keeps bits from being dropped until the process ends, also those that are about to come.
func (s *Store) use(digest string) error {
	s.inUse.mu.Lock()
	defer s.inUse.mu.Unlock()
	if s.inUse.locks[digest] != nil {
		return nil
	}
	lock, err := s.hold(filepath.Base(s.blob(digest)))
	if err != nil {
		return fmt.Errorf("image cache: %w", err)
	}
	if s.inUse.locks == nil {
		s.inUse.locks = map[string]*flock.Flock{}
	}
	s.inUse.locks[digest] = lock
	return nil
}

// useBlob is use of bits that the cache has, and tells what is known of their file.
func (s *Store) useBlob(digest string) (os.FileInfo, error) {
	path := s.blob(digest)
	if _, err := os.Stat(path); err != nil {
		return nil, err
	}
	if err := s.use(digest); err != nil {
		return nil, err
	}
	return os.Stat(path) // they may have been dropped in between
}

// Held gives the bits of a digest ("sha256:HEX"), if the cache has them.
func (s *Store) Held(digest string) (drivers.Bits, bool) {
	if !isDigest(digest) {
		return drivers.Bits{}, false
	}
	if _, err := s.useBlob(digest); err != nil {
		return drivers.Bits{}, false
	}
	path := s.blob(digest)
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

// Scratch makes a file beside the cache, where there is room for bits on their way to somewhere else. What a process that
// was killed has left is swept up by a later one.
func (s *Store) Scratch() (f *os.File, remove func() error, err error) {
	if err := os.MkdirAll(s.options.CacheDir, 0o700); err != nil {
		return nil, nil, fmt.Errorf("image cache: %w", err)
	}
	for {
		f, err := os.CreateTemp(s.options.CacheDir, scratchPrefix+"*")
		if err != nil {
			return nil, nil, fmt.Errorf("image cache: %w", err)
		}
		lock, err := s.hold(filepath.Base(f.Name()))
		if err != nil {
			return nil, nil, fmt.Errorf("image cache: %w", errors.Join(err, f.Close(), os.Remove(f.Name())))
		}
		if _, err := os.Stat(f.Name()); err == nil {
			return f, func() error { return errors.Join(removeAll(f.Name(), lock.Path()), lock.Close()) }, nil
		}
		f.Close() // it was swept up before it was held
		lock.Close()
	}
}

const scratchPrefix = "scratch-"

// Sweep removes what processes that were killed have left unfinished. Downloads stay, as they can be continued.
func (s *Store) Sweep() error {
	files, err := inFolder(s.options.CacheDir)
	folders, err2 := inFolder(s.sources())
	errs := []error{err, err2}
	for _, file := range files {
		if !strings.HasPrefix(filepath.Base(file), scratchPrefix) {
			continue
		}
		if err := s.removeUnused(file, func() error { return nil }); !errors.Is(err, drivers.ErrInUse) {
			errs = append(errs, err)
		}
	}
	for _, dir := range folders {
		errs = append(errs, (&entry{store: s, dir: dir}).sweep())
	}
	return errors.Join(errs...)
}

// sweep removes what is half unpacked, unless somebody is at it.
func (e *entry) sweep() error {
	if _, err := os.Stat(e.work()); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	lock := e.newLock()
	defer lock.Close()
	if free, err := lock.TryLock(); err != nil || !free {
		return err
	}
	return os.RemoveAll(e.work())
}
