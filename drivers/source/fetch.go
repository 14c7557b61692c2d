package source

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"

	"vmplan.dev/vmplan/drivers"
)

const copyBuffer = 1 << 20

// fetcher gets one version of one location into the cache. Its entry is locked.
type fetcher struct {
	store *Store
	errand
	entry    *entry
	progress *meter
}

// run gives the version that the source has now, from the cache when it is there already.
func (f *fetcher) run(ctx context.Context) (*version, error) {
	got, err := f.download(ctx)
	if err != nil {
		v := f.entry.newest(func(v version) bool { return f.want == sum{} && !f.current && v.InPlace == "" })
		if v != nil && ctx.Err() == nil && !errors.As(err, new(*checksumError)) {
			f.store.options.Log.Warn("image source cannot be asked; using what the cache has", "source", Display(f.location), "error", err)
			return v, nil
		}
		return nil, err
	}
	switch {
	case got.cached != nil:
		return got.cached, nil
	case got.info.Path != "":
		return f.local(ctx, got.info)
	}
	return f.keep(ctx, got)
}

// local uses a file of this machine, in place or unpacked.
func (f *fetcher) local(ctx context.Context, info Info) (*version, error) {
	file, err := os.Open(info.Path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	digest, err := info.digest()
	if err != nil {
		return nil, err
	}
	f.announce(file, info)
	sums := newSums(f.want, digest)
	body := &meteredReader{ctx: ctx, r: file, meter: f.progress, phase: "checking", total: info.Size}
	if _, err := io.CopyBuffer(struct{ io.Writer }{sums}, body, make([]byte, copyBuffer)); err != nil {
		return nil, err
	}
	v := &version{Validator: info.Validator, Resolved: info.Resolved, SourceSize: info.Size, Sums: sums.hex()}
	if err := f.check(v.Sums, digest); err != nil {
		return nil, err
	}
	return f.take(ctx, file, info, v)
}

// announce gives out a file that is to be used where it is, before it is checked, to who wants it so.
func (f *fetcher) announce(file *os.File, info Info) {
	early := f.progress.early
	if early == nil || f.alone {
		return
	}
	w := &wrapped{f: f, file: file, kind: info.Contents}
	if plain, err := w.isPlain(); err != nil || !plain {
		return
	}
	if is, err := inspect(file, info.Size); err == nil {
		f.progress.early = nil
		early(drivers.Bits{Path: info.Path, Format: is.Format, Size: info.Size, VirtualSize: is.VirtualSize})
	}
}

// keep turns a complete download into a blob.
func (f *fetcher) keep(ctx context.Context, got *download) (*version, error) {
	v := &version{Validator: got.info.Validator, Resolved: got.info.Resolved, SourceSize: got.size, Sums: got.sums.hex()}
	part, err := os.Open(f.entry.file("part"))
	if err != nil {
		return nil, err
	}
	defer part.Close()
	v, err = f.take(ctx, part, got.info, v)
	if ctx.Err() == nil && !errors.Is(err, drivers.ErrNoSpace) {
		// What will never do is not kept; an unpacking that was stopped by something else can go on from the download.
		if removeErr := removeAll(f.entry.file("part"), f.entry.file("part.json")); err == nil {
			err = removeErr
		}
	}
	if err != nil {
		return nil, err
	}
	return v, nil
}

// check compares the sums with the one that the image must have, and the one that the source promised.
func (f *fetcher) check(got map[string]string, promised sum) error {
	for _, e := range []checksumError{{who: "want", want: f.want}, {who: "the source promised", want: promised}} {
		if e.got = (sum{e.want.Algo, got[e.want.Algo]}); e.want != (sum{}) && e.got != e.want {
			return &e
		}
	}
	return nil
}

// checksumError tells that the bits are not those that were meant.
type checksumError struct {
	who       string // says so
	want, got sum
}

func (e *checksumError) Error() string {
	return fmt.Sprintf("wrong checksum: %s %s, got %s; the file was changed on the way or at its source, and is not kept", e.who, e.want, e.got)
}

// sums computes the sums of a file that is written to it: sha256, and what else is wanted.
type sums struct{ byAlgo map[string]hash.Hash }

func newSums(wants ...sum) *sums {
	s := &sums{map[string]hash.Hash{"sha256": sha256.New()}}
	for _, want := range wants {
		if want.Algo == "sha512" {
			s.byAlgo["sha512"] = sha512.New()
		}
	}
	return s
}

func (s *sums) Write(p []byte) (int, error) {
	for _, h := range s.byAlgo {
		h.Write(p)
	}
	return len(p), nil
}

func (s *sums) hex() map[string]string {
	m := map[string]string{}
	for algo, h := range s.byAlgo {
		m[algo] = hex.EncodeToString(h.Sum(nil))
	}
	return m
}

// meteredReader reports how much was read, and ends with its context.
type meteredReader struct {
	ctx         context.Context
	r           io.Reader
	meter       *meter
	phase       string
	done, total int64
}

func (m *meteredReader) Read(p []byte) (int, error) {
	if m.ctx.Err() != nil {
		return 0, context.Cause(m.ctx)
	}
	n, err := m.r.Read(p)
	m.done += int64(n)
	m.meter.at(m.phase, m.done, m.total)
	return n, err
}
