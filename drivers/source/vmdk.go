package source

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"time"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers/qemuimg"
)

const (
	vmdkMagic = "KDMV"
	sector    = 512
	// qemuDescriptor is where QEMU looks for the descriptor, whatever the header says, and how far.
	qemuDescriptorAt, qemuDescriptorSize = 0x200, 20 * sector
	footerFollows                        = ^uint64(0) // as the place of the grain directory
)

var (
	vmdkExtent     = regexp.MustCompile(`(?im)^\s*(?:RW|RDONLY|NOACCESS)\s+(\d+)\s+(\w+)(.*)$`)
	vmdkCreateType = regexp.MustCompile(`(?im)^\s*createType\s*=\s*"?(\w+)`)
	vmdkParentCID  = regexp.MustCompile(`(?im)^\s*parentCID\s*=\s*"?(\w+)`)
)

// parseVMDK judges an image in VMware's format and gives the size of its disk. Only one file that holds all of its disk is
// taken (monolithicSparse, streamOptimized): what names a parent or an extent elsewhere would have other files of this
// machine read.
func parseVMDK(f io.ReaderAt, size int64) (resource.Size, error) {
	head := make([]byte, min(size, headerRead))
	if _, err := f.ReadAt(head, 0); err != nil && err != io.EOF {
		return 0, err
	}
	if len(head) < 2*sector || string(head[:4]) != vmdkMagic {
		return 0, errors.New("the vmdk header is cut short")
	}
	u64 := func(b []byte, at int) uint64 { return binary.LittleEndian.Uint64(b[at:]) }
	capacity, descriptorAt, descriptorSize := u64(head, 12), u64(head, 28), u64(head, 36)
	switch {
	case capacity == 0:
		return 0, errors.New("the vmdk file is only a descriptor of disks in other files, which would be read from this machine; make it one file: qemu-img convert -O qcow2 OLD NEW")
	case capacity > uint64(maxDiskSize)/sector:
		return 0, fmt.Errorf("the vmdk header says that the disk has %d sectors, more than any disk", capacity)
	case descriptorAt == 0 || descriptorAt > uint64(len(head))/sector || descriptorSize > uint64(len(head))/sector-descriptorAt:
		return 0, errors.New("the vmdk header is damaged: its descriptor lies outside")
	}
	if u64(head, 56) == footerFollows {
		footer := make([]byte, sector)
		if _, err := f.ReadAt(footer, size-2*sector); err != nil {
			return 0, err
		}
		if string(footer[:4]) != vmdkMagic || u64(footer, 12) != capacity {
			return 0, errors.New("the vmdk file is damaged or cut short: its footer is not that of the header")
		}
	}
	for _, d := range [][]byte{
		head[descriptorAt*sector:][:descriptorSize*sector],
		head[qemuDescriptorAt:min(len(head), qemuDescriptorAt+qemuDescriptorSize)],
	} {
		if err := checkDescriptor(string(bytes.TrimRight(d, "\x00"))); err != nil {
			return 0, err
		}
	}
	return resource.Size(capacity * sector), nil
}

// checkDescriptor refuses a descriptor of anything but the one file that it is in.
func checkDescriptor(text string) error {
	if strings.Contains(text, "parentFileNameHint") {
		return errors.New("the vmdk image has a parent, which would be read from this machine; flatten it: qemu-img convert -O qcow2 OLD NEW")
	}
	if m := vmdkParentCID.FindStringSubmatch(text); m != nil && !strings.EqualFold(m[1], "ffffffff") {
		return errors.New("the vmdk image has a parent, and is incomplete without it")
	}
	if m := vmdkCreateType.FindStringSubmatch(text); m != nil && m[1] != "monolithicSparse" && m[1] != "streamOptimized" {
		return fmt.Errorf("the vmdk image is of type %s, with its data in other files, which would be read from this machine; make it one file: qemu-img convert -O qcow2 OLD NEW", m[1])
	}
	extents := vmdkExtent.FindAllStringSubmatch(text, -1)
	if len(extents) > 1 || len(extents) == 1 && !strings.EqualFold(extents[0][2], "SPARSE") {
		return fmt.Errorf("the vmdk image has its data in other files (%s), which would be read from this machine; make it one file: qemu-img convert -O qcow2 OLD NEW",
			strings.TrimSpace(extents[len(extents)-1][3]))
	}
	return nil
}

// isVMDK tells whether a file with these first bytes is an image in VMware's format, or a descriptor of one.
func isVMDK(head []byte) bool {
	return bytes.HasPrefix(head, []byte(vmdkMagic)) || bytes.HasPrefix(head, []byte("COWD")) ||
		bytes.HasPrefix(bytes.TrimLeft(head, "\r\n \t"), []byte("# Disk DescriptorFile"))
}

// convert makes a qcow2 image of the vmdk image at path, with qemu-img: no library reads all of what there is as well.
func (f *fetcher) convert(ctx context.Context, path, to string, b *budget) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	head := make([]byte, 4)
	if _, err := file.ReadAt(head, 0); err != nil || string(head) != vmdkMagic {
		return errors.New("this vmdk file has its data in other files, or in VMware's oldest format, which is not supported; make it one file: qemu-img convert -O qcow2 OLD NEW")
	}
	capacity, err := parseVMDK(file, info.Size())
	if err != nil {
		return err
	}
	w := &growth{to: to, budget: b}
	c := &qemuimg.Conversion{
		From: path, FromFormat: "vmdk", To: to, ToFormat: "qcow2",
		Report: func(done float64) { f.progress.at("converting", int64(done*float64(capacity)), int64(capacity)) },
	}
	return w.watched(ctx, c.Run)
}

// growth watches a file that another process writes.
type growth struct {
	to     string
	seen   int64
	budget *budget
}

// watched runs do, and stops it when the file grows beyond the limits: a small file can describe a disk without end.
func (g *growth) watched(ctx context.Context, do func(context.Context) error) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	done, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		if err := g.watch(done); err != nil {
			stop(err)
		}
	}()
	err := do(ctx)
	close(done)
	<-watched
	if err == nil {
		err = g.check()
	}
	return err
}

// watch looks at the file's size until done.
func (g *growth) watch(done <-chan struct{}) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return nil
		case <-tick.C:
			if err := g.check(); err != nil {
				return err
			}
		}
	}
}

// check counts what the file has taken of the disk so far.
func (g *growth) check() error {
	info, err := os.Stat(g.to)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	grown := allocated(info) - g.seen
	g.seen += grown
	return g.budget.take(grown)
}
