package source

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"vmplan.dev/vmplan/config/resource"
)

// shape is what an image's bits are.
type shape struct {
	Format      string        `json:"format"` // "qcow2" or "raw"
	VirtualSize resource.Size `json:"virtual_size"`
}

// compressions are the kinds of packed files, known by the end of their name and by their first bytes.
var compressions = []struct{ suffix, magic string }{
	{".gz", "\x1f\x8b\x08"}, {".xz", "\xfd7zXZ\x00"}, {".zst", "\x28\xb5\x2f\xfd"}, {".bz2", "BZh"},
}

// compressionOf gives the suffix of the way a file is packed, empty when it is not. Its first bytes decide; a name that says
// otherwise is an error, for then the file is not what its author meant.
func compressionOf(name string, head []byte) (string, error) {
	found := ""
	for _, c := range compressions {
		if bytes.HasPrefix(head, []byte(c.magic)) {
			found = c.suffix
		}
	}
	for _, c := range compressions {
		if strings.HasSuffix(strings.ToLower(name), c.suffix) && found != c.suffix {
			return "", fmt.Errorf("the name ends in %s, but that is not what the file is%s", c.suffix, looksLike(head))
		}
	}
	return found, nil
}

func looksLike(head []byte) string {
	if isWebPage(head) {
		return ": it is a web page"
	}
	return ""
}

func isWebPage(head []byte) bool {
	text := strings.ToLower(string(bytes.TrimLeft(head[:min(len(head), 512)], "\ufeff \t\r\n")))
	return strings.HasPrefix(text, "<!doctype html") || strings.HasPrefix(text, "<html")
}

// foreign are formats that no driver imports.
var foreign = []struct {
	name, magic string
	at          int
}{
	{"vhdx", "vhdxfile", 0},
	{"vpc", "conectix", 0},
	{"vdi", "\x7f\x10\xda\xbe", 64},
	{"qed", "QED\x00", 0},
	{"parallels", "WithoutFreeSpace", 0},
	{"parallels", "WithouFreSpacExt", 0},
	{"qcow", "QFI\xfb\x00\x00\x00\x01", 0},
}

// inspect tells what the open image is, and refuses what no driver can take or what would harm the host.
func inspect(f io.ReaderAt, size int64) (shape, error) {
	head := make([]byte, min(size, headerRead))
	if _, err := f.ReadAt(head, 0); err != nil && err != io.EOF {
		return shape{}, err
	}
	if err := checkForeign(head); err != nil {
		return shape{}, err
	}
	if bytes.HasPrefix(head, []byte(qcow2Magic)) {
		virtual, err := parseQCOW2(head, size)
		return shape{"qcow2", virtual}, err
	}
	switch tail := make([]byte, 512); {
	case size == 0:
		return shape{}, errors.New("the image is empty")
	case resource.Size(size) > maxDiskSize:
		return shape{}, fmt.Errorf("the image has %d bytes, more than any disk", size)
	case size > 512:
		// A fixed VHD is a raw disk with a footer.
		if _, err := f.ReadAt(tail, size-512); err != nil {
			return shape{}, err
		}
		if bytes.HasPrefix(tail, []byte("conectix")) && binary.BigEndian.Uint32(tail[12:]) == 1<<16 {
			return shape{}, refuseFormat("vpc")
		}
	}
	return shape{"raw", resource.Size(size+511) / 512 * 512}, nil
}

func checkForeign(head []byte) error {
	for _, f := range foreign {
		if len(head) > f.at && bytes.HasPrefix(head[f.at:], []byte(f.magic)) {
			return refuseFormat(f.name)
		}
	}
	for _, c := range compressions {
		if bytes.HasPrefix(head, []byte(c.magic)) {
			return fmt.Errorf("the image is packed twice (%s inside); unpack it and use the file", c.suffix)
		}
	}
	switch {
	case isWebPage(head):
		return errors.New("this is a web page, not an image: check the URL")
	case isTar(head):
		return errors.New("this is a tar archive; extract the image from it and use that")
	case isZip(head):
		return errors.New("this is a zip archive; extract the image from it and use that")
	}
	return nil
}

func refuseFormat(name string) error {
	return fmt.Errorf("the format is %s, which is not supported; convert it: qemu-img convert -f %s -O qcow2 OLD NEW", name, name)
}
