package local_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vmplan.dev/vmplan/state"
	"vmplan.dev/vmplan/state/local"
	"vmplan.dev/vmplan/state/statetest"
)

var ctx = context.Background()

func TestBackendSuite(t *testing.T) {
	statetest.Run(t, func(t *testing.T) func() state.Backend {
		path := filepath.Join(t.TempDir(), "lab.vmstate")
		return func() state.Backend { return open(t, path) }
	})
}

func open(t *testing.T, path string) *local.Backend {
	t.Helper()
	b, err := local.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func write(t *testing.T, b state.Backend, s *state.Snapshot) {
	t.Helper()
	if err := b.Write(ctx, s); err != nil {
		t.Fatal(err)
	}
}

func appendTo(t *testing.T, b state.Backend, s *state.Snapshot, name string) {
	t.Helper()
	r := statetest.Record(name, 1)
	if err := b.Append(ctx, s, state.Entry{Step: name, Addr: r.Object.Base().Addr, Phase: state.PhaseDone, Record: r}); err != nil {
		t.Fatal(err)
	}
}

// names lists the names recorded, in order.
func names(t *testing.T, b state.Backend) []string {
	t.Helper()
	s, err := b.Read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, r := range s.Sorted() {
		out = append(out, r.Object.Base().Name)
	}
	return out
}

// listing gives the names of the files in dir.
func listing(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func TestFilesAreTheOwnersAloneAndNoneIsLeftOver(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "lab.vmstate")
	b, s := open(t, path), statetest.Snapshot(1)
	write(t, b, s)
	write(t, b, s)
	appendTo(t, b, s, "a")
	unlock, err := b.Lock(ctx, state.NewLockInfo("apply"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range listing(t, dir) {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: mode %v, %v", name, info.Mode(), err)
		}
	}
	want := []string{"lab.vmstate", "lab.vmstate.backup", "lab.vmstate.journal", "lab.vmstate.lock"}
	if got := listing(t, dir); !slices.Equal(got, want) {
		t.Errorf("the folder holds %v, want %v", got, want)
	}
	for _, name := range []string{".lab.vmstate.tmp-1", ".lab.vmstate.journal.tmp-2"} { // of processes that were killed
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(t, b, s)
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
	if got := listing(t, dir); !slices.Equal(got, want[:2]) {
		t.Errorf("the folder holds %v, want %v", got, want[:2])
	}
}

func TestTheBackupIsTheVersionBefore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lab.vmstate")
	b, s := open(t, path), statetest.Snapshot(1)
	write(t, b, s)
	first, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	appendTo(t, b, s, "a")
	write(t, b, s)
	backup, err := os.ReadFile(path + ".backup")
	if err != nil || string(backup) != string(first) {
		t.Errorf("the backup is\n%s\n(%v), want\n%s", backup, err, first)
	}
}

// What cannot be understood is refused by all that reads or writes, and stays as it is.
func TestWhatIsNotUnderstoodIsRefusedAndKept(t *testing.T) {
	whole, err := state.Encode(statetest.Snapshot(2))
	if err != nil {
		t.Fatal(err)
	}
	text := string(whole)
	for name, c := range map[string]struct {
		content string
		want    error
		says    string
	}{
		"empty":            {"", state.ErrCorrupt, "it is empty"},
		"cut off":          {text[:len(text)-20], state.ErrCorrupt, "line 9, column"},
		"a changed digit":  {strings.Replace(text, `"memory":1048576`, `"memory":1048577`, 1), state.ErrCorrupt, "checksum"},
		"an unknown field": {strings.Replace(text, `"lineage"`, `"liineage"`, 1), state.ErrCorrupt, "liineage"},
		"not JSON":         {"hello", state.ErrCorrupt, "line 1, column"},
		"other JSON":       {`{"version": 4}`, state.ErrCorrupt, "not a state file of vmplan"},
		"newer":            {`{"vmplan_state": 2, "what": "ever"}`, state.ErrNewer, "format 2"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "lab.vmstate")
			if err := os.WriteFile(path, []byte(c.content), 0o600); err != nil {
				t.Fatal(err)
			}
			b, s := open(t, path), statetest.Snapshot(1)
			_, readErr := b.Read(ctx)
			for what, err := range map[string]error{
				"read":   readErr,
				"write":  b.Write(ctx, s),
				"append": b.Append(ctx, s, state.Entry{Step: "x", Addr: statetest.Record("a", 1).Object.Base().Addr, Phase: state.PhaseDone}),
			} {
				if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), path) {
					t.Errorf("%s: %v; want %v, with %q and the path", what, err, c.want, c.says)
				}
			}
			if now, err := os.ReadFile(path); err != nil || string(now) != c.content {
				t.Errorf("the file became %q, %v", now, err)
			}
		})
	}
}

