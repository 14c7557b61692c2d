package ovf

import (
	"archive/tar"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
)

const (
	descriptorLimit = 4 << 20 // bytes
	ustarLimit      = 8 << 30 // bytes of a file in a tar archive of the oldest kind, which every tool reads
)

// ReadFile reads the descriptor of an appliance, out of an OVA archive or by itself. Nothing else of an archive is read.
func ReadFile(name string) (*Appliance, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	head := make([]byte, 4096)
	n, err := f.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if IsDescriptor(head[:n]) {
		return readDescriptor(f)
	}
	archive := tar.NewReader(f)
	for {
		h, err := archive.Next()
		switch {
		case err == io.EOF:
			return nil, errors.New("this is no OVA: it has no OVF descriptor")
		case err != nil:
			return nil, fmt.Errorf("this is neither an OVA nor an OVF descriptor: %w", err)
		case h.Typeflag == tar.TypeReg && path.Ext(h.Name) == ".ovf":
			return readDescriptor(archive)
		}
	}
}

func readDescriptor(r io.Reader) (*Appliance, error) {
	text, err := io.ReadAll(io.LimitReader(r, descriptorLimit+1))
	if err != nil {
		return nil, err
	}
	if len(text) > descriptorLimit {
		return nil, fmt.Errorf("the OVF descriptor is larger than %d MiB", descriptorLimit>>20)
	}
	return Parse(text)
}

// WriteArchive writes the appliance as an OVA: descriptor, manifest, and the disks' files, which lie in dir. It completes
// the size of each file. progress is told how much of the disks is written; it may be nil.
func (a *Appliance) WriteArchive(w io.Writer, dir string, progress func(done int64)) error {
	manifest := strings.Builder{}
	for i, d := range a.Disks {
		if d.File == "" {
			continue
		}
		size, sum, err := measure(filepath.Join(dir, d.File))
		if err != nil {
			return err
		}
		a.Disks[i].FileSize = size
		fmt.Fprintf(&manifest, "SHA256(%s)= %x\n", d.File, sum)
	}
	text, err := a.Descriptor()
	if err != nil {
		return err
	}
	fmt.Fprintf(&manifest, "SHA256(%s.ovf)= %x\n", a.Name, sha256.Sum256(text))
	out := &archiver{tar: tar.NewWriter(w), now: time.Now(), progress: progress}
	if err := out.add(a.Name+".ovf", int64(len(text)), strings.NewReader(string(text))); err != nil {
		return err
	}
	if err := out.add(a.Name+".mf", int64(manifest.Len()), strings.NewReader(manifest.String())); err != nil {
		return err
	}
	for _, d := range a.Disks {
		if d.File == "" {
			continue
		}
		if err := out.addFile(filepath.Join(dir, d.File), d); err != nil {
			return err
		}
	}
	return out.tar.Close()
}

func measure(name string) (size int64, sum []byte, err error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, nil, err
	}
	defer f.Close()
	h := sha256.New()
	size, err = io.Copy(h, f)
	return size, h.Sum(nil), err
}

type archiver struct {
	tar      *tar.Writer
	now      time.Time
	progress func(done int64)
	done     int64
}

func (a *archiver) addFile(name string, d Disk) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return a.add(d.File, d.FileSize, io.TeeReader(f, a))
}

func (a *archiver) add(name string, size int64, content io.Reader) error {
	h := &tar.Header{Name: name, Size: size, Mode: 0o644, ModTime: a.now, Format: tar.FormatUSTAR}
	if size >= ustarLimit {
		h.Format = tar.FormatGNU
	}
	h.ModTime = h.ModTime.Truncate(time.Second)
	if err := a.tar.WriteHeader(h); err != nil {
		return err
	}
	_, err := io.Copy(a.tar, content)
	return err
}

// Write counts what is read of the disks.
func (a *archiver) Write(p []byte) (int, error) {
	a.done += int64(len(p))
	if a.progress != nil {
		a.progress(a.done)
	}
	return len(p), nil
}
