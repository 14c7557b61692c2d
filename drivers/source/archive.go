package source

import (
	"archive/tar"
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"path"
	"slices"
	"strings"
)

const (
	memberLimit = 10_000  // files in an archive; those that hold disks have a handful
	textLimit   = 4 << 20 // bytes of a descriptor
)

// member is a regular file in an archive. The body is good until the next one is asked for.
type member struct {
	name string // clean, with slashes, never absolute and never above the archive
	size int64  // as the archive says, which may be a lie
	body io.Reader
}

// tarMembers walks the regular files of a tar archive. An archive with anything that is not a plain file or folder, or with a
// name that leads out of it, is refused: nothing of it would be written there, but it was made to harm someone.
func tarMembers(r io.Reader) iter.Seq2[member, error] {
	t := tar.NewReader(r)
	return guarded(func() (member, bool, error) {
		h, err := t.Next()
		if err != nil {
			return member{}, false, err
		}
		switch h.Typeflag {
		case tar.TypeReg, tar.TypeGNUSparse, tar.TypeCont:
			return member{h.Name, h.Size, t}, true, nil
		case tar.TypeDir, tar.TypeXGlobalHeader:
			return member{name: h.Name}, false, nil
		case tar.TypeSymlink, tar.TypeLink:
			return member{}, false, fmt.Errorf("it is refused: %q in it is a link, to %q", h.Name, h.Linkname)
		default:
			return member{}, false, fmt.Errorf("it is refused: %q in it is a device or something else that is no file", h.Name)
		}
	})
}

// zipMembers walks the regular files of a zip archive of that size, by the same rules.
func zipMembers(r io.ReaderAt, size int64) iter.Seq2[member, error] {
	z, err := zip.NewReader(r, size)
	i := 0
	var body io.ReadCloser
	return guarded(func() (member, bool, error) {
		if body != nil {
			body.Close() // what is wrong with it was said while it was read
			body = nil
		}
		if err != nil {
			return member{}, false, err
		}
		if i >= len(z.File) {
			return member{}, false, io.EOF
		}
		f := z.File[i]
		i++
		switch mode := f.Mode(); {
		case mode.IsDir():
			return member{name: f.Name}, false, nil
		case !mode.IsRegular():
			return member{}, false, fmt.Errorf("it is refused: %q in it is a link, a device or something else that is no file", f.Name)
		}
		var openErr error
		if body, openErr = f.Open(); openErr != nil {
			return member{}, false, openErr
		}
		return member{f.Name, int64(min(f.UncompressedSize64, 1<<62)), body}, true, nil
	})
}

// guarded walks what next gives until io.EOF, and holds it to the rules on names and numbers. next tells of each whether it
// is a file.
func guarded(next func() (m member, isFile bool, err error)) iter.Seq2[member, error] {
	return func(yield func(member, error) bool) {
		seen := map[string]bool{}
		for range memberLimit {
			m, isFile, err := next()
			if err == io.EOF {
				return
			}
			if err == nil && m.name != "" {
				m.name, err = memberName(m.name)
			}
			switch {
			case err == nil && isFile && seen[m.name]:
				err = fmt.Errorf("it is refused: %q is in it twice", m.name)
			case errors.Is(err, io.ErrUnexpectedEOF):
				err = errors.New("it is cut short")
			}
			if err != nil {
				yield(member{}, fmt.Errorf("archive: %w", err))
				return
			}
			seen[m.name] = isFile
			if isFile && !yield(m, nil) {
				return
			}
		}
		yield(member{}, fmt.Errorf("archive: it is refused: it has more than %d files", memberLimit))
	}
}

func memberName(name string) (string, error) {
	clean := path.Clean(name)
	if path.IsAbs(name) || strings.ContainsAny(name, "\\\x00") || slices.Contains(strings.Split(name, "/"), "..") || !fs.ValidPath(clean) {
		return "", fmt.Errorf("it is refused: the name %q leads out of it", name)
	}
	return clean, nil
}

// isTar tells whether a file with these first bytes is a tar archive.
func isTar(head []byte) bool { return len(head) >= 262 && string(head[257:262]) == "ustar" }

func isZip(head []byte) bool { return len(head) >= 4 && string(head[:4]) == "PK\x03\x04" }
