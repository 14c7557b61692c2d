package function

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

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
	match, err := compileGlob(filepath.ToSlash(filepath.Clean(args[1].AsString())))
	if err != nil {
		return cty.NilVal, function.NewArgErrorf(1, "bad pattern %q: %w", args[1].AsString(), err)
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
		if err != nil || !match.MatchString(filepath.ToSlash(rel)) {
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

// compileGlob turns a pattern into a regular expression on paths with slashes.
func compileGlob(pattern string) (*regexp.Regexp, error) {
	var b strings.Builder
	b.WriteString(`^`)
	depth := 0
	for p := pattern; p != ""; {
		n := 1
		switch {
		case strings.HasPrefix(p, "**/"):
			b.WriteString(`(?:[^/]+/)*`)
			n = 3
		case p == "**":
			b.WriteString(`.*`)
			n = 2
		case p[0] == '*':
			b.WriteString(`[^/]*`)
		case p[0] == '?':
			b.WriteString(`[^/]`)
		case p[0] == '{':
			depth++
			b.WriteString(`(?:`)
		case p[0] == '}' && depth > 0:
			depth--
			b.WriteString(`)`)
		case p[0] == ',' && depth > 0:
			b.WriteString(`|`)
		case p[0] == '\\' && len(p) > 1:
			b.WriteString(regexp.QuoteMeta(p[1:2]))
			n = 2
		case p[0] == '[':
			end := strings.IndexByte(p, ']')
			if end < 2 {
				return nil, errors.New("a [ has no ]")
			}
			set := strings.ReplaceAll(p[1:end], `\`, `\\`)
			if strings.HasPrefix(set, "!") {
				set = "^" + set[1:]
			}
			b.WriteString("[" + set + "]")
			n = end + 1
		default:
			b.WriteString(regexp.QuoteMeta(p[:1]))
		}
		p = p[n:]
	}
	if depth > 0 {
		return nil, errors.New("a { has no }")
	}
	return regexp.Compile(b.String() + `$`)
}
