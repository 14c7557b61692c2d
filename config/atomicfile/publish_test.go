package atomicfile_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"vmplan.dev/vmplan/config/atomicfile"
)

// TestWhatAppearsMeanwhileIsKept: an export takes its time. What somebody puts meanwhile where it is to be, stays.
func TestWhatAppearsMeanwhileIsKept(t *testing.T) {
	for _, finished := range []string{"a file", "a folder"} {
		for _, there := range []string{"nothing", "a file", "a folder", "a link to nowhere"} {
			t.Run(finished+" beside "+there, func(t *testing.T) {
				dir := t.TempDir()
				name := filepath.Join(dir, "out")
				makeThing(t, finished, filepath.Join(dir, "work"), "finished")
				makeThing(t, there, name, "somebody's")
				err := atomicfile.Publish(filepath.Join(dir, "work"), name)
				if there == "nothing" {
					if got := readThing(t, finished, name); err != nil || got != "finished" {
						t.Fatalf("gave %v, and the name has %q", err, got)
					}
					if _, err := os.Lstat(filepath.Join(dir, "work")); err == nil {
						t.Fatal("it is still where it was made")
					}
					return
				}
				if !errors.Is(err, fs.ErrExist) {
					t.Fatalf("gave %v", err)
				}
				if got := readThing(t, there, name); got != "somebody's" {
					t.Fatalf("what was there is %q now", got)
				}
				if got := readThing(t, finished, filepath.Join(dir, "work")); got != "finished" {
					t.Fatalf("what was made is %q now", got)
				}
			})
		}
	}
}

func makeThing(t *testing.T, kind, name, text string) {
	t.Helper()
	var err error
	switch kind {
	case "a file":
		err = os.WriteFile(name, []byte(text), 0o600)
	case "a folder":
		if err = os.Mkdir(name, 0o700); err == nil && text == "finished" { // an empty one would be replaced by a mere rename
			err = os.WriteFile(filepath.Join(name, "disk"), []byte(text), 0o600)
		}
	case "a link to nowhere":
		err = os.Symlink(text, name)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func readThing(t *testing.T, kind, name string) string {
	t.Helper()
	var text []byte
	var err error
	switch kind {
	case "a file":
		text, err = os.ReadFile(name)
	case "a folder":
		if text, err = os.ReadFile(filepath.Join(name, "disk")); os.IsNotExist(err) {
			text, err = []byte("somebody's"), nil
		}
	case "a link to nowhere":
		var to string
		to, err = os.Readlink(name)
		text = []byte(to)
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
