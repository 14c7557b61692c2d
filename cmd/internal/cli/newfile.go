package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"vmplan.dev/vmplan/config/atomicfile"
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

// publish gives a finished file or folder the name it is for, unless something appeared there meanwhile.
func publish(finished, name string) error {
	err := atomicfile.Publish(finished, name)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s appeared meanwhile, and is not overwritten", name)
	}
	return err
}
