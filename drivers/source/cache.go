package source

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"vmplan.dev/vmplan/config/atomicfile"
)

// The cache's folder:
//
//	blobs/sha256-HEX       unpacked bits, read-only
//	sources/HEX/           one folder for each location (HEX is a hash of it)
//	    lock               held while the image is being got, by this or another process
//	    versions.json      what was got from there
//	    part, part.json    a download that is not complete, and of what
//	    work/              what is being unpacked, extracted or converted
//	needs/ID.json          which blobs a project of this machine needs
//	uses/NAME              locked by each process that uses the blob or scratch file of that name
//	scratch-*              bits on their way to somewhere else
//
// Everything but blobs/ and versions.json may be deleted at any time when nothing runs.

// version is one version of the file at a location, as it was got.
type version struct {
	Validator  string            `json:"validator,omitempty"` // of the source, at that time
	SourceSize int64             `json:"source_size"`         // of the file as it is downloaded
	Sums       map[string]string `json:"sums"`                // of the file as it is downloaded, by kind
	InPlace    string            `json:"in_place,omitempty"`  // path, when the file itself is used instead of a blob
	Resolved   string            `json:"resolved,omitempty"`  // of the source, at that time
	Names      []string          `json:"names,omitempty"`     // of the disk, in an archive
	Disks      int               `json:"disks,omitempty"`     // that the archive has
	Apart      bool              `json:"apart,omitempty"`     // the bits are from a file beside the one that was asked for
	Digest     string            `json:"digest"`              // sha256:HEX of the unpacked bits
	Size       int64             `json:"size"`                // of the unpacked bits
	ModTime    time.Time         `json:"mod_time"`            // of the file that holds them
	// Boot is the machine's boot in which the bits were written, when nothing made sure that they reached the disk: after a
	// crash of the machine they are looked at again. Waiting for that disk would take as long as all the rest.
	Boot string `json:"boot,omitempty"`
	shape
}

// entry is what the cache knows of one location.
type entry struct {
	store     *Store
	dir       string
	pick      string // which of several disks counts; empty when there is only one
	lock      *flock.Flock
	Location  string    `json:"location"`            // without secrets, for people
	Anonymous bool      `json:"anonymous,omitempty"` // got without logins
	Versions  []version `json:"versions"`            // newest last
}

// openEntry locks the location's folder, waiting for whoever else gets the same image.
func (s *Store) openEntry(ctx context.Context, at place, progress *meter) (*entry, error) {
	e := s.newEntry(at)
	for _, dir := range []string{e.dir, s.blobs()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("image cache: %w", err)
		}
	}
	e.lock = e.newLock()
	locked, err := e.lock.TryLock()
	if err == nil && !locked {
		progress.at("waiting for another download", 0, 0)
		_, err = e.lock.TryLockContext(ctx, 50*time.Millisecond)
	}
	if err != nil {
		return nil, fmt.Errorf("image cache: lock %s: %w", e.dir, err)
	}
	e.load()
	return e, nil
}

// peekEntry reads what is known of the location, without a lock.
func (s *Store) peekEntry(at place) *entry {
	e := s.newEntry(at)
	e.load()
	return e
}

func (s *Store) newEntry(at place) *entry {
	name := at.location
	if at.anonymous {
		name = "anonymous " + name
	}
	key := sha256.Sum256([]byte(name))
	return &entry{
		store: s, dir: filepath.Join(s.sources(), hex.EncodeToString(key[:16])), pick: at.pick,
		Location: Display(at.location), Anonymous: at.anonymous,
	}
}

func (s *Store) blobs() string { return filepath.Join(s.options.CacheDir, "blobs") }

func (s *Store) sources() string { return filepath.Join(s.options.CacheDir, "sources") }

func (s *Store) blob(digest string) string {
	return filepath.Join(s.blobs(), strings.Replace(digest, ":", "-", 1))
}

func (e *entry) newLock() *flock.Flock {
	return flock.New(e.file("lock"), flock.SetPermissions(0o600))
}

func (e *entry) close() { e.lock.Close() }

func (e *entry) file(name string) string { return filepath.Join(e.dir, name) }

// work is the folder of what is on its way from a download to a blob.
func (e *entry) work() string { return e.file("work") }

// load reads versions.json. A cache that cannot be read is an empty one.
func (e *entry) load() {
	if data, err := os.ReadFile(e.file("versions.json")); err == nil && json.Unmarshal(data, e) != nil {
		e.Versions = nil
	}
	e.Location = Display(e.Location) // older versions left names in URLs, which may be tokens
	e.Versions = slices.DeleteFunc(e.Versions, func(v version) bool { return !isDigest(v.Digest) })
}

func (e *entry) save() error {
	data, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		return err
	}
	return atomicfile.Write(e.file("versions.json"), data, 0o600)
}

// path of the version's bits.
func (e *entry) path(v version) string {
	if v.InPlace != "" {
		return v.InPlace
	}
	return e.store.blob(v.Digest)
}

