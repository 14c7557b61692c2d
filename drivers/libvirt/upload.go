//go:build !nolibvirt

package libvirt

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/guest"
	"vmplan.dev/vmplan/drivers/libvirt/internal/definition"
)

const (
	chunkSize = 256 << 10 // what libvirt sends in one message
	headSize  = 64 << 10  // what is uploaded last, as the sign that the rest is there
	// flushEvery is after how many bytes the disk is set to work: at the end all must be on it.
	flushEvery = 16 << 20
)

// createSeed writes the seed's ISO into its pool.
func (c *call) createSeed(seed *resource.Seed) error {
	id := resource.VolumeID(seed)
	content, err := guest.BuildSeed(seed)
	if err != nil {
		return fmt.Errorf("create seed %s: %w", id, err)
	}
	pool, err := c.pool(seed.PoolName)
	if err != nil {
		return fmt.Errorf("create seed %s: %w", id, err)
	}
	defer freePool(pool)
	if err := c.putSmall(pool, id, content); err != nil {
		return fmt.Errorf("create seed %s: %w", id, err)
	}
	return nil
}

// putSmall writes a file of a few MiB into the pool, as the volume id. What is in it may be secret: nobody but its owner reads
// it, and QEMU is given it by libvirt.
func (c *call) putSmall(pool *libvirt.StoragePool, id string, content []byte) error {
	_, file, _ := splitSource(id)
	folder, err := c.folderOf(pool)
	if err != nil {
		return err
	}
	if folder != "" {
		err := c.folders.write(folder, file, 0o600, func(f *os.File) error { _, err := f.Write(content); return err })
		if err == nil {
			c.folders.wrote(id, definition.File{Path: filepath.Join(folder, file), Format: formatRaw})
		}
		return err
	}
	bits := upload{name: file, content: bytes.NewReader(content), size: int64(len(content)), capacity: uint64(len(content)), format: formatRaw, mode: 0o600}
	done, err := c.hasBits(pool, bits, bits.size)
	if err == nil && !done {
		err = c.upload(pool, bits)
	}
	return err
}

// importImage gets an image's bits and puts them into its pool, for good: nobody may write to them.
func (c *call) importImage(img *resource.Image) (drivers.Result, error) {
	id := resource.VolumeID(img)
	if c.env.Images == nil {
		return drivers.Result{}, fmt.Errorf("import image %s: there is no image store: %w", id, drivers.ErrUnsupported)
	}
	file, wait, err := drivers.BeginFetch(c.ctx, c.env.Images, img, c.report)
	if err != nil {
		return drivers.Result{}, fmt.Errorf("import image %s: %w", id, err)
	}
	err = c.putImage(img, file, func() error { _, err := wait(); return err })
	file, waitErr := wait()
	if err = cmp.Or(waitErr, err); err != nil {
		return drivers.Result{}, fmt.Errorf("import image %s: %w", id, err)
	}
	done := resource.Clone(img)
	done.Digest, done.Pin = file.Digest, file.Pin
	return drivers.Result{Object: done}, nil
}

// putImage puts the file into the image's pool. It becomes the image only when check says that the file is right.
func (c *call) putImage(img *resource.Image, file drivers.Bits, check func() error) error {
	if strings.HasSuffix(img.File, "."+formatRaw) && file.Format != formatRaw {
		return fmt.Errorf("its source is named as a raw image, and is %s: set format = %q", file.Format, file.Format)
	}
	pool, err := c.pool(img.PoolName)
	if err != nil {
		return err
	}
	defer freePool(pool)
	source, err := os.Open(file.Path)
	if err != nil {
		return err
	}
	defer source.Close()
	bits := upload{name: img.File, content: source, size: file.Size, capacity: uint64(file.VirtualSize), format: file.Format, mode: 0o444, report: c.report, check: check}
	if err := refresh(pool, img.PoolName); err != nil { // somebody may have put a file of that name there
		return err
	}
	if done, err := c.hasBits(pool, bits, min(headSize, file.Size)); err != nil || done {
		return err
	}
	if err := hasRoom(pool, source); err != nil {
		return err
	}
	folder, err := c.folderOf(pool)
	if err != nil {
		return err
	}
	if folder != "" {
		if err := c.folders.write(folder, img.File, bits.mode, func(f *os.File) error { return bits.copyTo(c, f) }); err != nil {
			return err
		}
		return c.refreshWhenIdle(pool, img.PoolName)
	}
	return c.upload(pool, bits)
}

