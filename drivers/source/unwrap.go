package source

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	"vmplan.dev/vmplan/drivers/ovf"
)

// take makes images of all disks that the open file holds, records them, and gives the one that is wanted: who wants one
// disk of an appliance will want the others. about is what is known of the file.
func (f *fetcher) take(ctx context.Context, file *os.File, info Info, about *version) (v *version, err error) {
	work := f.entry.work()
	if err := os.RemoveAll(work); err != nil { // of a run that was killed
		return nil, fmt.Errorf("image cache: %w", err)
	}
	defer func() {
		if errors.Is(err, syscall.ENOSPC) {
			err = f.store.noSpace(err)
		}
		err = errors.Join(err, os.RemoveAll(work))
	}()
	if f.alone {
		info.Contents = ContentsDisk
	}
	w := &wrapped{f: f, file: file, about: about, kind: info.Contents}
	pieces, err := w.unwrap(ctx)
	if err != nil {
		return nil, err
	}
	if err := distinct(pieces); err != nil {
		return nil, err
	}
	at, err := chosen(pieces, f.pick)
	if err != nil {
		return nil, err
	}
	made := make([]version, len(pieces))
	converted := f.newBudget("convert from vmdk", about.SourceSize) // one for all, however many there are
	for i := range pieces {
		if made[i], err = f.image(ctx, &pieces[i], *about, converted); err != nil {
			return nil, err
		}
		made[i].Disks = len(pieces)
	}
	if info.Path != "" {
		if again, err := f.source.Stat(ctx, f.address); err != nil || again.Validator != info.Validator {
			return nil, errChanged
		}
	}
	for i, p := range pieces {
		if err := f.record(p, &made[i], info); err != nil {
			return nil, fmt.Errorf("image cache: %w", err)
		}
	}
	return &made[at], nil
}

// image looks at the disk in a piece, and converts it if it must be, within the budget.
func (f *fetcher) image(ctx context.Context, p *piece, about version, converted *budget) (version, error) {
	v := about
	v.Names = p.names
	if p.apart != nil {
		v.Digest, v.Size, v.ModTime, v.InPlace, v.shape, v.Apart = p.apart.Digest, p.apart.Size, p.apart.ModTime, p.apart.InPlace, p.apart.shape, true
		return v, nil
	}
	file, err := os.Open(p.path)
	if err != nil {
		return v, err
	}
	defer file.Close()
	head := make([]byte, sector)
	n, err := file.ReadAt(head, 0)
	if err != nil && err != io.EOF {
		return v, err
	}
	if isVMDK(head[:n]) {
		if err := os.MkdirAll(f.entry.work(), 0o700); err != nil {
			return v, err
		}
		to := filepath.Join(f.entry.work(), filepath.Base(p.path)+".qcow2")
		if err := f.convert(ctx, p.path, to, converted); err != nil {
			return v, err
		}
		p.path = to
		if p.digest, err = f.digest(ctx, to); err != nil {
			return v, err
		}
		file.Close()
		if file, err = os.Open(to); err != nil {
			return v, err
		}
		defer file.Close()
	}
	info, err := file.Stat()
	if err != nil {
		return v, err
	}
	v.Digest = p.digest
	v.shape, err = inspect(file, info.Size())
	return v, err
}

// digest hashes a file, and reports how far it is.
func (f *fetcher) digest(ctx context.Context, path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return "", err
	}
	return hashOf(&meteredReader{ctx: ctx, r: file, meter: f.progress, phase: "checking", total: info.Size()})
}

// record makes the piece's file a blob, unless it is used where it is.
func (f *fetcher) record(p piece, v *version, info Info) error {
	switch {
	case p.apart != nil:
		return f.entry.add(v)
	case p.path != info.Path:
		return f.entry.install(p.path, v)
	}
	now, err := os.Stat(info.Path)
	if err != nil {
		return err
	}
	v.InPlace, v.Size, v.ModTime = info.Path, info.Size, now.ModTime()
	return f.entry.add(v)
}

// wrapped is a file that may be packed, an archive, a descriptor, or the disk itself.
type wrapped struct {
	f     *fetcher
	file  *os.File
	about *version
	kind  Contents
}

