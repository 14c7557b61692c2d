package sim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"

	"vmplan.dev/vmplan/config/atomicfile"
	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
)

// store keeps a host's Data: in memory alone, or in a file with a log of changes beside it, so that the cost of a change does not
// grow with the host. The log's lines say what an object is from now on, so that reading one twice does no harm.
// The log is also the lock between processes.
type store struct {
	path   string      // of the file; empty: memory only
	data   *Data       // nil: not read yet, or not to be trusted
	base   os.FileInfo // of the file as data has it; nil when there was none
	logged int64       // bytes of the log that data has
}

// tx is one change of the host.
type tx struct {
	*Data
	lines []logLine
}

type logLine struct {
	Section string `json:"section"`
	Name    string `json:"name,omitempty"`
	Value   any    `json:"value"` // null: gone
}

// put sets the object called name; nil removes it. Objects are replaced, never changed in place: what is in the maps may be
// looked at until the transaction ends.
func put[T any](t *tx, section string, m map[string]*T, name string, v *T) {
	if v == nil {
		delete(m, name)
		t.lines = append(t.lines, logLine{Section: section, Name: name})
		return
	}
	m[name] = v
	t.lines = append(t.lines, logLine{section, name, v})
}

func (t *tx) putPool(name string, p *Pool)       { put(t, "pools", t.Pools, name, p) }
func (t *tx) putNetwork(name string, n *Network) { put(t, "networks", t.Networks, name, n) }
func (t *tx) putVolume(id string, v *Volume)     { put(t, "volumes", t.Volumes, id, v) }
func (t *tx) putVM(name string, vm *VM)          { put(t, "vms", t.VMs, name, vm) }

func (t *tx) putFaults(faults []Fault) {
	t.Faults = faults
	t.lines = append(t.lines, logLine{Section: "faults", Value: faults})
}

// change runs fn on the host as it is now and keeps what it put.
func (s *store) change(fn func(*tx) error) error {
	return s.locked(func(log *os.File) error {
		t := &tx{Data: s.data}
		if err := fn(t); err != nil {
			return err
		}
		if log == nil || len(t.lines) == 0 {
			return nil
		}
		var text bytes.Buffer
		enc := json.NewEncoder(&text)
		for _, l := range t.lines {
			if err := enc.Encode(l); err != nil {
				s.data = nil
				return err
			}
		}
		n, err := log.Write(text.Bytes())
		s.logged += int64(n)
		if err != nil {
			s.data = nil
		}
		return err
	})
}

// rewrite lets edit change anything, and writes the file.
func (s *store) rewrite(edit func(*Data)) error {
	return s.locked(func(log *os.File) error {
		edit(s.data)
		s.data.complete()
		if log == nil {
			return nil
		}
		return s.compact(log)
	})
}

// fold writes the file if the log has anything.
func (s *store) fold() error {
	return s.locked(func(log *os.File) error {
		if log == nil || s.logged == 0 {
			return nil
		}
		return s.compact(log)
	})
}

// close folds the log and removes it.
func (s *store) close() error {
	if s.path == "" || s.data == nil {
		return nil
	}
	return s.locked(func(log *os.File) error {
		if s.logged > 0 {
			if err := s.compact(log); err != nil {
				return err
			}
		}
		return os.Remove(log.Name())
	})
}

// locked runs fn with data up to date and nobody else at the file. log is nil for a host in memory.
func (s *store) locked(fn func(log *os.File) error) error {
	if s.path == "" {
		return fn(nil)
	}
	log, err := lockFile(filepath.Join(filepath.Dir(s.path), "."+filepath.Base(s.path)+".log"))
	if err != nil {
		return fmt.Errorf("%w: %w", drivers.ErrUnavailable, err)
	}
	defer log.Close()
	if err := s.refresh(log); err != nil {
		s.data = nil
		return fmt.Errorf("%s: %w: %w", s.path, drivers.ErrUnavailable, err)
	}
	return fn(log)
}

