package source

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"vmplan.dev/vmplan/config/resource"
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
		return errors.New("the vmdk image stands on a parent, which would be read from this machine; flatten it: qemu-img convert -O qcow2 OLD NEW")
	}
	if m := vmdkParentCID.FindStringSubmatch(text); m != nil && !strings.EqualFold(m[1], "ffffffff") {
		return errors.New("the vmdk image stands on a parent, and is not whole without it")
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
func (f *fetcher) convert(ctx context.Context, path, to string) error {
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
	tool, err := exec.LookPath("qemu-img")
	if err != nil {
		return errors.New("the disk is in VMware's format, and qemu-img, which converts it, is not installed: " +
			"it is in the package qemu-utils (Debian, Ubuntu), qemu-img (Fedora, Arch) or qemu (Homebrew)")
	}
	c := &conversion{f: f, to: to, virtual: int64(capacity), budget: f.newBudget("convert from vmdk", info.Size())}
	return c.run(ctx, tool, path)
}

// conversion is a run of qemu-img, watched.
type conversion struct {
	f       *fetcher
	to      string
	virtual int64
	budget  *budget
}

// run converts, and stops when the result grows beyond the limits: a small file can describe a disk without end.
func (c *conversion) run(ctx context.Context, tool, path string) error {
	from, err := json.Marshal(map[string]any{
		"driver": "vmdk", "backing": nil, "file": map[string]any{"driver": "file", "filename": path},
	})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	cmd := exec.CommandContext(ctx, tool, "convert", "-p", "-O", "qcow2", "json:"+string(from), c.to)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("qemu-img: %w", err)
	}
	done := make(chan struct{})
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		if err := c.watch(done); err != nil {
			stop(err)
		}
	}()
	c.tell(out)
	err = cmd.Wait()
	close(done)
	<-watched
	switch {
	case err == nil && context.Cause(ctx) == nil:
		return c.grown()
	case context.Cause(ctx) != nil:
		return context.Cause(ctx)
	}
	text := strings.TrimSpace(strings.ReplaceAll(stderr.String(), path, "the image"))
	return fmt.Errorf("the vmdk image cannot be converted: %s", strings.TrimPrefix(text, "qemu-img: "))
}

// tell passes on how far qemu-img is, which it writes as "(12.34/100%)".
func (c *conversion) tell(out io.Reader) {
	lines := bufio.NewReader(out)
	for {
		text, err := lines.ReadString('\r')
		if _, number, ok := strings.Cut(text, "("); ok {
			percent, _, _ := strings.Cut(number, "/")
			if done, err := strconv.ParseFloat(percent, 64); err == nil && done >= 0 && done <= 100 {
				c.f.progress.at("converting", int64(done/100*float64(c.virtual)), c.virtual)
			}
		}
		if err != nil {
			return
		}
	}
}

// watch looks at the result's size until done.
func (c *conversion) watch(done <-chan struct{}) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return nil
		case <-tick.C:
			if err := c.grown(); err != nil {
				return err
			}
		}
	}
}

// grown counts what the result has taken of the disk so far.
func (c *conversion) grown() error {
	info, err := os.Stat(c.to)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	size := info.Size()
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		size = min(size, stat.Blocks*sector)
	}
	return c.budget.take(size - c.budget.total)
}
