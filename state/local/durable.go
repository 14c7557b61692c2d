package local

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

const mode = 0o600

// tempPattern names the files that become PATH by a rename. What a killed process left of them matches it.
func tempPattern(path string) string { return filepath.Base(path) + ".tmp-*" }

// replaceFile gives path the content in one step: afterwards, and after a crash at any time, it is the old or the new, whole.
// The new one is durable when replaceFile returns.
func replaceFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), tempPattern(path)) // 0600, and never through a link
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncDir(filepath.Dir(path))
}

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
	return replaceFile(backup, data)
}

// removeLeftovers removes temporary files of processes that were killed. The caller holds the lock, so nobody else is at it.
func removeLeftovers(path string) {
	for _, p := range []string{path, path + ".journal", path + ".backup"} {
		left, _ := filepath.Glob(filepath.Join(filepath.Dir(p), tempPattern(p)))
		for _, f := range left {
			_ = os.Remove(f)
		}
	}
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
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
