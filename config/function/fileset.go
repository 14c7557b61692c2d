package function

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// maxVisits bounds how many names fileset looks at: a path such as / is a mistake.
const maxVisits = 200_000

func (d dir) fileSet(args []cty.Value) (cty.Value, error) {
	root, err := d.resolve(args[0].AsString())
	if err != nil {
		return cty.NilVal, err
	}
	pattern := filepath.ToSlash(filepath.Clean(args[1].AsString()))
	if !doublestar.ValidatePattern(pattern) {
		return cty.NilVal, function.NewArgErrorf(1, "bad pattern %q: a [ or { is not closed, or it ends in a \\", args[1].AsString())
	}
	var found []cty.Value
	visits := 0
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if visits++; visits > maxVisits {
			return fmt.Errorf("there are more than %d names below %s: name a folder nearer to the files", maxVisits, root)
		}
		if err != nil || entry.IsDir() {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil || !doublestar.MatchUnvalidated(pattern, filepath.ToSlash(rel)) {
			return err
		}
		// A link counts as what it leads to.
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			found = append(found, cty.StringVal(filepath.ToSlash(rel)))
		}
		return nil
	})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return cty.SetValEmpty(cty.String), nil
	case err != nil:
		return cty.NilVal, err
	case len(found) == 0:
		return cty.SetValEmpty(cty.String), nil
	}
	return cty.SetVal(found), nil
}