// lockFile opens and locks the file until it is closed. The previous holder may have removed the file: then there is
// another by now.
func lockFile(path string) (*os.File, error) {
	for {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
		if err != nil {
			return nil, err
		}
		for err = syscall.EINTR; errors.Is(err, syscall.EINTR); {
			err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		}
		if err != nil {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		mine, err1 := f.Stat()
		there, err2 := os.Stat(path)
		if err1 == nil && err2 == nil && os.SameFile(mine, there) {
			return f, nil
		}
		f.Close()
	}
}

// refresh brings data up to what file and log say.
func (s *store) refresh(log *os.File) error {
	base, err := os.Stat(s.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	info, err := log.Stat()
	if err != nil {
		return err
	}
	if s.data == nil || !sameFile(base, s.base) || info.Size() < s.logged {
		if err := s.load(base); err != nil {
			return err
		}
	}
	if info.Size() == s.logged {
		return nil
	}
	return s.replay(log, info.Size())
}

func sameFile(a, b os.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}

// load reads the file; base is nil when there is none.
func (s *store) load(base os.FileInfo) error {
	data := &Data{}
	if base != nil {
		text, err := os.ReadFile(s.path)
		if err != nil {
			return err
		}
		if len(text) > 0 {
			err = resource.DecodeStrict(text, data)
		}
		if err != nil {
			return err
		}
	}
	setDefault(&data.UUID, nameUUID("file "+s.path))
	data.complete()
	s.data, s.base, s.logged = data, base, 0
	return nil
}

// replay reads the log from where data is. A last line without an end was cut off by a crash: it never happened.
func (s *store) replay(log *os.File, size int64) error {
	text := make([]byte, size-s.logged)
	if _, err := log.ReadAt(text, s.logged); err != nil {
		return err
	}
	whole := text[:bytes.LastIndexByte(text, '\n')+1]
	if len(whole) < len(text) {
		if err := log.Truncate(s.logged + int64(len(whole))); err != nil {
			return err
		}
	}
	for line := range bytes.Lines(whole) {
		if err := s.data.replay(line); err != nil {
			return fmt.Errorf("%s: %w", log.Name(), err)
		}
	}
	s.logged += int64(len(whole))
	return nil
}

func (d *Data) replay(line []byte) error {
	var l struct {
		Section, Name string
		Value         json.RawMessage
	}
	if err := json.Unmarshal(line, &l); err != nil {
		return err
	}
	switch l.Section {
	case "pools":
		return replayInto(d.Pools, l.Name, l.Value)
	case "networks":
		return replayInto(d.Networks, l.Name, l.Value)
	case "volumes":
		return replayInto(d.Volumes, l.Name, l.Value)
	case "vms":
		return replayInto(d.VMs, l.Name, l.Value)
	case "faults":
		d.Faults = nil
		return json.Unmarshal(l.Value, &d.Faults)
	}
	return fmt.Errorf("there is no section %q", l.Section)
}

func replayInto[T any](m map[string]*T, name string, value json.RawMessage) error {
	var v *T
	if err := json.Unmarshal(value, &v); err != nil {
		return err
	}
	if v == nil {
		delete(m, name)
	} else {
		m[name] = v
	}
	return nil
}

var sizeLine = regexp.MustCompile(`(?m)^( *"(?:memory|max_memory|size|capacity|used)": )(\d+)(,?)$`)

// readable writes sizes with a unit where that is exact.
func readable(text []byte) []byte {
	return sizeLine.ReplaceAllFunc(text, func(line []byte) []byte {
		part := sizeLine.FindSubmatch(line)
		n, err := strconv.ParseUint(string(part[2]), 10, 64)
		if err != nil {
			return line
		}
		short := strings.ReplaceAll(resource.Size(n).String(), " ", "")
		if back, err := resource.ParseSize(short); err != nil || back != resource.Size(n) {
			return line
		}
		return fmt.Appendf(nil, "%s%q%s", part[1], short, part[3])
	})
}

// compact writes data to the file and empties the log. A crash between the two leaves a log that repeats what is written.
func (s *store) compact(log *os.File) error {
	text, err := json.MarshalIndent(s.data, "", "  ")
	if err != nil {
		return err
	}
	if err := atomicfile.Write(s.path, append(readable(text), '\n'), 0o644); err != nil {
		return err
	}
	if s.base, err = os.Stat(s.path); err != nil {
		return err
	}
	s.logged = 0
	return log.Truncate(0)
}
