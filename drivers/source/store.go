package source

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
)

// Options say how a Store works.
type Options struct {
	Sources Registry
	// Strangers are the sources of images that are Anonymous: they use no logins, and reach public addresses only.
	Strangers Registry
	// CacheDir is the cache's folder. By default that of the environment variable VMPLAN_CACHE, else vmplan in the user's
	// cache folder. It is made when it is first needed.
	CacheDir string
	// Dir is what relative paths are relative to: the project's folder.
	Dir string
	// Named gives the location, and the checksum if there is one, of a source that is a name; ok is false for what is none.
	// nil: nothing is.
	Named func(name string) (location, checksum string, ok bool)
	Log   *slog.Logger // nil: nothing is logged
}

// Store gets images and keeps them in a cache. It implements drivers.ImageStore.
//
// What comes over the network is downloaded to the cache, compared with its checksum, unpacked when it is packed, and kept
// under the digest of the unpacked bits. An image with a checksum is then taken from the cache without asking the network;
// one without is compared with what its source has now, and taken from the cache when that cannot be asked. A file of this
// machine that needs no unpacking is used where it is; its digest is remembered as long as its size and time stay the same.
type Store struct {
	options Options
	limits  limits
	inUse   blobsInUse
	swept   sync.Once
}

// limits are what keeps a bad source from doing harm.
type limits struct {
	tries     int           // in a row, without progress
	firstWait time.Duration // between two tries; doubles
	mostWait  time.Duration
	bombSize  int64 // unpacked files up to here are never called bombs,
	bombRatio int64 // larger ones are when they are so many times the packed size
}

var (
	_ drivers.EagerStore = (*Store)(nil)

	defaultLimits = limits{tries: 6, firstWait: 500 * time.Millisecond, mostWait: 15 * time.Second, bombSize: 4 << 30, bombRatio: 1000}
)

const probeTimeout = 5 * time.Second

// NewStore makes a store. It does no I/O.
func NewStore(o Options) (*Store, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.CacheDir == "" {
		o.CacheDir = os.Getenv("VMPLAN_CACHE")
	}
	if o.CacheDir == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			return nil, fmt.Errorf("image cache: %w; name a folder in the environment variable VMPLAN_CACHE", err)
		}
		o.CacheDir = filepath.Join(base, "vmplan")
	}
	abs, err := filepath.Abs(o.CacheDir)
	if err != nil {
		return nil, fmt.Errorf("image cache: %w", err)
	}
	o.CacheDir = abs
	if o.Named == nil {
		o.Named = func(string) (location, checksum string, ok bool) { return "", "", false }
	}
	return &Store{options: o, limits: defaultLimits}, nil
}

// Fetch implements drivers.ImageStore.
func (s *Store) Fetch(ctx context.Context, img *resource.Image, report func(drivers.Progress)) (drivers.Bits, error) {
	return s.fetch(ctx, img, newMeter(report))
}

// Begin implements drivers.EagerStore: an image that lies on this machine as it is to be used is given out before it is
// hashed, which takes as long as copying it.
func (s *Store) Begin(ctx context.Context, img *resource.Image, report func(drivers.Progress)) (drivers.Bits, func() (drivers.Bits, error), error) {
	type answer struct {
		bits drivers.Bits
		err  error
	}
	early, done := make(chan drivers.Bits, 1), make(chan answer, 1)
	progress := newMeter(report)
	progress.early = func(bits drivers.Bits) {
		progress.report = func(drivers.Progress) {} // who has the bits reports from now on
		early <- bits
	}
	go func() {
		bits, err := s.fetch(ctx, img, progress)
		done <- answer{bits, err}
	}()
	select {
	case bits := <-early:
		return bits, sync.OnceValues(func() (drivers.Bits, error) { a := <-done; return a.bits, a.err }), nil
	case a := <-done:
		return a.bits, func() (drivers.Bits, error) { return a.bits, a.err }, a.err
	}
}

func (s *Store) fetch(ctx context.Context, img *resource.Image, progress *meter) (drivers.Bits, error) {
	s.swept.Do(func() {
		if err := s.Sweep(); err != nil {
			s.options.Log.Warn("what a killed process left could not be removed", "error", err)
		}
	})
	bits, err := s.find(ctx, img, progress)
	if err != nil {
		err = fmt.Errorf("get %s: %w", Display(img.Source), err)
		if !img.Addr.IsZero() {
			err = fmt.Errorf("%s: %w", img.Addr, err)
		}
		return drivers.Bits{}, err
	}
	return bits, nil
}

