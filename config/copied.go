package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"vmplan.dev/vmplan/config/resource"
)

// Limits of what is copied into an image: it is in memory while a plan is made.
const (
	maxCopiedFiles = 5000
	maxCopiedBytes = 64 << 20
)

// copied reads the files that a build copies into its guest, in order of where they go to.
func (p *placement) copied(o *object, sources map[string]string) []resource.File {
	c := &copying{salt: p.prior.Salt, seen: map[string]string{}}
	for _, from := range sortedKeys(sources) {
		to := sources[from]
		full := from
		if !filepath.IsAbs(full) {
			full = filepath.Join(o.scope.mod.dir, from)
		}
		if err := c.copy(from, full, to); err != nil {
			p.rep.add(mistake(o.at("build.copy"), "Cannot be copied", "%q: %s.", from, err))
			o.fail("build.copy")
		}
	}
	slices.SortFunc(c.files, func(a, b resource.File) int { return strings.Compare(a.Path, b.Path) })
	return c.files
}

// copying collects files for a guest.
type copying struct {
	salt  []byte
	files []resource.File
	seen  map[string]string // by path in the guest: what is copied there
	bytes int64
}

// copy takes in what is at full, a file or a folder with all that is below it, which is called from in the files.
func (c *copying) copy(from, full, to string) error {
	if !strings.HasPrefix(to, "/") || strings.ContainsFunc(to, unicode.IsControl) || slices.Contains(strings.Split(to, "/"), "..") {
		return fmt.Errorf("it would go to %q: write an absolute path of the guest, such as /srv/site", to)
	}
	where := full
	full, err := filepath.EvalSymlinks(full)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no file or folder %s: a relative path starts at the folder of the .hcl file", where)
	}
	if err != nil {
		return err
	}
	info, err := os.Stat(full)
	switch {
	case err != nil:
		return err
	case info.Mode().IsRegular():
		if strings.HasSuffix(to, "/") {
			to += path.Base(filepath.ToSlash(full))
		}
		return c.add(from, full, path.Clean(to), info)
	case !info.IsDir():
		return fmt.Errorf("%s is neither a file nor a folder", full)
	}
	return filepath.WalkDir(full, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		rel, err := filepath.Rel(full, name)
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		return c.add(from, name, path.Join(to, filepath.ToSlash(rel)), info)
	})
}

func (c *copying) add(from, full, to string, info fs.FileInfo) error {
	if other, taken := c.seen[to]; taken {
		return fmt.Errorf("%s is copied from %q as well", to, other)
	}
	c.seen[to] = from
	f := resource.File{Path: to, Executable: info.Mode()&0o100 != 0}
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := os.Readlink(full)
		if err != nil {
			return err
		}
		f.Link, f.Executable = target, false
	case info.Mode().IsRegular():
		content, err := c.read(full)
		if err != nil {
			return err
		}
		f.Content = resource.NewSecret(content, c.salt)
	default:
		return fmt.Errorf("%s is neither a file, a folder nor a link", full)
	}
	if c.files = append(c.files, f); len(c.files) > maxCopiedFiles {
		return fmt.Errorf("there are more than %d files: put them into an archive, copy that and unpack it with run", maxCopiedFiles)
	}
	return nil
}

func (c *copying) read(full string) (string, error) {
	f, err := os.Open(full)
	if err != nil {
		return "", err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxCopiedBytes-c.bytes+1))
	if c.bytes += int64(len(content)); err == nil && c.bytes > maxCopiedBytes {
		err = fmt.Errorf("more than %d MiB would be copied: have the guest download it with run", maxCopiedBytes>>20)
	}
	return string(content), err
}
