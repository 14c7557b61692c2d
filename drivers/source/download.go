package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"

	"vmplan.dev/vmplan/config/atomicfile"
	"vmplan.dev/vmplan/config/resource"
)

const (
	spaceCheck = 64 << 20 // bytes written between two looks at the free space
	// progressStep is how much more than ever before must have arrived for a broken connection to count as progress: a
	// server that drops every connection early is given up.
	progressStep = 256 << 10
)

// partInfo is part.json: what the partial download is of.
type partInfo struct {
	Validator string `json:"validator"`
	Size      int64  `json:"size"`             // of the whole file; -1 when not known
	Digest    string `json:"digest,omitempty"` // as the source promised it
	// Boot is the machine's boot in which the part was written. After a crash of the machine its end may never have reached
	// the disk, so the part is not trusted then; after one of the process it is.
	Boot string `json:"boot"`
}

// download is a file on its way into the entry's part, or what was found instead of one.
type download struct {
	f       *fetcher
	file    *os.File
	about   partInfo
	size    int64 // of part
	sums    *sums // of part
	most    int64 // that part ever had
	resumed bool  // part was not got in one piece

	info   Info     // of the source, as last opened
	cached *version // what the cache has of it already
}

// download gets the file into the entry's part, complete and with the right sum; or finds that the cache has it already, or
// that it is a file of this machine. A part that an earlier run left is continued.
func (f *fetcher) download(ctx context.Context) (*download, error) {
	d := &download{f: f}
	defer func() { d.close() }()
	tries := f.store.limits.tries
	if f.want == (sum{}) && f.entry.newest(func(v version) bool { return v.InPlace == "" }) != nil {
		tries = 1 // the cache has an answer
	}
	if err := d.attempts(ctx, tries); err != nil {
		if d.about.Validator == "" {
			err = errors.Join(err, d.discard()) // nothing could continue it
		}
		return nil, err
	}
	if d.cached != nil || d.info.Path != "" {
		return d, nil
	}
	err := d.check()
	if d.resumed && errors.As(err, new(*checksumError)) {
		// The fault may be in what was there before.
		if err = d.reset(Info{Size: -1}); err == nil {
			err = d.attempts(ctx, tries)
		}
		if err == nil {
			err = d.check()
		}
	}
	if err != nil {
		return nil, errors.Join(err, d.discard())
	}
	return d, nil
}

// discard removes the part.
func (d *download) discard() error {
	d.close()
	return removeAll(d.f.entry.file("part"), d.f.entry.file("part.json"))
}

func (d *download) check() error {
	digest, err := d.info.digest()
	if err != nil {
		return err
	}
	return d.f.check(d.sums.hex(), digest)
}

func (d *download) attempts(ctx context.Context, tries int) error {
	return d.f.store.retry(ctx, tries, func() (bool, error) {
		before := d.most
		err := d.attempt(ctx)
		if errors.Is(err, syscall.ENOSPC) {
			err = errors.Join(d.f.store.noSpace(err), d.reset(Info{Size: -1})) // a full disk is not left full
		}
		return d.most >= before+progressStep, err
	})
}

// attempt opens the source once and takes what comes.
func (d *download) attempt(ctx context.Context) error {
	if d.file == nil {
		d.openPart(ctx)
	}
	from := Position{}
	if d.about.Validator != "" {
		from = Position{d.size, d.about.Validator}
	}
	body, info, err := d.f.source.Open(ctx, d.f.address, from)
	if err != nil {
		return err
	}
	defer body.Close()
	if _, err := info.digest(); err != nil {
		return err
	}
	d.info = info
	if d.cached = d.f.entry.byInfo(info, d.f.want); d.cached != nil || info.Path != "" {
		return nil
	}
	if about := (partInfo{info.Validator, info.Size, info.Digest, d.about.Boot}); info.Offset == d.size && d.size > 0 && about != d.about {
		return Retry(errors.Join(errChanged, d.reset(Info{Size: -1})), 0)
	}
	if info.Offset != d.size || d.size == 0 {
		if err := d.reset(info); err != nil {
			return err
		}
	}
	if info.Offset != d.size {
		return fmt.Errorf("the source answers from byte %d on, %d was asked for", info.Offset, d.size)
	}
	d.resumed = d.resumed || d.size > 0
	return d.receive(ctx, body)
}

