package source

import (
	"encoding/binary"
	"errors"
	"fmt"

	"vmplan.dev/vmplan/config/resource"
)

const (
	qcow2Magic  = "QFI\xfb"
	maxDiskSize = 64 * resource.TiB // no image in the wild comes near; QEMU's own limit is 2 EiB
	// headerRead is how much of an image is read to judge it: QEMU wants the whole header in the first cluster, which has
	// 64 KiB in all images but those made by hand.
	headerRead = 64 << 10
)

// The incompatible features of a qcow2 image, by bit.
const (
	featureDirty    = 1 << 0
	featureCorrupt  = 1 << 1
	featureDataFile = 1 << 2
	featureCompress = 1 << 3
	featureSubclust = 1 << 4
)

const extensionDataFile = 0x44415441

// parseQCOW2 judges the beginning of a qcow2 image of fileSize bytes and gives the size of its disk. An image that names
// another file (backing or data) is refused: the hypervisor would open that name on the host, whatever it is.
func parseQCOW2(head []byte, fileSize int64) (resource.Size, error) {
	if len(head) < 72 || string(head[:4]) != qcow2Magic {
		return 0, errors.New("the qcow2 header is cut short")
	}
	u32 := func(at int) uint32 { return binary.BigEndian.Uint32(head[at:]) }
	u64 := func(at int) uint64 { return binary.BigEndian.Uint64(head[at:]) }
	version, clusterBits, size, headerLength := u32(4), u32(20), u64(24), uint32(72)
	switch version {
	case 2:
	case 3:
		if len(head) < 104 {
			return 0, errors.New("the qcow2 header is cut short")
		}
		headerLength = u32(100)
	default:
		return 0, fmt.Errorf("qcow2 version %d is not supported; convert it: qemu-img convert -O qcow2 OLD NEW", version)
	}
	switch {
	case u64(8) != 0 || u32(16) != 0:
		return 0, errors.New("the image has a backing file, which would be read from the host; flatten it: qemu-img convert -O qcow2 OLD NEW")
	case clusterBits < 9 || clusterBits > 21:
		return 0, fmt.Errorf("the qcow2 header is damaged: cluster_bits is %d", clusterBits)
	case size == 0 || size > uint64(maxDiskSize):
		return 0, fmt.Errorf("the qcow2 header says that the disk has %d bytes, which is not between 1 and %d", size, uint64(maxDiskSize))
	case u32(32) != 0:
		return 0, errors.New("the image is encrypted, which is not supported")
	}
	if version == 3 {
		if err := checkFeatures(u64(72)); err != nil {
			return 0, err
		}
	}
	if err := checkExtensions(head, headerLength, clusterBits); err != nil {
		return 0, err
	}
	if err := checkTables(head, version, uint64(fileSize)); err != nil {
		return 0, err
	}
	return resource.Size(size), nil
}

// checkTables looks that the image's tables lie in the file and can describe the whole disk.
func checkTables(head []byte, version uint32, fileSize uint64) error {
	u32 := func(at int) uint64 { return uint64(binary.BigEndian.Uint32(head[at:])) }
	u64 := func(at int) uint64 { return binary.BigEndian.Uint64(head[at:]) }
	clusterBits, size, entries := u32(20), u64(24), u32(36)
	for _, t := range []struct {
		name          string
		offset, bytes uint64
	}{{"L1 table", u64(40), entries * 8}, {"refcount table", u64(48), u32(56) << clusterBits}} {
		if t.offset == 0 || t.offset >= fileSize || t.bytes > fileSize-t.offset {
			return fmt.Errorf("the image is damaged or cut short: its %s lies outside the file", t.name)
		}
	}
	// An entry of the L1 table stands for one cluster full of L2 entries (of 8 bytes, or 16), each of which stands for a cluster.
	entryBits := uint64(3)
	if version == 3 && u64(72)&featureSubclust != 0 {
		entryBits = 4
	}
	if perEntry := uint64(1) << (2*clusterBits - entryBits); entries < (size+perEntry-1)/perEntry {
		return errors.New("the qcow2 header is damaged: its L1 table is too small for the disk")
	}
	return nil
}

func checkFeatures(bits uint64) error {
	switch {
	case bits&featureDataFile != 0:
		return errors.New("the image keeps its data in another file, which would be read from the host; make it one: qemu-img convert -O qcow2 OLD NEW")
	case bits&featureCorrupt != 0:
		return errors.New("the image is marked as corrupt; repair it: qemu-img check -r all FILE")
	case bits&^(featureDirty|featureCompress|featureSubclust) != 0:
		return fmt.Errorf("the image needs qcow2 features that are not known here (%#x); convert it: qemu-img convert -O qcow2 OLD NEW", bits)
	}
	return nil
}

// checkExtensions walks the header's extensions, which lie between the header and the end of the first cluster.
func checkExtensions(head []byte, at, clusterBits uint32) error {
	end := min(len(head), 1<<clusterBits)
	damaged := errors.New("the qcow2 header is damaged: its extensions do not end")
	if at < 72 || at%8 != 0 || int64(at) > int64(end) {
		return damaged
	}
	for pos := int(at); pos+8 <= end; {
		kind, length := binary.BigEndian.Uint32(head[pos:]), int64(binary.BigEndian.Uint32(head[pos+4:]))
		switch {
		case kind == 0:
			return nil
		case kind == extensionDataFile:
			return checkFeatures(featureDataFile)
		case length > int64(end):
			return damaged
		}
		pos += 8 + int(length+7)/8*8
	}
	return nil
}