// hasRoom refuses a file that does not fit into the pool, before anything is written. Its holes take no room.
func hasRoom(pool *libvirt.StoragePool, file *os.File) error {
	info, err := pool.GetInfo()
	if err != nil {
		return fail(err, "read the pool's free space")
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &st); err != nil {
		return err
	}
	if need := uint64(min(st.Size, st.Blocks*512)); need > info.Available && info.Capacity > 0 {
		return fmt.Errorf("%w: the image takes %s, and the pool has %s free: make room there, or put it into another pool",
			drivers.ErrNoSpace, resource.Size(need), resource.Size(info.Available))
	}
	return nil
}

// upload is a file on its way into a pool.
type upload struct {
	name     string
	content  io.ReaderAt
	size     int64  // of content
	capacity uint64 // of the disk in it
	format   string
	mode     os.FileMode
	report   func(drivers.Progress) // may be nil
	check    func() error           // says at the end whether the content is right; may be nil
}

func (u *upload) checked() error {
	if u.check == nil {
		return nil
	}
	return u.check()
}

func (u *upload) progress(done int64) {
	if u.report != nil {
		u.report(drivers.Progress{Phase: "importing", Done: done, Total: u.size})
	}
}

// hasBits tells whether the pool has the file already, whole: it is as large, and its first n bytes are the same. As the
// head is uploaded last, a file that was cut off has none. What was cut off is removed, unless something uses it, which then
// is something else.
func (c *call) hasBits(pool *libvirt.StoragePool, u upload, n int64) (bool, error) {
	vol, err := pool.LookupStorageVolByName(u.name)
	if missing(err) {
		return false, nil
	}
	if err != nil {
		return false, fail(err, "look up volume %s", u.name)
	}
	defer freeVolume(vol)
	if c.test {
		return true, nil // there are no bits
	}
	size, err := fileSize(vol)
	if err != nil {
		return false, err
	}
	if size == u.size {
		want, have := make([]byte, n), make([]byte, n)
		if _, err := u.content.ReadAt(want, 0); err != nil && !errors.Is(err, io.EOF) {
			return false, err
		}
		if err := c.download(vol, 0, have); err != nil {
			return false, err
		}
		if bytes.Equal(want, have) {
			return true, nil
		}
	}
	name, err := pool.GetName()
	if err != nil {
		return false, fail(err, "read the pool's name")
	}
	if err := c.deleteVolume(&resource.Volume{PoolName: name, File: u.name}); err != nil {
		return false, fmt.Errorf("there is a file of that name with other bits in it, and it cannot make room: %w", err)
	}
	return false, nil
}

// download reads len(into) bytes of a volume.
func (c *call) download(vol *libvirt.StorageVol, offset uint64, into []byte) error {
	stream, err := c.conn.NewStream(0)
	if err != nil {
		return fail(err, "open a stream")
	}
	defer func() { _ = stream.Free() }()
	if err := vol.Download(stream, offset, uint64(len(into)), 0); err != nil {
		return fail(err, "read a volume")
	}
	for read := 0; read < len(into); {
		n, err := stream.Recv(into[read:])
		if err != nil {
			_ = stream.Abort()
			return fail(err, "read a volume")
		}
		if n == 0 {
			break
		}
		read += n
	}
	return fail(stream.Finish(), "read a volume")
}

// upload makes the volume and sends its bits through libvirt; what is cut off is removed again.
func (c *call) upload(pool *libvirt.StoragePool, u upload) error {
	def := libvirtxml.StorageVolume{
		Name: u.name,
		// A raw volume is a plain file of this size; libvirt sees what is in it when it next looks.
		Capacity:   &libvirtxml.StorageVolumeSize{Unit: "bytes", Value: uint64(u.size)},
		Allocation: &libvirtxml.StorageVolumeSize{},
		Target: &libvirtxml.StorageVolumeTarget{
			Format:      &libvirtxml.StorageVolumeTargetFormat{Type: formatRaw},
			Permissions: c.permissions(u.mode),
		},
	}
	if c.test {
		def.Capacity.Value, def.Target.Format.Type = u.capacity, u.format
	}
	text, err := def.Marshal()
	if err != nil {
		return err
	}
	vol, err := pool.StorageVolCreateXML(text, 0)
	if err != nil {
		return fail(err, "create volume %s", u.name)
	}
	defer freeVolume(vol)
	if c.test {
		return nil
	}
	if err := c.fill(pool, vol, u); err != nil {
		if removeErr := vol.Delete(0); removeErr != nil && !missing(removeErr) {
			c.env.Log.Warn("an incomplete volume could not be removed", "volume", u.name, "error", removeErr)
		}
		return err
	}
	name, err := pool.GetName()
	if err != nil {
		return fail(err, "read the pool's name")
	}
	return c.refreshWhenIdle(pool, name)
}

