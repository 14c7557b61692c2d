package function

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// maxFile is the most that a function reads of a file, in bytes: values end up in memory, in plans and in seeds.
const maxFile = 16 << 20

// dir is the folder that relative paths start from.
type dir struct {
	path   string
	limits limits
}

// limits keep reading to a folder. The zero value sets none.
type limits struct {
	root  string // the folder; empty: everything can be read
	whose string // what messages call it
}

func (l limits) closed() bool { return l.root != "" }

func files(d dir) map[string]function.Function {
	table := sync.OnceValue(func() map[string]function.Function { return templateTable(d) })
	out := map[string]function.Function{
		"abspath":        textToText("Makes a path absolute; a relative one starts at the module's folder.", d.resolve, "path"),
		"basename":       textToText("Gives the last part of a path.", func(s string) (string, error) { return filepath.Base(s), nil }, "path"),
		"dirname":        textToText("Gives a path without its last part.", func(s string) (string, error) { return filepath.Dir(s), nil }, "path"),
		"file":           textToText("Reads a file of UTF-8 text.", d.readText, "path"),
		"filebase64":     textToText("Reads a file and gives its bytes in Base64.", d.readBase64, "path"),
		"fileexists":     fixed("Whether there is a file at path.", cty.Bool, d.exists, text("path")),
		"fileset":        fixed("Lists the files below path whose names match pattern: * is any part of a name, ** any folders, ? a character, [a-z] a range, {a,b} either.", cty.Set(cty.String), d.fileSet, text("path"), text("pattern")),
		"pathexpand":     textToText("Replaces a ~ at the beginning of a path by the home folder.", expandHome, "path"),
		"templatefile":   templateFunc("Renders the file at path as a template with the variables of vars. A template cannot render another one.", "path", d.template, table),
		"templatestring": templateFunc("Renders a text as a template with the variables of vars.", "template", inlineTemplate, table),
	}
	if d.limits.closed() {
		for _, name := range []string{"abspath", "pathexpand"} {
			out[name] = refuse(fmt.Sprintf("%s() tells of the machine, and only files of %s are read", name, d.limits.whose))
		}
	}
	for _, h := range digests {
		out["file"+h.name] = textToText("Gives the "+h.title+" of a file.", func(path string) (string, error) {
			data, err := d.read(path)
			return h.of(data), err
		}, "path")
	}
	return out
}

func expandHome(path string) (string, error) {
	if path != "~" && !strings.HasPrefix(path, "~/") {
		return path, nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("find the home folder: %w", err)
	}
	return home + path[1:], nil
}

func (d dir) resolve(path string) (string, error) {
	if d.limits.closed() {
		return d.within(path)
	}
	path, err := expandHome(path)
	if err != nil {
		return "", err
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(d.path, path)
	}
	return filepath.Abs(path)
}

// Within gives the full path of a file of a folder, links followed; one that lies elsewhere is an error.
func Within(folder, path string) (string, error) { return dir{folder, appliance(folder)}.within(path) }

// within is resolve for a folder that keeps to itself, links included.
func (d dir) within(path string) (string, error) {
	outside := fmt.Errorf("%s is outside of %s, and only what is in there is read", path, d.limits.whose)
	if filepath.IsAbs(path) || path == "" || strings.HasPrefix(path, "~") {
		return "", outside
	}
	root, err := filepath.EvalSymlinks(d.limits.root)
	if err != nil {
		return "", fmt.Errorf("%s: %w", d.limits.whose, err)
	}
	base, err := filepath.EvalSymlinks(d.path)
	if err != nil {
		return "", fmt.Errorf("%s: %w", d.limits.whose, err)
	}
	full := filepath.Join(base, path)
	if !isBelow(root, full) {
		return "", outside
	}
	real, err := filepath.EvalSymlinks(full)
	if errors.Is(err, fs.ErrNotExist) {
		return full, nil
	}
	if err != nil {
		return "", fmt.Errorf("look for a file: %w", err)
	}
	if !isBelow(root, real) {
		return "", outside
	}
	return real, nil
}

func isBelow(root, path string) bool {
	rel, err := filepath.Rel(root, path)
	return err == nil && filepath.IsLocal(rel)
}

// read gives the content of the file at path.
func (d dir) read(path string) ([]byte, error) {
	full, err := d.resolve(path)
	if err != nil {
		return nil, err
	}
	switch info, err := os.Stat(full); {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("there is no file %s: a relative path starts at the folder of the .hcl file", full)
	case err != nil:
		return nil, fmt.Errorf("read: %w", err)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a regular file", full)
	}
	f, err := os.Open(full)
	if err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("%s has more than %d MiB, too much for a value: let the guest fetch it, or put it on a volume", full, maxFile>>20)
	}
	return data, nil
}

func (d dir) readText(path string) (string, error) {
	data, err := d.read(path)
	if err == nil && !utf8.Valid(data) {
		err = fmt.Errorf("%s is not UTF-8 text: use filebase64 for other content", path)
	}
	return string(data), err
}

func (d dir) readBase64(path string) (string, error) {
	data, err := d.read(path)
	return base64.StdEncoding.EncodeToString(data), err
}

func (d dir) exists(args []cty.Value) (cty.Value, error) {
	full, err := d.resolve(args[0].AsString())
	if err != nil {
		return cty.NilVal, err
	}
	switch info, err := os.Stat(full); {
	case errors.Is(err, fs.ErrNotExist):
		return cty.False, nil
	case err != nil:
		return cty.NilVal, fmt.Errorf("look for a file: %w", err)
	case !info.Mode().IsRegular():
		return cty.NilVal, function.NewArgErrorf(0, "%s is not a regular file", full)
	}
	return cty.True, nil
}