// bySum gives the version with the sum, if its bits are still what they were. There is none for the zero sum, and none that
// is used in place: there the file itself must be asked. What was got with another signature in the URL will do.
func (e *entry) bySum(want sum) *version {
	if want == (sum{}) {
		return nil
	}
	for _, e := range append([]*entry{e}, e.siblings()...) {
		v := e.newest(func(v version) bool { return v.InPlace == "" && !v.Apart && v.Sums[want.Algo] == want.Hex })
		if v != nil {
			return v
		}
	}
	return nil
}

// siblings are the entries of locations that differ from this one's in what is not shown, if it has such: a login, a signature.
func (e *entry) siblings() []*entry {
	if !strings.ContainsAny(e.Location, "@?") {
		return nil
	}
	all, err := e.store.entries()
	if err != nil {
		return nil // a cache that cannot be read is an empty one
	}
	var out []*entry
	for _, other := range all {
		if other.Location == e.Location && other.Anonymous == e.Anonymous && other.dir != e.dir {
			other.pick = e.pick
			out = append(out, other)
		}
	}
	return out
}

// byInfo gives the version that the source has now: of the digest that it promises, or else of the same validator and size. A
// source that tells no versions apart proves nothing. There is none unless it also has the sum want.
func (e *entry) byInfo(info Info, want sum) *version {
	digest, err := info.digest()
	return e.newest(func(v version) bool {
		switch {
		case err != nil || v.Apart || want != sum{} && v.Sums[want.Algo] != want.Hex:
			return false
		case digest != sum{}:
			return v.Sums[digest.Algo] == digest.Hex
		}
		return info.Validator != "" && v.Validator == info.Validator && v.SourceSize == info.Size
	})
}

// isCalled tells whether the version is that of the disk which is picked; without a name it must be the only one.
func (v version) isCalled(pick string) bool {
	if pick == "" {
		return v.Disks <= 1
	}
	return slices.Contains(v.Names, pick)
}

func (e *entry) newest(match func(version) bool) *version {
	for i, v := range slices.Backward(e.Versions) {
		if v.isCalled(e.pick) && match(v) && e.intact(&e.Versions[i]) {
			return &e.Versions[i]
		}
	}
	return nil
}

// intact tells whether the version's bits are what was recorded, and keeps them. Size and time of the file are enough; when
// they differ, or the machine was restarted since, the digest decides.
func (e *entry) intact(v *version) bool {
	info, err := e.look(v)
	if err != nil || info.Size() != v.Size {
		return false
	}
	if info.ModTime().Equal(v.ModTime) && (v.Boot == "" || v.Boot == bootID()) {
		return true
	}
	digest, err := hashFile(e.path(*v))
	if err != nil || digest != v.Digest {
		return false
	}
	if v.ModTime, v.Boot = info.ModTime(), ""; e.lock != nil {
		err = e.save() // so that nobody looks again
	}
	return err == nil
}

func (e *entry) look(v *version) (os.FileInfo, error) {
	if v.InPlace != "" {
		return os.Stat(v.InPlace)
	}
	return e.store.useBlob(v.Digest)
}

// add records a version, in place of the same one recorded before, and of those whose bits are gone.
func (e *entry) add(v *version) error {
	e.Versions = slices.DeleteFunc(e.Versions, func(o version) bool {
		_, err := os.Stat(e.path(o))
		same := v.InPlace != "" || o.Sums["sha256"] == v.Sums["sha256"]
		return err != nil || o.InPlace == v.InPlace && slices.Equal(o.Names, v.Names) && same
	})
	e.Versions = append(e.Versions, *v)
	return e.save()
}

// install moves a complete file of the entry's folder among the blobs and records it. Where the system does not tell its boots
// apart, the file is on disk before it gets its name.
func (e *entry) install(from string, v *version) error {
	f, err := os.OpenFile(from, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if v.Boot = bootID(); v.Boot == "" {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Chmod(0o400), f.Close()); err != nil {
		return err
	}
	if err := e.store.use(v.Digest); err != nil {
		return err
	}
	blob := e.store.blob(v.Digest)
	if err := os.Rename(from, blob); err != nil {
		return err
	}
	if err := atomicfile.SyncDir(e.store.blobs()); err != nil {
		return err
	}
	info, err := os.Stat(blob)
	if err != nil {
		return err
	}
	v.Size, v.ModTime = info.Size(), info.ModTime()
	return e.add(v)
}

func hashFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	return hashOf(f)
}

func hashOf(r io.Reader) (string, error) {
	h := sha256.New()
	if _, err := io.CopyBuffer(struct{ io.Writer }{h}, struct{ io.Reader }{r}, make([]byte, copyBuffer)); err != nil {
		return "", err
	}
	return digestOf(h.Sum(nil)), nil
}

func digestOf(sum []byte) string { return "sha256:" + hex.EncodeToString(sum) }

// isDigest tells whether text is one of the digests by which bits are known here: sha256:HEX.
func isDigest(text string) bool {
	number, ok := strings.CutPrefix(text, "sha256:")
	return ok && len(number) == 64 && isHex(number)
}

// inFolder gives the paths of what is in a folder of the cache, none when it is not there.
func inFolder(dir string) ([]string, error) {
	files, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	paths := make([]string, len(files))
	for i, f := range files {
		paths[i] = filepath.Join(dir, f.Name())
	}
	return paths, nil
}

func removeAll(paths ...string) error {
	var errs []error
	for _, p := range paths {
		if err := os.Remove(p); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
