package atomicfile_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"vmplan.dev/vmplan/config/atomicfile"
)

func TestAWriteThatFailsLeavesTheOldContentAndNothingElse(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "state")
	if err := atomicfile.Write(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	half := func(f *os.File) error { return errors.Join(must(f.WriteString("ne")), broken) }
	if err := atomicfile.WriteFrom(path, 0o600, half); !errors.Is(err, broken) {
		t.Errorf("it says %v", err)
	}
	if err := atomicfile.CreateFrom(filepath.Join(dir, "other"), 0o600, half); !errors.Is(err, broken) {
		t.Errorf("it says %v", err)
	}
	holds(t, dir, map[string]string{"state": "old"})

	if err := atomicfile.Write(path, []byte("new"), 0o640); err != nil {
		t.Fatal(err)
	}
	holds(t, dir, map[string]string{"state": "new"})
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o640 {
		t.Errorf("its mode is %v (%v)", info.Mode(), err)
	}
}

// A user may name a device or a link as the file to write; root must not replace what is there.
func TestOnlyRegularFilesAreReplaced(t *testing.T) {
	dir := t.TempDir()
	victim := filepath.Join(dir, "victim")
	thing := filepath.Join(dir, "thing")
	if err := os.WriteFile(victim, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, put := range map[string]func() error{
		"a link":   func() error { return os.Symlink(victim, thing) },
		"a folder": func() error { return os.Mkdir(thing, 0o700) },
		"a pipe":   func() error { return syscall.Mkfifo(thing, 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			if err := put(); err != nil {
				t.Fatal(err)
			}
			before, err := os.Lstat(thing)
			if err != nil {
				t.Fatal(err)
			}
			if err := atomicfile.Write(thing, []byte("new"), 0o600); err == nil {
				t.Error("it was written")
			}
			if after, err := os.Lstat(thing); err != nil || !os.SameFile(before, after) {
				t.Errorf("it is another one now (%v)", err)
			}
			if err := os.Remove(thing); err != nil {
				t.Fatal(err)
			}
			holds(t, dir, map[string]string{"victim": "precious"})
		})
	}
}

func TestOfManyWhoCreateAFileOneSucceeds(t *testing.T) {
	dir := t.TempDir()
	var all sync.WaitGroup
	var created atomic.Int32
	for i := range 20 {
		all.Go(func() {
			err := atomicfile.Create(filepath.Join(dir, "file"), fmt.Append(nil, "by ", i), 0o600)
			if err == nil {
				created.Store(int32(i))
			} else if !errors.Is(err, fs.ErrExist) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	holds(t, dir, map[string]string{"file": fmt.Sprint("by ", created.Load())})
}

func TestWhatKilledWritersLeftIsRemoved(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "state*")
	err := atomicfile.WriteFrom(path, 0o600, func(f *os.File) error {
		// As if this process ended here, the file stays under its temporary name.
		return os.Link(f.Name(), f.Name()+"0")
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, other := range []string{"stateful", ".stateful.tmp-1"} {
		if err := os.WriteFile(filepath.Join(dir, other), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	atomicfile.RemoveLeftovers(path)
	holds(t, dir, map[string]string{"state*": "", "stateful": "", ".stateful.tmp-1": ""})
}

func must(_ int, err error) error { return err }

// holds compares the files of a folder with what they should be.
func holds(t *testing.T, dir string, want map[string]string) {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		text, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if content, ok := want[f.Name()]; err != nil || !ok || string(text) != content {
			t.Errorf("%s holds %q (%v)", f.Name(), text, err)
		}
	}
	if len(files) != len(want) {
		t.Errorf("there are %v, want %v", files, want)
	}
}
