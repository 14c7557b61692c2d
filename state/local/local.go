// Package local keeps a project's state in a file beside the project: PATH, with its journal in PATH.journal, the version
// before it in PATH.backup, and while somebody changes it PATH.lock. All are for their owner only (0600).
//
// It must not know what a snapshot holds: the formats are package state's.
package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"vmplan.dev/vmplan/config/atomicfile"
	"vmplan.dev/vmplan/state"
)

// Backend is a state.Backend on the local file system.
type Backend struct {
	path string // with all links resolved, so that all who come by another name share journal and lock

	mu   sync.Mutex // guards next
	next *batch     // being filled while the one before it is written

	io  sync.Mutex // held while the state or its journal is written; guards log
	log *log       // nil until the first Append
}

// Open gives the backend for the state file at path, which need not exist yet; its folder must. Opening takes no lock and
// writes nothing.
func Open(path string) (*Backend, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open the state: %w", err)
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(abs))
	if err != nil {
		return nil, fmt.Errorf("open the state %s: its folder must exist: %w", path, err)
	}
	abs = filepath.Join(dir, filepath.Base(abs))
	if _, err := os.Lstat(abs); errors.Is(err, fs.ErrNotExist) {
		return &Backend{path: abs}, nil
	}
	// A link to nothing is an error: the state it is meant to lead to is not empty but out of reach.
	if abs, err = filepath.EvalSymlinks(abs); err != nil {
		return nil, fmt.Errorf("open the state %s: %w", path, err)
	}
	return &Backend{path: abs}, nil
}

// Read implements state.Backend. It needs no lock: what it gives is whole even while somebody writes.
func (b *Backend) Read(ctx context.Context) (*state.Snapshot, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	// The journal comes first: if the state is replaced in between, the journal is recognised as the older one.
	j, err := b.readJournal()
	if err != nil {
		return nil, err
	}
	s, err := b.readSnapshot()
	if err != nil {
		return nil, err
	}
	if s, err = state.Fold(s, j); err != nil {
		return nil, b.failed("read", err)
	}
	return s, nil
}

// readSnapshot gives nil when there is none.
func (b *Backend) readSnapshot() (*state.Snapshot, error) {
	data, err := os.ReadFile(b.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the state: %w", err)
	}
	s, err := state.Decode(data)
	if err != nil {
		return nil, b.failed("read", err)
	}
	return s, nil
}

// readJournal gives nil when there is none.
func (b *Backend) readJournal() (*state.Journal, error) {
	data, err := readNoFollow(b.journalPath())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the state's journal: %w", err)
	}
	j, err := state.DecodeJournal(data)
	if err != nil {
		return nil, b.failed("read", err)
	}
	return j, nil
}

// Write implements state.Backend.
func (b *Backend) Write(ctx context.Context, s *state.Snapshot) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	b.io.Lock()
	defer b.io.Unlock()
	if err := b.checkCurrent(s); err != nil {
		return err
	}
	return b.write(s)
}

// Replace implements state.Backend.
func (b *Backend) Replace(ctx context.Context, s *state.Snapshot) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	b.io.Lock()
	defer b.io.Unlock()
	// The journal goes first: left beside another project's state it would be damage.
	if err := b.dropJournal(); err != nil {
		return err
	}
	return b.write(s)
}

// write is Write once it is allowed.
func (b *Backend) write(s *state.Snapshot) error {
	next := *s
	next.Serial++
	data, err := state.Encode(&next)
	if err != nil {
		return err
	}
	for _, path := range []string{b.path, b.journalPath(), b.path + ".backup"} {
		atomicfile.RemoveLeftovers(path) // the holder of the lock is the only writer
	}
	if err := keepBackup(b.path, b.path+".backup"); err != nil {
		return fmt.Errorf("keep a backup of the state: %w", err)
	}
	if err := atomicfile.Write(b.path, data, mode); err != nil {
		return fmt.Errorf("write the state: %w", err)
	}
	s.Serial = next.Serial
	return b.dropJournal()
}

// checkCurrent is ErrStale unless what is on disk is of s's lineage and serial.
func (b *Backend) checkCurrent(s *state.Snapshot) error {
	lineage, serial, err := b.current()
	if err != nil {
		return err
	}
	if serial == s.Serial && (lineage == s.Lineage || lineage == "") {
		return nil
	}
	if lineage != "" && lineage != s.Lineage {
		return b.failed("write", fmt.Errorf("%w: it is of project %s, not of %s", state.ErrStale, lineage, s.Lineage))
	}
	return b.failed("write", fmt.Errorf("%w: it has serial %d, and the change was made from %d: plan again", state.ErrStale, serial, s.Serial))
}

// current gives what the next write must follow; no lineage when there is nothing yet.
func (b *Backend) current() (lineage string, serial uint64, err error) {
	data, err := os.ReadFile(b.path)
	if errors.Is(err, fs.ErrNotExist) {
		j, err := b.readJournal()
		if err != nil || j == nil {
			return "", 0, err
		}
		s, err := state.Fold(nil, j)
		if err != nil {
			return "", 0, b.failed("write", err)
		}
		return s.Lineage, s.Serial, nil
	}
	if err != nil {
		return "", 0, fmt.Errorf("read the state: %w", err)
	}
	if lineage, serial, err = state.DecodeHead(data); err != nil {
		return "", 0, b.failed("write", err)
	}
	return lineage, serial, nil
}

func (b *Backend) journalPath() string { return b.path + ".journal" }

func (b *Backend) failed(verb string, err error) error {
	return fmt.Errorf("%s the state %s: %w", verb, b.path, err)
}
