package source

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/mikelolasagasti/xz"
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

// unpack unpacks the open file into the entry's unpacked, and fills in what v says of the bits. Nothing is left of a failure.
func (f *fetcher) unpack(ctx context.Context, packed *os.File, suffix string, v *version) (err error) {
	path := f.entry.file("unpacked")
	out, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("image cache: %w", err)
	}
	defer func() {
		out.Close()
		switch {
		case err == nil:
			return
		case errors.Is(err, syscall.ENOSPC):
			err = f.store.noSpace(err)
		}
		err = errors.Join(err, removeAll(path))
	}()
	if _, err := packed.Seek(0, io.SeekStart); err != nil {
		return err
	}
	in := &meteredReader{ctx: ctx, r: packed, meter: f.progress, phase: "unpacking", total: v.SourceSize}
	unpacked, err := unpacker(suffix, bufio.NewReaderSize(in, copyBuffer))
	if err != nil {
		return fmt.Errorf("unpack %s: %w", suffix, err)
	}
	defer unpacked.Close()

	w := &sparseWriter{file: out}
	digest := sha256.New()
	if err := f.pour(unpacked, io.MultiWriter(w, digest), suffix, v.SourceSize); err != nil {
		return err
	}
	if err := out.Truncate(w.offset); err != nil {
		return err
	}
	v.Digest = digestOf(digest.Sum(nil))
	v.shape, err = inspect(out, w.offset)
	return err
}

// pour copies within the limits on size, ratio and free space.
func (f *fetcher) pour(from io.Reader, to io.Writer, suffix string, packed int64) error {
	limit := max(f.store.limits.bombSize, packed*f.store.limits.bombRatio)
	buffer := make([]byte, copyBuffer)
	var total, unchecked int64
	for {
		n, readErr := fill(from, buffer)
		if total += int64(n); total > limit {
			return fmt.Errorf("unpack %s: more than %d bytes come out of %d; if that is meant, unpack the file and use that", suffix, limit, packed)
		}
		if unchecked += int64(n); unchecked >= spaceCheck {
			unchecked = 0
			if err := f.store.checkSpace(0); err != nil {
				return err
			}
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return err
		}
		switch readErr {
		case nil:
		case io.EOF:
			return nil
		case io.ErrUnexpectedEOF:
			return fmt.Errorf("unpack %s: the file is cut short", suffix)
		default:
			return fmt.Errorf("unpack %s: the file is damaged: %w", suffix, readErr)
		}
	}
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
