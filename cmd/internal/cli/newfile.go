package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// checkNewFile makes sure that a file can be written beside the project's, and will be read with them.
func checkNewFile(file string) error {
	dir, err := filepath.Abs(filepath.Dir(file))
	if err != nil {
		return err
	}
	here, err := filepath.Abs(".")
	if err != nil {
		return err
	}
	name := filepath.Base(file)
	if dir != here || !strings.HasSuffix(name, ".hcl") || strings.HasPrefix(name, ".") || strings.HasSuffix(name, "override.hcl") ||
		strings.HasSuffix(name, ".vmvars.hcl") {
		return fmt.Errorf("--write %s: name a file of the project's folder that ends in .hcl, such as found.hcl", file)
	}
	if _, err := os.Lstat(file); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("--write %s: it exists already, and is not overwritten", file)
	}
	return nil
}

// writeNewFile writes a file that must not exist yet, all of it or none. One that does is fs.ErrExist, and left alone.
func writeNewFile(file string, text []byte) (err error) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			err = errors.Join(err, os.Remove(file))
		}
	}()
	_, err = f.Write(text)
	return err
}

// giveName gives a finished file or folder the name it is for, unless something appeared there meanwhile.
func giveName(finished, name string) error {
	info, err := os.Lstat(finished)
	if err != nil {
		return err
	}
	if info.IsDir() {
		if _, err := os.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
			return appeared(name)
		}
		return os.Rename(finished, name) // which replaces neither files nor folders by a folder
	}
	// A file replaces a file. So the name is taken first, which only one can do, and what is replaced then is what took it.
	err = writeNewFile(name, nil)
	if errors.Is(err, fs.ErrExist) {
		return appeared(name)
	}
	if err != nil {
		return err
	}
	if err := os.Rename(finished, name); err != nil {
		return errors.Join(err, os.Remove(name))
	}
	return nil
}

func appeared(name string) error {
	return fmt.Errorf("%s appeared meanwhile, and is not overwritten", name)
}
