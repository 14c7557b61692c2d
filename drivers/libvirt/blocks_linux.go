//go:build !nolibvirt

package libvirt

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// shareBlocks makes the new file to of the same blocks as from, where the file system can do that (XFS, Btrfs).
func shareBlocks(to *os.File, from io.ReaderAt) bool {
	source, ok := from.(*os.File)
	return ok && unix.IoctlFileClone(int(to.Fd()), int(source.Fd())) == nil
}

// beginFlush has the disk begin to write a part of the file, and does not wait. What goes wrong is seen when the file is synced.
func beginFlush(f *os.File, at, n int64) {
	_ = unix.SyncFileRange(int(f.Fd()), at, n, unix.SYNC_FILE_RANGE_WRITE)
}
