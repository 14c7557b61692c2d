//go:build unix

package source

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// diskSpace gives the free and total bytes of the disk that dir is on, as far as this user may use them.
func diskSpace(dir string) (free, total int64, err error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return 0, 0, err
	}
	return int64(fs.Bavail) * int64(fs.Bsize), int64(fs.Blocks) * int64(fs.Bsize), nil
}

// allocated is how much of the disk a file takes, without its holes.
func allocated(info os.FileInfo) int64 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return min(info.Size(), stat.Blocks*512)
	}
	return info.Size()
}