// receive appends the body to the part. A chunk's sums are computed while it is written and the next one arrives.
func (d *download) receive(ctx context.Context, body io.Reader) error {
	if err := d.f.store.checkSpace(d.info.Size - d.size); err != nil {
		return err
	}
	in := &meteredReader{ctx: ctx, r: body, meter: d.f.progress, phase: "downloading", done: d.size, total: d.info.Size}
	buffer, spare := make([]byte, copyBuffer), make([]byte, copyBuffer)
	var summing sync.WaitGroup
	defer summing.Wait()
	for unchecked := 0; ; buffer, spare = spare, buffer {
		n, readErr := in.Read(buffer)
		summing.Wait()
		if n > 0 {
			if d.info.Size >= 0 && d.size+int64(n) > d.info.Size {
				err := fmt.Errorf("the source sends more than the %d bytes that it announced", d.info.Size)
				return errors.Join(err, d.reset(Info{Size: -1}))
			}
			chunk := buffer[:n]
			summing.Go(func() { _, _ = d.sums.Write(chunk) }) // a hash never fails
			if _, err := d.file.Write(chunk); err != nil {
				return err
			}
			d.size += int64(n)
			d.most = max(d.most, d.size)
			if unchecked += n; unchecked >= spaceCheck {
				unchecked = 0
				if err := d.f.store.checkSpace(max(d.info.Size-d.size, 0)); err != nil {
					return err
				}
			}
		}
		switch {
		case readErr == nil:
		case readErr != io.EOF:
			return Retry(fmt.Errorf("after %d bytes: %w", d.size, readErr), 0)
		case d.info.Size >= 0 && d.size < d.info.Size:
			return Retry(fmt.Errorf("the source ended after %d of %d bytes", d.size, d.info.Size), 0)
		default:
			return nil
		}
	}
}

// openPart takes up the part of an earlier run, if there is one that can be continued.
func (d *download) openPart(ctx context.Context) {
	d.about, d.size, d.sums = partInfo{Size: -1}, 0, newSums(d.f.want)
	about, size := d.f.entry.readPart()
	if size == 0 {
		return
	}
	d.sums = d.newSums(about)
	file, err := os.OpenFile(d.f.entry.file("part"), os.O_RDWR, 0)
	if err != nil {
		return
	}
	in := &meteredReader{ctx: ctx, r: file, meter: d.f.progress, phase: "resuming", total: size}
	n, err := io.CopyBuffer(struct{ io.Writer }{d.sums}, in, make([]byte, copyBuffer))
	if err != nil {
		file.Close()
		return
	}
	d.file, d.about, d.size, d.most, d.resumed = file, about, n, n, true
}

// reset empties the part, and notes what it will hold.
func (d *download) reset(info Info) error {
	d.close()
	d.about, d.size, d.resumed = partInfo{info.Validator, info.Size, info.Digest, bootID()}, 0, false
	d.sums = d.newSums(d.about)
	file, err := os.OpenFile(d.f.entry.file("part"), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("image cache: %w", err)
	}
	d.file = file
	text, err := json.Marshal(d.about)
	if err != nil {
		return err
	}
	return atomicfile.Write(d.f.entry.file("part.json"), text, 0o600)
}

// newSums computes what will be asked of the file that the part is of.
func (d *download) newSums(about partInfo) *sums {
	digest, _ := Info{Digest: about.Digest}.digest() // an invalid one was refused before
	return newSums(d.f.want, digest)
}

func (d *download) close() {
	if d.file != nil {
		d.file.Close()
		d.file = nil
	}
}

// readPart gives what part.json says and the size of the part; 0 when it cannot be continued.
func (e *entry) readPart() (partInfo, int64) {
	var about partInfo
	text, err := os.ReadFile(e.file("part.json"))
	if err != nil || json.Unmarshal(text, &about) != nil || about.Validator == "" || about.Boot != bootID() {
		return partInfo{}, 0
	}
	info, err := os.Stat(e.file("part"))
	if err != nil || about.Size >= 0 && info.Size() > about.Size {
		return partInfo{}, 0
	}
	return about, info.Size()
}

// partial is how much of the file the part holds.
func (e *entry) partial(info Info) int64 {
	about, size := e.readPart()
	if about.Validator != info.Validator || about.Size != info.Size || about.Digest != info.Digest {
		return 0
	}
	return size
}

// bootID names the current boot of the machine; empty where the system does not tell.
func bootID() string {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// checkSpace tells whether more bytes fit on the cache's disk, with a hundredth of it (1 GiB at most) left over.
func (s *Store) checkSpace(more int64) error {
	free, total, err := diskSpace(s.options.CacheDir)
	if err != nil {
		return fmt.Errorf("image cache: %w", err)
	}
	reserve := min(total/100, 1<<30)
	if need := max(more, 0) + reserve; need > free {
		return s.noSpace(fmt.Errorf("%s needed, %s free", resource.Size(need), resource.Size(free)))
	}
	return nil
}