// fill gives a new volume its content: straight into its file where that is seen here, which the new volume may be the first
// to tell, and through libvirt where it is not.
func (c *call) fill(pool *libvirt.StoragePool, vol *libvirt.StorageVol, u upload) error {
	folder, err := c.folderOf(pool)
	if err != nil {
		return err
	}
	if folder != "" {
		return c.folders.write(folder, u.name, u.mode, func(f *os.File) error { return u.copyTo(c, f) })
	}
	head := min(u.size, headSize)
	if err := c.send(vol, u, head, u.size); err != nil {
		return err
	}
	if err := u.checked(); err != nil {
		return err
	}
	return c.send(vol, u, 0, head)
}

// permissions asks for the mode where the daemon runs as root and may write to what nobody else may.
func (c *call) permissions(mode os.FileMode) *libvirtxml.StorageVolumeTargetPermissions {
	if c.uri.Path == "/session" {
		mode |= 0o200
	}
	return &libvirtxml.StorageVolumeTargetPermissions{Mode: fmt.Sprintf("%#o", mode)}
}

// send uploads the bytes from begin to end.
func (c *call) send(vol *libvirt.StorageVol, u upload, begin, end int64) error {
	if begin == end {
		return nil
	}
	stream, err := c.conn.NewStream(0)
	if err != nil {
		return fail(err, "open a stream")
	}
	defer func() { _ = stream.Free() }()
	if err := vol.Upload(stream, uint64(begin), uint64(end-begin), libvirt.STORAGE_VOL_UPLOAD_SPARSE_STREAM); err != nil {
		return fail(err, "upload volume %s", u.name)
	}
	err = u.chunks(c, begin, end, func(_ int64, chunk []byte, zero bool) error {
		if zero {
			return fail(stream.SendHole(int64(len(chunk)), 0), "upload volume %s", u.name)
		}
		for len(chunk) > 0 {
			n, err := stream.Send(chunk)
			if err != nil {
				return fail(err, "upload volume %s", u.name)
			}
			chunk = chunk[n:]
		}
		return nil
	})
	if err != nil {
		_ = stream.Abort()
		return err
	}
	return fail(stream.Finish(), "upload volume %s", u.name)
}

// copyTo writes the bits to a file of this machine, leaving holes where there is nothing.
func (u *upload) copyTo(c *call, f *os.File) error {
	if shareBlocks(f, u.content) {
		u.progress(u.size)
		return u.checked()
	}
	if err := f.Truncate(u.size); err != nil {
		return err
	}
	flushed := int64(0)
	err := u.chunks(c, 0, u.size, func(at int64, chunk []byte, zero bool) error {
		if zero {
			return nil
		}
		if at-flushed >= flushEvery {
			beginFlush(f, flushed, at-flushed)
			flushed = at
		}
		_, err := f.WriteAt(chunk, at)
		return err
	})
	if err != nil {
		return err
	}
	return u.checked()
}

// chunks reads the content piece by piece and tells of each whether it is all zeros.
func (u *upload) chunks(c *call, begin, end int64, do func(at int64, chunk []byte, zero bool) error) error {
	buf := make([]byte, chunkSize)
	zeros := make([]byte, chunkSize)
	for at := begin; at < end; {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		chunk := buf[:min(chunkSize, end-at)]
		if _, err := u.content.ReadAt(chunk, at); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if err := do(at, chunk, bytes.Equal(chunk, zeros[:len(chunk)])); err != nil {
			return err
		}
		at += int64(len(chunk))
		u.progress(at)
	}
	return nil
}
