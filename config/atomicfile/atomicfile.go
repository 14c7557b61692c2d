// Package atomicfile writes files in one step: after a crash at any time there is the old content or the new, whole, and what
// was written is durable when a function returns. Everything that vmplan writes and reads again is written by it, and
// everything that a user asks it to write.
//
// A file is written beside its place under a temporary name, synced, and renamed; then its folder is synced. It must know
// nothing of what is in the files.
package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
)

// Write gives path the content data and the mode, less the process's umask. A regular file that is there is replaced. What
// else is there, a symbolic link too, is an error: it is not followed.
func Write(path string, data []byte, mode fs.FileMode) error {
	return WriteFrom(path, mode, content(data))
}

// WriteFrom is Write with the content that write puts into the file. When write fails, path stays as it is.
func WriteFrom(path string, mode fs.FileMode, write func(*os.File) error) error {
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s is no regular file, and is not replaced", path)
	}
	temp, err := prepare(path, mode, write)
	if err != nil {
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	return SyncDir(filepath.Dir(path))
}

// Create is Write where nothing may be at path. If something is, the error is fs.ErrExist, and it is left alone.
func Create(path string, data []byte, mode fs.FileMode) error {
	return CreateFrom(path, mode, content(data))
}

// CreateFrom is Create with the content that write puts into the file.
func CreateFrom(path string, mode fs.FileMode, write func(*os.File) error) error {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return exists(path)
	}
	temp, err := prepare(path, mode, write)
	if err != nil {
		return err
	}
	if err := moveToNew(temp, path); err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	return SyncDir(filepath.Dir(path))
}

// Publish gives a finished file or folder, which lies in the same file system, the name path. If something is there, the error
// is fs.ErrExist, and both are left alone.
func Publish(finished, path string) error {
	err := filepath.WalkDir(finished, func(file string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() && !d.IsDir() {
			return err
		}
		return SyncDir(file)
	})
	if err != nil {
		return err
	}
	if err := moveToNew(finished, path); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// SyncDir makes the names in a folder durable, as a file's Sync does its content.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// RemoveLeftovers removes the temporary files of processes that were killed while they wrote path. Nobody else may be writing
// it. What cannot be removed stays.
func RemoveLeftovers(path string) {
	for _, left := range Leftovers(filepath.Dir(path))[filepath.Base(path)] {
		_ = os.Remove(left)
	}
}

// Leftovers lists the paths of the temporary files in a folder, by the name that each was to get. It is empty when the folder
// cannot be read. One look serves many files: see RemoveLeftovers.
func Leftovers(dir string) map[string][]string {
	out := map[string][]string{}
	files, err := os.ReadDir(dir)
	if err != nil {
		return out
	}
	for _, f := range files {
		if name, ok := strings.CutPrefix(f.Name(), "."); ok {
			if i := strings.LastIndex(name, tempMark); i > 0 {
				out[name[:i]] = append(out[name[:i]], filepath.Join(dir, f.Name()))
			}
		}
	}
	return out
}

func content(data []byte) func(*os.File) error {
	return func(f *os.File) error {
		_, err := f.Write(data)
		return err
	}
}

// prepare writes a temporary file beside path, whole and durable.
func prepare(path string, mode fs.FileMode, write func(*os.File) error) (temp string, err error) {
	temp = filepath.Join(filepath.Dir(path), fmt.Sprintf("%s%016x", tempPrefix(path), rand.Uint64()))
	f, err := os.OpenFile(temp, os.O_RDWR|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return "", err
	}
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(temp))
	}
	return temp, nil
}

// tempMark stands between a file's name and what makes the name of its temporary file unique.
const tempMark = ".tmp-"

func tempPrefix(path string) string { return "." + filepath.Base(path) + tempMark }

// moveToNew renames a file or folder to a name that must be free. Of several that try, one succeeds.
func moveToNew(from, to string) error {
	info, err := os.Lstat(from)
	if err != nil {
		return err
	}
	if info.IsDir() {
		if _, err := os.Lstat(to); !errors.Is(err, fs.ErrNotExist) {
			return exists(to)
		}
		return os.Rename(from, to) // which replaces neither files nor folders by a folder
	}
	switch err := os.Link(from, to); {
	case err == nil:
		return os.Remove(from)
	case errors.Is(err, fs.ErrExist):
		return exists(to)
	}
	// Without hard links a rename would replace a file. So the name is taken first, which only one can do.
	taken, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, info.Mode())
	if err != nil {
		return err
	}
	if err := errors.Join(taken.Close(), os.Rename(from, to)); err != nil {
		return errors.Join(err, os.Remove(to))
	}
	return nil
}

func exists(path string) error { return &fs.PathError{Op: "create", Path: path, Err: fs.ErrExist} }
