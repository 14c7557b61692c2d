package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"vmplan.dev/vmplan/config/atomicfile"
	"vmplan.dev/vmplan/state"
)

// batch is a group of entries that become durable together. The goroutine that begins one writes it; others join it until then.
type batch struct {
	of      *state.Snapshot
	entries []state.Entry
	done    chan struct{} // closed when err is set
	err     error
}

// log is the open journal of one snapshot.
type log struct {
	lineage string
	serial  uint64
	file    *os.File
}

// Append implements state.Backend. While one batch is written, those who come meanwhile fill the next.
func (b *Backend) Append(ctx context.Context, s *state.Snapshot, entries ...state.Entry) error {
	if err := ctx.Err(); err != nil || len(entries) == 0 {
		return err
	}
	// Encoding them alone first keeps one caller's mistake from failing those who share its line.
	if _, err := state.JournalLine(entries); err != nil {
		return err
	}
	b.mu.Lock()
	own := b.next
	joins := own != nil && own.of.Lineage == s.Lineage && own.of.Serial == s.Serial
	if !joins {
		own = &batch{of: s, done: make(chan struct{})}
		b.next = own
	}
	own.entries = append(own.entries, entries...)
	b.mu.Unlock()

	if joins {
		<-own.done
		return own.err
	}
	b.io.Lock()
	defer b.io.Unlock()
	b.mu.Lock()
	if b.next == own {
		b.next = nil
	}
	b.mu.Unlock()
	own.err = b.writeBatch(own)
	close(own.done)
	return own.err
}

// writeBatch makes the entries durable. After a failure the journal is opened again, which truncates incomplete entries.
func (b *Backend) writeBatch(own *batch) error {
	line, err := state.JournalLine(own.entries)
	if err != nil {
		return err
	}
	if b.log == nil || b.log.lineage != own.of.Lineage || b.log.serial != own.of.Serial {
		if err := b.openLog(own.of); err != nil {
			return err
		}
	}
	_, err = b.log.file.Write(line)
	if err == nil {
		err = b.log.file.Sync()
	}
	if err != nil {
		b.closeLog()
		return fmt.Errorf("write the state's journal: %w", err)
	}
	return nil
}

// openLog makes b.log the journal of s, which it continues if it is there already.
func (b *Backend) openLog(s *state.Snapshot) error {
	b.closeLog()
	if err := b.checkCurrent(s); err != nil {
		return err
	}
	size, err := b.journalSize(s)
	if err != nil {
		return err
	}
	if size == 0 {
		head, err := state.JournalHead(s)
		if err != nil {
			return err
		}
		if err := atomicfile.Write(b.journalPath(), head, mode); err != nil {
			return fmt.Errorf("begin the state's journal: %w", err)
		}
		size = len(head)
	}
	f, err := os.OpenFile(b.journalPath(), os.O_RDWR|noFollow, 0)
	if err == nil {
		err = f.Truncate(int64(size))
	}
	if err == nil {
		_, err = f.Seek(0, io.SeekEnd)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("open the state's journal: %w", err), f.Close())
	}
	b.log = &log{lineage: s.Lineage, serial: s.Serial, file: f}
	return nil
}

// journalSize is the length of what is whole of the journal of s; 0 when there is none, or that of an earlier serial.
func (b *Backend) journalSize(s *state.Snapshot) (int, error) {
	j, err := b.readJournal()
	if err != nil || j == nil {
		return 0, err
	}
	if j.Lineage == s.Lineage && j.Serial == s.Serial {
		return j.Size, nil
	}
	// Fold knows which other journals may be replaced.
	if _, err := state.Fold(&state.Snapshot{Lineage: s.Lineage, Serial: s.Serial}, j); err != nil {
		return 0, b.failed("write", err)
	}
	return 0, nil
}

func (b *Backend) closeLog() {
	if b.log != nil {
		_ = b.log.file.Close() // every line is synced already
		b.log = nil
	}
}

// dropJournal removes the journal of the snapshot that was just replaced. It is ignored from then on, so that failing to
// remove it loses nothing; the next Append begins another.
func (b *Backend) dropJournal() error {
	b.closeLog()
	if err := os.Remove(b.journalPath()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the state's old journal: %w", err)
	}
	return nil
}