func TestAMissingStateBesideItsJournalIsNotEmpty(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lab.vmstate")
	b, s := open(t, path), statetest.Snapshot(1)
	write(t, b, s)
	appendTo(t, b, s, "a")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	fresh := open(t, path)
	_, err := fresh.Read(ctx)
	if !errors.Is(err, state.ErrCorrupt) || !strings.Contains(err.Error(), "missing") {
		t.Errorf("read: %v", err)
	}
	if err := fresh.Write(ctx, statetest.Snapshot(0)); !errors.Is(err, state.ErrCorrupt) {
		t.Errorf("write: %v", err)
	}
}

// A crash between the new state and the removal of the old journal leaves both.
func TestAnOldJournalIsIgnored(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lab.vmstate")
	b, s := open(t, path), statetest.Snapshot(0)
	write(t, b, s)
	appendTo(t, b, s, "old")
	journal, err := os.ReadFile(path + ".journal")
	if err != nil {
		t.Fatal(err)
	}
	write(t, b, s) // without "old": it was removed by then
	if err := os.WriteFile(path+".journal", journal, 0o600); err != nil {
		t.Fatal(err)
	}
	fresh := open(t, path)
	if got := names(t, fresh); len(got) != 0 {
		t.Errorf("the old journal was folded in: %v", got)
	}
	appendTo(t, fresh, s, "new")
	if got := names(t, open(t, path)); !slices.Equal(got, []string{"new"}) {
		t.Errorf("after another append: %v", got)
	}
}

func TestAJournalOfALaterOrAnotherStateIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lab.vmstate")
	b, s := open(t, path), statetest.Snapshot(0)
	write(t, b, s)
	write(t, b, s)
	appendTo(t, b, s, "a")
	if err := os.Rename(path+".backup", path); err != nil { // somebody put the backup back
		t.Fatal(err)
	}
	if _, err := open(t, path).Read(ctx); !errors.Is(err, state.ErrCorrupt) || !strings.Contains(err.Error(), "journal") {
		t.Errorf("with the journal of a later serial: %v", err)
	}
	other := statetest.Snapshot(0)
	other.Lineage = "another"
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	data, err := state.Encode(other)
	if err == nil {
		err = os.WriteFile(path, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, path).Read(ctx); !errors.Is(err, state.ErrCorrupt) || !strings.Contains(err.Error(), "another") {
		t.Errorf("with the journal of another project: %v", err)
	}
}

