//go:build !nolibvirt

package libvirt

import (
	"bytes"
	"context"
	"errors"
	"io"
)

// sparseWriter writes to a new file, and leaves holes in it where there are zeros; or to anything else, zeros and all.
type sparseWriter struct {
	w     io.Writer
	seek  io.Seeker // nil: w is no file
	zeros []byte
	at    int64
	hole  bool             // the last bytes are a hole
	wrote func(done int64) // may be nil
}

func newSparseWriter(w io.Writer) *sparseWriter {
	s := &sparseWriter{w: w, zeros: make([]byte, chunkSize)}
	if seek, ok := w.(io.Seeker); ok {
		if _, err := seek.Seek(0, io.SeekCurrent); err == nil { // a pipe says that it cannot only when it is asked to
			s.seek = seek
		}
	}
	return s
}

func (s *sparseWriter) write(chunk []byte) error {
	if len(chunk) <= len(s.zeros) && bytes.Equal(chunk, s.zeros[:len(chunk)]) {
		return s.skip(int64(len(chunk)))
	}
	if _, err := s.w.Write(chunk); err != nil {
		return err
	}
	s.hole = false
	s.move(int64(len(chunk)))
	return nil
}

func (s *sparseWriter) move(n int64) {
	s.at += n
	if s.wrote != nil {
		s.wrote(s.at)
	}
}

// skip writes n zeros.
func (s *sparseWriter) skip(n int64) error {
	if s.seek != nil {
		s.hole = s.hole || n > 0
		s.move(n)
		_, err := s.seek.Seek(n, io.SeekCurrent)
		return err
	}
	for n > 0 {
		part := min(n, int64(len(s.zeros)))
		if _, err := s.w.Write(s.zeros[:part]); err != nil {
			return err
		}
		s.move(part)
		n -= part
	}
	return nil
}

// finish gives the file its length where it ends with a hole.
func (s *sparseWriter) finish() error {
	if !s.hole {
		return nil
	}
	if _, err := s.seek.Seek(-1, io.SeekCurrent); err != nil {
		return err
	}
	_, err := s.w.Write([]byte{0})
	return err
}

// copyFile writes all of r.
func (s *sparseWriter) copyFile(ctx context.Context, r io.Reader) error {
	buf := make([]byte, chunkSize)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := io.ReadFull(r, buf)
		if n > 0 {
			if err := s.write(buf[:n]); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return s.finish()
		}
		if err != nil {
			return err
		}
	}
}
