package sim

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"slices"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
)

// ReadVolume implements drivers.Driver. A volume has its Content, or that of its backing file; the rest is zeros.
func (d *driver) ReadVolume(ctx context.Context, id string, w io.Writer, report func(drivers.Progress)) (drivers.Content, error) {
	var vol *Volume
	var text string
	err := d.change(func(t *tx) (err error) {
		vol, err = t.atRest(id)
		text = t.content(id)
		return err
	})
	if err == nil {
		err = d.host.strike(ctx, opRef{verb: "read", kind: resource.KindVolume}, before)
	}
	if err == nil && vol.Format == "raw" {
		err = writeRaw(ctx, w, text, int64(vol.Size))
	} else if err == nil {
		_, err = w.Write(qcow2(text, uint64(vol.Size)))
	}
	if err != nil {
		return drivers.Content{}, fmt.Errorf("read volume %s: %w", id, err)
	}
	if report != nil {
		report(drivers.Progress{Phase: "reading", Done: int64(vol.Size), Total: int64(vol.Size)})
	}
	return drivers.Content{Format: vol.Format, VirtualSize: vol.Size}, nil
}

// chain lists a volume and its backing files, by id.
func (d *Data) chain(id string) []string {
	var out []string
	for v := d.Volumes[id]; v != nil && !slices.Contains(out, id); v = d.Volumes[id] { // a hand-written file may have a ring
		out = append(out, id)
		id = v.Backing
	}
	return out
}

// content is what stands at the beginning of the volume.
func (d *Data) content(id string) string {
	for _, id := range d.chain(id) {
		v := d.Volumes[id]
		if v.Content != "" {
			return v.Content
		}
		if v.Backing == "" {
			return v.Digest
		}
	}
	return ""
}

// atRest gives a volume, if no running guest may write to it or to its backing files.
func (d *Data) atRest(id string) (*Volume, error) {
	v := d.volume(id)
	if v == nil {
		return nil, drivers.ErrNotFound
	}
	users := map[string]bool{}
	for _, id := range d.chain(id) {
		for name, vm := range d.VMs {
			for _, disk := range vm.running().Disks {
				if vm.on() && disk.Source == id && (disk.ReadOnly == nil || !*disk.ReadOnly) {
					users["vm "+name+", which runs"] = true
				}
			}
		}
	}
	return v, inUse(users)
}

func writeRaw(ctx context.Context, w io.Writer, text string, size int64) error {
	text = text[:min(int64(len(text)), size)]
	if _, err := io.WriteString(w, text); err != nil {
		return err
	}
	zeros := make([]byte, clusterSize)
	for left := size - int64(len(text)); left > 0; left -= int64(len(zeros)) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err := w.Write(zeros[:min(left, clusterSize)]); err != nil {
			return err
		}
	}
	return nil
}

const (
	clusterSize = 64 << 10
	copied      = 1 << 63 // in a table's entry: the cluster has one user
)

// qcow2 is an image of that size with text at its beginning: header, refcount table and block, level 1 and 2 tables, data.
func qcow2(text string, size uint64) []byte {
	const l2Covers = clusterSize / 8 * clusterSize
	entries := (size + l2Covers - 1) / l2Covers
	l1 := (entries*8 + clusterSize - 1) / clusterSize
	l2, data := 3+l1, 4+l1
	out := make([]byte, (5+l1)*clusterSize)
	put := func(at uint64, v uint64) { binary.BigEndian.PutUint64(out[at:], v) }
	half := binary.BigEndian.AppendUint32
	head := append([]byte("QFI\xfb"), 0, 0, 0, 3)
	head = append(head, make([]byte, 12)...) // no backing file
	head = half(head, 16)                    // cluster bits
	head = binary.BigEndian.AppendUint64(head, size)
	head = half(half(head, 0), uint32(entries)) // not encrypted; entries of level 1
	copy(out, head)
	put(40, 3*clusterSize)
	put(48, clusterSize)
	binary.BigEndian.PutUint32(out[56:], 1)    // clusters of the refcount table
	binary.BigEndian.PutUint32(out[96:], 4)    // refcounts of 16 bits
	binary.BigEndian.PutUint32(out[100:], 104) // the header's length
	put(clusterSize, 2*clusterSize)
	for i := range 5 + l1 {
		binary.BigEndian.PutUint16(out[2*clusterSize+2*i:], 1)
	}
	put(3*clusterSize, l2*clusterSize|copied)
	put(l2*clusterSize, data*clusterSize|copied)
	copy(out[data*clusterSize:], text)
	return out
}
