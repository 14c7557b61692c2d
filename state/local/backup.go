package local

import (
	"errors"
	"io"
	"io/fs"
	"os"

	"vmplan.dev/vmplan/config/atomicfile"
)

const mode = 0o600

// keepBackup makes backup what path is now, if there is anything.
func keepBackup(path, backup string) error {
	temp := backup + ".tmp-link"
	_ = os.Remove(temp) // of a killed process
	err := os.Link(path, temp)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err == nil:
		return os.Rename(temp, backup)
	}
	// Not every file system has hard links.
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return atomicfile.Write(backup, data, mode)
}

// readNoFollow reads a file that only vmplan makes: a link in its place is somebody's trick.
func readNoFollow(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|noFollow, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}
