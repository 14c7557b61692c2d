package cli

import (
	"bytes"
	"io"
)

// escape is Ctrl-], as telnet and virsh have it.
const escape = 0x1d

// escapeReader ends, and calls leave, when the escape key comes along.
type escapeReader struct {
	in    io.Reader
	leave func()
	done  bool
}

func (r *escapeReader) Read(p []byte) (int, error) {
	if r.done {
		return 0, io.EOF
	}
	n, err := r.in.Read(p)
	if i := bytes.IndexByte(p[:n], escape); i >= 0 {
		r.done = true
		r.leave()
		return i, io.EOF
	}
	return n, err
}