// unwrap gives the files that hold the disks. The file's first bytes decide what it is, where its source does not know it.
func (w *wrapped) unwrap(ctx context.Context) ([]piece, error) {
	head := make([]byte, headerRead)
	n, err := w.file.ReadAt(head, 0)
	if err != nil && err != io.EOF {
		return nil, err
	}
	head = head[:n]
	name := fileName(w.f.location)
	if w.kind != ContentsUnknown {
		name = "" // the source knows better
	}
	suffix, err := compressionOf(name, head)
	if err != nil {
		return nil, err
	}
	in := bufio.NewReaderSize(w.from(ctx), copyBuffer)
	switch {
	case suffix != "":
		return w.unpack(ctx, suffix, in)
	case w.isTar(head):
		return w.archive(ctx, tarMembers(in))
	case isZip(head) && w.kind != ContentsDisk:
		return w.archive(ctx, zipMembers(w.file, w.about.SourceSize))
	case ovf.IsDescriptor(head) && (w.kind == ContentsUnknown || w.kind == ContentsOVA):
		return w.beside(ctx)
	}
	return []piece{{path: w.file.Name(), digest: "sha256:" + w.about.Sums["sha256"]}}, nil
}

// isPlain tells whether the file is the disk itself, as it is to be used.
func (w *wrapped) isPlain() (bool, error) {
	head := make([]byte, headerRead)
	n, err := w.file.ReadAt(head, 0)
	if err != nil && err != io.EOF {
		return false, err
	}
	head = head[:n]
	suffix, err := compressionOf(fileName(w.f.location), head)
	return suffix == "" && !w.isTar(head) && !isZip(head) && !ovf.IsDescriptor(head) && !isVMDK(head), err
}

func (w *wrapped) isTar(head []byte) bool {
	return isTar(head) && w.kind != ContentsDisk || w.kind == ContentsContainerDisk
}

// from reads the file from its beginning.
func (w *wrapped) from(ctx context.Context) io.Reader {
	return &meteredReader{
		ctx: ctx, r: io.NewSectionReader(w.file, 0, w.about.SourceSize), meter: w.f.progress, phase: "unpacking", total: w.about.SourceSize,
	}
}

// unpack unpacks what is packed: a disk, or an archive, which is extracted on the way.
func (w *wrapped) unpack(ctx context.Context, suffix string, in io.Reader) ([]piece, error) {
	b := w.f.newBudget("unpack "+suffix, w.about.SourceSize)
	unpacked, err := unpacker(suffix, in)
	if err != nil {
		return nil, fmt.Errorf("unpack %s: %w", suffix, err)
	}
	defer unpacked.Close()
	stream := bufio.NewReaderSize(bounded{unpacked, b}, copyBuffer)
	head, err := stream.Peek(sector)
	if err != nil && err != io.EOF {
		return nil, b.word(err)
	}
	if w.isTar(head) {
		return w.archive(ctx, tarMembers(stream))
	}
	p, err := w.f.save(stream, w.f.newBudget("unpack "+suffix, w.about.SourceSize))
	return []piece{p}, err
}

// archive takes the disks out of an archive.
func (w *wrapped) archive(ctx context.Context, members iter.Seq2[member, error]) ([]piece, error) {
	c, err := w.f.extract(ctx, w.kind, members, w.about.SourceSize)
	if err != nil {
		return nil, err
	}
	return c.disks()
}

// beside gets the disks that a descriptor names, from the same place.
func (w *wrapped) beside(ctx context.Context) ([]piece, error) {
	text, err := io.ReadAll(io.LimitReader(w.from(ctx), textLimit+1))
	if err != nil {
		return nil, err
	}
	if len(text) > textLimit {
		return nil, fmt.Errorf("the OVF descriptor is larger than %d MiB", textLimit>>20)
	}
	a, err := ovf.Parse(text)
	if err != nil {
		return nil, err
	}
	return pieces(a, func(d ovf.Disk) (piece, error) {
		location := neighbour(w.f.address, d.File)
		if path.Ext(d.File) == ".ovf" || location == w.f.location {
			return piece{}, fmt.Errorf("disk %q: %q is a descriptor, and no disk", d.ID, d.File) // waiting for it would never end
		}
		e := errand{
			place: place{location: location, anonymous: w.f.anonymous},
			addr:  w.f.addr, source: w.f.source, address: location, alone: true, current: w.f.current,
		}
		v, at, err := w.f.store.run(ctx, e, w.f.progress)
		if err != nil {
			return piece{}, fmt.Errorf("disk %q: %s: %w", d.ID, d.File, err)
		}
		return piece{path: at, apart: v}, nil
	})
}

// neighbour is the location of a file beside another one.
func neighbour(location, file string) string {
	if !strings.Contains(location, "://") {
		return filepath.Join(filepath.Dir(location), filepath.FromSlash(file))
	}
	u, err := url.Parse(location)
	if err != nil {
		return location
	}
	u.Path, u.RawPath = path.Join(path.Dir(u.Path), file), ""
	return u.String()
}
