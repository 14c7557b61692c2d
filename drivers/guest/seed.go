package guest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/kdomanski/iso9660"

	"vmplan.dev/vmplan/config/resource"
)

const (
	seedLabel  = "cidata" // what NoCloud looks for
	sectorSize = 2048
	// Where things are in the image, in sectors: 16 are left to the system, then come the descriptors.
	sectorDescriptor = 16
	sectorTerminator = 17
	sectorPathsLE    = 18
	sectorPathsBE    = 19
	sectorRoot       = 20
	sectorFiles      = 21
)

// seedTime stands in every seed, so that equal content gives equal bytes.
var seedTime = time.Date(2020, time.January, 1, 0, 0, 0, 0, time.UTC)

type seedFile struct {
	name string
	data string
}

// BuildSeed makes the NoCloud seed: an ISO 9660 image labelled cidata with user-data and meta-data, which cloud-init wants
// both, and network-config and vendor-data when they are set. Equal content gives equal bytes. A secret that was decoded and
// not revealed is an error.
func BuildSeed(seed *resource.Seed) ([]byte, error) {
	var files []seedFile
	for _, f := range []struct {
		name     string
		secret   resource.Secret
		required bool
	}{
		// Sorted, as the standard wants a folder's entries to be.
		{"meta-data", seed.MetaData, true},
		{"network-config", seed.NetworkConfig, false},
		{"user-data", seed.UserData, true},
		{"vendor-data", seed.VendorData, false},
	} {
		text, ok := f.secret.Clear()
		if !ok {
			return nil, fmt.Errorf("%s: %s is known only by its hash: load the project's files again to have its text",
				seed.Addr, strings.ReplaceAll(f.name, "-", "_"))
		}
		if f.required || !f.secret.IsZero() {
			files = append(files, seedFile{f.name, text})
		}
	}
	image, err := buildISO(seedLabel, files)
	if err != nil {
		return nil, fmt.Errorf("%s: build seed: %w", seed.Addr, err)
	}
	return image, nil
}

// buildISO lays a flat ISO 9660 image out in memory. The library's own writer stages files in a temporary folder, where
// secrets would stay after a crash; its encoders are used here without it.
func buildISO(label string, files []seedFile) ([]byte, error) {
	root := entry("\x00", sectorRoot, sectorSize)
	root.FileFlags = 2 // a folder
	parent := root.Clone()
	parent.Identifier = "\x01"
	entries := []*iso9660.DirectoryEntry{root, &parent}
	next := sectorFiles
	for _, f := range files {
		entries = append(entries, entry(f.name+";1", next, len(f.data)))
		next += sectors(len(f.data))
	}

	image := make([]byte, next*sectorSize)
	var folder bytes.Buffer
	for _, e := range entries {
		data, err := e.MarshalBinary()
		if err != nil {
			return nil, err
		}
		folder.Write(data)
	}
	copy(image[sectorRoot*sectorSize:], folder.Bytes())
	for i, f := range files {
		copy(image[int(entries[i+2].ExtentLocation)*sectorSize:], f.data)
	}
	paths := writePathTables(image)
	if err := writeDescriptors(image, label, root, paths); err != nil {
		return nil, err
	}
	return image, nil
}

func entry(name string, sector, size int) *iso9660.DirectoryEntry {
	return &iso9660.DirectoryEntry{
		Identifier: name, ExtentLocation: int32(sector), ExtentLength: uint32(size),
		RecordingDateTime: iso9660.RecordingTimestamp(seedTime), VolumeSequenceNumber: 1,
	}
}

func sectors(size int) int { return (size + sectorSize - 1) / sectorSize }

// writePathTables writes the table of folders, which holds just the root, in both byte orders. Linux does not read it; some
// other guests do. It gives the table's size.
func writePathTables(image []byte) int {
	record := []byte{1, 0, 0, 0, 0, 0, 0, 0, 0, 0} // length of the name, …, the name
	binary.LittleEndian.PutUint32(record[2:], sectorRoot)
	binary.LittleEndian.PutUint16(record[6:], 1)
	copy(image[sectorPathsLE*sectorSize:], record)
	binary.BigEndian.PutUint32(record[2:], sectorRoot)
	binary.BigEndian.PutUint16(record[6:], 1)
	copy(image[sectorPathsBE*sectorSize:], record)
	return len(record)
}

func writeDescriptors(image []byte, label string, root *iso9660.DirectoryEntry, paths int) error {
	made := iso9660.VolumeDescriptorTimestampFromTime(seedTime)
	body, err := iso9660.PrimaryVolumeDescriptorBody{
		VolumeIdentifier: label, VolumeSpaceSize: int32(len(image) / sectorSize), VolumeSetSize: 1, VolumeSequenceNumber: 1,
		LogicalBlockSize: sectorSize, PathTableSize: int32(paths), TypeLPathTableLoc: sectorPathsLE, TypeMPathTableLoc: sectorPathsBE,
		RootDirectoryEntry: root, VolumeCreationDateAndTime: made, VolumeModificationDateAndTime: made,
		VolumeEffectiveDateAndTime: made, FileStructureVersion: 1,
	}.MarshalBinary()
	if err != nil {
		return err
	}
	copy(image[sectorDescriptor*sectorSize:], body)
	copy(image[sectorDescriptor*sectorSize:], "\x01CD001\x01")
	copy(image[sectorTerminator*sectorSize:], "\xffCD001\x01")
	return nil
}