func (s *Store) find(ctx context.Context, img *resource.Image, progress *meter) (drivers.Bits, error) {
	e, err := s.errand(ctx, img, s.limits.tries)
	if err != nil {
		return drivers.Bits{}, err
	}
	v, at, err := s.run(ctx, e, progress)
	if err != nil {
		return drivers.Bits{}, e.moved(err)
	}
	if img.Format != "" && img.Format != v.Format {
		return drivers.Bits{}, fmt.Errorf("format is %q, but the bits are %s", img.Format, v.Format)
	}
	return drivers.Bits{
		Path: at, Format: v.Format, Digest: v.Digest, Size: v.Size, VirtualSize: v.VirtualSize, Pin: e.pinOf(v, img),
	}, nil
}

// run gives the version that the errand is for, and where its bits are.
func (s *Store) run(ctx context.Context, e errand, progress *meter) (v *version, at string, err error) {
	entry, err := s.openEntry(ctx, e.place, progress)
	if err != nil {
		return nil, "", err
	}
	defer entry.close()
	if v = entry.bySum(e.want); v == nil {
		v, err = (&fetcher{store: s, errand: e, entry: entry, progress: progress}).run(ctx)
	}
	if err != nil {
		return nil, "", err
	}
	return v, entry.path(*v), nil
}

// Probe tells how much Fetch would download; known is false when nobody can say. It takes a few seconds at most. An error
// tells why it is not known and is no reason to stop: Fetch has the last word.
func (s *Store) Probe(ctx context.Context, img *resource.Image) (size int64, known bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	e, err := s.errand(ctx, img, 1)
	if err != nil {
		return 0, false, err
	}
	entry := s.peekEntry(e.place)
	if entry.bySum(e.want) != nil {
		return 0, true, nil
	}
	info, err := e.source.Stat(ctx, e.address)
	switch {
	case err != nil:
		return 0, false, err
	case info.Path != "" || entry.byInfo(info, e.want) != nil:
		return 0, true, nil
	case e.otherThanPinned(info):
		return 0, false, e.moved(&checksumError{want: e.want, got: e.promised(info)})
	case info.Size < 0:
		return 0, false, nil
	}
	return info.Size - entry.partial(info), true, nil
}

func (s *Store) placeOf(img *resource.Image) place {
	location, pick := s.locate(img.Location())
	return place{location: location, pick: pick, anonymous: img.Anonymous}
}

// locate takes apart LOCATION#DISK, makes a path absolute, and a name what it stands for. A # begins the name of a disk only behind the name of an
// archive: other files may have one in their names, and some sources a use of their own for it.
func (s *Store) locate(source string) (location, pick string) {
	if stands, _, ok := s.options.Named(source); ok {
		source = stands
	}
	isURL := strings.Contains(source, "://")
	location = source
	if at := strings.LastIndexByte(source, '#'); at >= 0 && isArchiveName(source[:at]) {
		location, pick = source[:at], source[at+1:]
	}
	if !isURL && !filepath.IsAbs(location) {
		location = filepath.Join(s.options.Dir, location)
	}
	return location, pick
}

func isArchiveName(location string) bool {
	switch strings.ToLower(path.Ext(fileName(location))) {
	case ".ova", ".ovf", ".box":
		return true
	}
	return strings.HasPrefix(location, "vagrant+")
}

// retry tries until it succeeds, fails in a way that stays, or has failed `tries` times in a row without progress.
func (s *Store) retry(ctx context.Context, tries int, try func() (progress bool, err error)) error {
	wait := s.limits.firstWait
	timer := time.NewTimer(0)
	defer timer.Stop()
	for failed := 0; ; {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-timer.C:
		}
		progress, err := try()
		after, again := IsRetry(err)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case progress:
			failed, wait = 0, s.limits.firstWait
		}
		failed++
		if !again || failed >= tries {
			if failed > 1 {
				err = fmt.Errorf("%w (tried %d times)", err, failed)
			}
			return err
		}
		s.options.Log.Debug("image source: trying again", "error", err, "wait", wait)
		timer.Reset(max(wait, min(after, time.Minute)))
		wait = min(2*wait, s.limits.mostWait)
	}
}

// noSpace words a full disk, with the folder and what is to be done.
func (s *Store) noSpace(err error) error {
	return fmt.Errorf("%w in the image cache %s: %w; make room there, or name another folder in VMPLAN_CACHE",
		drivers.ErrNoSpace, s.options.CacheDir, err)
}

// meter passes progress on, ten times a second at most.
type meter struct {
	report func(drivers.Progress)
	early  func(drivers.Bits) // is given bits that are not checked yet; nil: nobody wants them
	last   time.Time
	phase  string
}

func newMeter(report func(drivers.Progress)) *meter {
	if report == nil {
		report = func(drivers.Progress) {}
	}
	return &meter{report: report}
}

func (m *meter) at(phase string, done, total int64) {
	if now := time.Now(); phase != m.phase || done == total || now.Sub(m.last) >= 100*time.Millisecond {
		m.phase, m.last = phase, now
		m.report(drivers.Progress{Phase: phase, Done: done, Total: max(total, 0)})
	}
}

var errChanged = errors.New("the file was changed while it was read")