func TestATornJournalLosesOnlyWhatWasNeverAcknowledged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lab.vmstate")
	b, s := open(t, path), statetest.Snapshot(0)
	write(t, b, s)
	appendTo(t, b, s, "a")
	whole, err := os.ReadFile(path + ".journal")
	if err != nil {
		t.Fatal(err)
	}
	appendTo(t, b, s, "b")
	both, err := os.ReadFile(path + ".journal")
	if err != nil {
		t.Fatal(err)
	}
	for cut := len(whole); cut < len(both); cut++ {
		torn := both[:cut]
		if err := os.WriteFile(path+".journal", torn, 0o600); err != nil {
			t.Fatal(err)
		}
		fresh := open(t, path)
		if got := names(t, fresh); !slices.Equal(got, []string{"a"}) {
			t.Fatalf("torn at %d of %d: %v", cut, len(both), got)
		}
		if cut%25 == 0 {
			appendTo(t, fresh, s, "c")
			if got := names(t, open(t, path)); !slices.Equal(got, []string{"a", "c"}) {
				t.Fatalf("torn at %d of %d, then appended to: %v", cut, len(both), got)
			}
		}
	}
	damaged := slices.Clone(both)
	damaged[len(whole)-10] ^= 1
	if err := os.WriteFile(path+".journal", damaged, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, path).Read(ctx); !errors.Is(err, state.ErrCorrupt) || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("damage in the middle: %v", err)
	}
}

func TestLinks(t *testing.T) {
	dir, elsewhere := t.TempDir(), t.TempDir()
	target, link := filepath.Join(elsewhere, "real.vmstate"), filepath.Join(dir, "lab.vmstate")
	s := statetest.Snapshot(1)
	write(t, open(t, target), s)
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	b := open(t, link)
	if got := names(t, b); !slices.Equal(got, []string{"vm0"}) {
		t.Errorf("read through the link: %v", got)
	}
	appendTo(t, b, s, "a")
	if got := names(t, open(t, target)); !slices.Equal(got, []string{"a", "vm0"}) {
		t.Errorf("who comes by the real name sees %v", got)
	}
	write(t, b, s)
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link was replaced: %v, %v", info.Mode(), err)
	}
	if got := listing(t, dir); !slices.Equal(got, []string{"lab.vmstate"}) {
		t.Errorf("beside the link appeared %v", got)
	}
	unlock, err := b.Lock(ctx, state.NewLockInfo("apply"))
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	var locked *state.LockedError
	if _, err := open(t, target).Lock(ctx, state.NewLockInfo("apply")); !errors.As(err, &locked) {
		t.Errorf("link and real name do not share the lock: %v", err)
	}
}

// Somebody who can write to the folder must not make vmplan write to a file of his choice.
func TestLinksInPlaceOfOurFilesAreNotFollowed(t *testing.T) {
	for _, suffix := range []string{".journal", ".lock", ".backup", ".backup.tmp-link"} {
		t.Run(suffix, func(t *testing.T) {
			dir := t.TempDir()
			path, victim := filepath.Join(dir, "lab.vmstate"), filepath.Join(dir, "victim")
			s := statetest.Snapshot(1)
			write(t, open(t, path), s)
			if err := os.WriteFile(victim, []byte("precious"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(victim, path+suffix); err != nil {
				t.Fatal(err)
			}
			b := open(t, path)
			r := statetest.Record("a", 1)
			_ = b.Append(ctx, s, state.Entry{Step: "x", Addr: r.Object.Base().Addr, Phase: state.PhaseDone, Record: r})
			_ = b.Write(ctx, s)
			if unlock, err := b.Lock(ctx, state.NewLockInfo("apply")); err == nil {
				_ = unlock()
			}
			if text, err := os.ReadFile(victim); err != nil || string(text) != "precious" {
				t.Errorf("the file became %q, %v", text, err)
			}
		})
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	if _, err := local.Open(filepath.Join(dir, "none", "lab.vmstate")); err == nil || !strings.Contains(err.Error(), "its folder must exist") {
		t.Errorf("no folder: %v", err)
	}
	dangling := filepath.Join(dir, "lab.vmstate")
	if err := os.Symlink(filepath.Join(dir, "gone"), dangling); err != nil {
		t.Fatal(err)
	}
	if _, err := local.Open(dangling); err == nil {
		t.Error("a link to nothing was taken for an empty state")
	}
}
