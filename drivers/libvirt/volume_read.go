//go:build !nolibvirt

package libvirt

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"libvirt.org/go/libvirt"

	"vmplan.dev/vmplan/drivers"
)

// ReadVolume implements drivers.Driver.
func (d *driver) ReadVolume(ctx context.Context, id string, w io.Writer, report func(drivers.Progress)) (drivers.Content, error) {
	if report == nil {
		report = func(drivers.Progress) {}
	}
	s, err := d.session(ctx)
	if err != nil {
		return drivers.Content{}, err
	}
	content, err := (&call{driver: d, session: s, ctx: ctx, report: report}).readOut(id, w)
	if err != nil {
		return drivers.Content{}, fmt.Errorf("read volume %s: %w", id, err)
	}
	return content, nil
}

func (c *call) readOut(id string, w io.Writer) (content drivers.Content, err error) {
	if err := c.Can(drivers.AbilityReadVolumes); err != nil {
		return drivers.Content{}, err
	}
	name, _, _ := splitSource(id)
	pool, err := c.pool(name)
	if err != nil {
		return drivers.Content{}, err
	}
	defer freePool(pool)
	live, err := c.readVolumeByID(id)
	if err != nil {
		return drivers.Content{}, err
	}
	look, err := c.checkNoWriter(live)
	if err != nil {
		return drivers.Content{}, err
	}
	defer func() {
		if err == nil {
			err = look.recheck()
		}
	}()
	if live.format == formatRaw {
		return drivers.Content{Format: formatRaw, VirtualSize: live.size}, c.sendOut(pool, live.name, w)
	}
	content = drivers.Content{Format: formatQCOW2, VirtualSize: live.size}
	alone, err := c.standsAlone(pool, live)
	if err != nil {
		return drivers.Content{}, err
	}
	if alone {
		return content, c.sendOut(pool, live.name, w)
	}
	err = c.withFlatCopy(pool, live, func(file string) error { return c.sendOut(pool, file, w) })
	return content, err
}

// standsAlone tells whether the file of a volume is a qcow2 image that refers to no other file and holds no snapshots, so
// that it can be given away as it is.
func (c *call) standsAlone(pool *libvirt.StoragePool, live *liveVolume) (bool, error) {
	if live.format != formatQCOW2 || live.backing != "" {
		return false, nil
	}
	vol, err := pool.LookupStorageVolByName(live.name)
	if err != nil {
		return false, fail(err, "look up volume %s", live.name)
	}
	defer freeVolume(vol)
	head := make([]byte, 80)
	if err := c.download(vol, 0, head); err != nil {
		return false, err
	}
	const version3, dataFile = 3, 1 << 2
	version, backing, snapshots := binary.BigEndian.Uint32(head[4:]), binary.BigEndian.Uint64(head[8:]), binary.BigEndian.Uint32(head[60:])
	apart := version >= version3 && binary.BigEndian.Uint64(head[72:])&dataFile != 0
	return string(head[:4]) == "QFI\xfb" && backing == 0 && snapshots == 0 && !apart, nil
}

// sendOut gives the bytes of a volume's file to w: straight from the folder where that is this machine's, else through libvirt.
func (c *call) sendOut(pool *libvirt.StoragePool, file string, w io.Writer) error {
	vol, err := pool.LookupStorageVolByName(file)
	if err != nil {
		return fail(err, "look up volume %s", file)
	}
	defer freeVolume(vol)
	size, err := fileSize(vol)
	if err != nil {
		return err
	}
	out := newSparseWriter(w)
	out.wrote = func(done int64) {
		c.report(drivers.Progress{Phase: "reading", Done: done, Total: size})
	}
	folder, err := c.folderOf(pool)
	if err != nil {
		return err
	}
	if folder != "" {
		if f, err := os.Open(filepath.Join(folder, file)); err == nil {
			defer f.Close()
			return out.copyFile(c.ctx, f)
		}
	}
	return c.downloadTo(vol, out)
}

// fileSize is how many bytes the file of a volume has now.
func fileSize(vol *libvirt.StorageVol) (int64, error) {
	info, err := vol.GetInfoFlags(libvirt.STORAGE_VOL_GET_PHYSICAL)
	if err != nil {
		name, _ := vol.GetName()
		return 0, fail(err, "read volume %s", name)
	}
	return int64(info.Allocation), nil
}

// downloadTo reads a whole volume through libvirt.
func (c *call) downloadTo(vol *libvirt.StorageVol, out *sparseWriter) error {
	stream, err := c.conn.NewStream(0)
	if err != nil {
		return fail(err, "open a stream")
	}
	defer func() { _ = stream.Free() }()
	if err := vol.Download(stream, 0, 0, libvirt.STORAGE_VOL_DOWNLOAD_SPARSE_STREAM); err != nil {
		return fail(err, "read a volume")
	}
	if err := c.receive(stream, out); err != nil {
		_ = stream.Abort()
		return err
	}
	return errors.Join(fail(stream.Finish(), "read a volume"), out.finish())
}

func (c *call) receive(stream *libvirt.Stream, out *sparseWriter) error {
	const inHole = -3
	buf := make([]byte, chunkSize)
	for {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		n, err := stream.RecvFlags(buf, libvirt.STREAM_RECV_STOP_AT_HOLE)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fail(err, "read a volume")
		case n == inHole:
			hole, err := stream.RecvHole(0)
			if err != nil {
				return fail(err, "read a volume")
			}
			if err := out.skip(hole); err != nil {
				return err
			}
		default:
			if err := out.write(buf[:n]); err != nil {
				return err
			}
		}
	}
}
