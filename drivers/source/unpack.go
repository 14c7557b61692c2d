package source

import (
	"bytes"
	"compress/bzip2"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/mikelolasagasti/xz"

	"vmplan.dev/vmplan/drivers"
)

// windowLimit bounds the memory that a packed file can ask for: what `xz -9` and `zstd --long` need, and some more.
const windowLimit = 128 << 20

// unpacker gives the reader for files that are packed in the way of the suffix.
//
// xz is unpacked by a Go library like the rest, not by the xz program, which takes two thirds of the time (204 MB: 1.7 s
// against 2.6 s): there is one way on every machine, with a bound on memory. The better known ulikunitz/xz takes 3.6 s
// and has no such bound.
func unpacker(suffix string, r io.Reader) (io.ReadCloser, error) {
	switch suffix {
	case ".gz":
		return gzip.NewReader(r)
	case ".xz":
		x, err := xz.NewReader(r, windowLimit)
		return io.NopCloser(x), err
	case ".zst":
		z, err := zstd.NewReader(r, zstd.WithDecoderMaxWindow(windowLimit), zstd.WithDecoderConcurrency(2))
		if err != nil {
			return nil, err
		}
		return z.IOReadCloser(), nil
	default:
		return io.NopCloser(bzip2.NewReader(r)), nil
	}
}

// budget is what may come out of something packed: so many bytes, and as long as the disk has room.
type budget struct {
	store            *Store
	what             string
	packed, limit    int64
	total, unchecked int64
}

func (f *fetcher) newBudget(what string, packed int64) *budget {
	return &budget{store: f.store, what: what, packed: packed, limit: max(f.store.limits.bombSize, packed*f.store.limits.bombRatio)}
}

// limitError tells that a budget is used up.
type limitError struct{ error }

func (b *budget) exceeded() error {
	return &limitError{fmt.Errorf("%s: more than %d bytes come out of %d; if that is meant, unpack the file and use that", b.what, b.limit, b.packed)}
}

// take counts n more bytes.
func (b *budget) take(n int64) error {
	if b.total += n; b.total > b.limit {
		return b.exceeded()
	}
	if b.unchecked += n; b.unchecked >= spaceCheck {
		b.unchecked = 0
		return b.store.checkSpace(0)
	}
	return nil
}

// pour copies within the limits on size, ratio and free space.
func (b *budget) pour(from io.Reader, to io.Writer) error {
	buffer := make([]byte, copyBuffer)
	for {
		n, readErr := fill(from, buffer)
		if err := b.take(int64(n)); err != nil {
			return err
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return err
		}
		if readErr == io.EOF {
			return nil
		}
		if readErr != nil {
			return b.word(readErr)
		}
	}
}

// word words why reading failed.
func (b *budget) word(err error) error {
	switch {
	case errors.As(err, new(*limitError)), errors.Is(err, context.Canceled), errors.Is(err, drivers.ErrNoSpace):
		return err
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%s: the file is cut short", b.what)
	}
	return fmt.Errorf("%s: the file is damaged: %w", b.what, err)
}

// bounded is a reader that ends when its budget does: for what is read and not kept.
type bounded struct {
	io.Reader
	*budget
}

func (r bounded) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err := r.take(int64(n)); err != nil {
		return 0, err
	}
	return n, err
}

// fill reads until the buffer is full. Unlike io.ReadFull it keeps a proper end (io.EOF) apart from a file that is cut short.
func fill(r io.Reader, buffer []byte) (n int, err error) {
	for n < len(buffer) && err == nil {
		var m int
		m, err = r.Read(buffer[n:])
		n += m
	}
	return n, err
}

// sparseWriter leaves holes where blocks of zeros are: unpacked raw images are mostly that. The file must be empty at first
// and be truncated to offset at last.
type sparseWriter struct {
	file   *os.File
	offset int64
}

var zeros [64 << 10]byte

func (w *sparseWriter) Write(p []byte) (int, error) {
	for at := 0; at < len(p); {
		block := p[at:min(at+len(zeros), len(p))]
		if !bytes.Equal(block, zeros[:len(block)]) {
			if _, err := w.file.WriteAt(block, w.offset); err != nil {
				return at, err
			}
		}
		at += len(block)
		w.offset += int64(len(block))
	}
	return len(p), nil
}
