package state

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"strconv"

	"vmplan.dev/vmplan/config/resource"
)

// A journal is lines of `CRC JSON`: first a head that says which snapshot it belongs to, then one line for each batch of
// entries that was made durable at once. A crash can tear the last line only, because the next is written when the one before
// is durable; a torn one was never acknowledged and is dropped. A bad line with others behind it is damage.

// journalVersion is of what JournalHead writes and the newest that DecodeJournal reads.
const journalVersion = 1

type journalHead struct {
	Version int    `json:"vmplan_journal"`
	Lineage string `json:"lineage"`
	Serial  uint64 `json:"serial"`
	Salt    []byte `json:"salt,omitempty"`
}

type entryJSON struct {
	Step   string        `json:"step"`
	Addr   resource.Addr `json:"addr"`
	Phase  Phase         `json:"phase"`
	Record *Record       `json:"record"`
}

// Journal is a decoded journal.
type Journal struct {
	// Lineage and Serial are of the snapshot it belongs to. Salt is its salt: with serial 0 there is no other record of it.
	Lineage string
	Serial  uint64
	Salt    []byte
	Entries []Entry
	// Size is the length in bytes of what is whole; what is behind it is a torn line.
	Size int
}

// JournalHead gives the first line of the journal that belongs to s.
func JournalHead(s *Snapshot) ([]byte, error) {
	return journalLine(journalHead{Version: journalVersion, Lineage: s.Lineage, Serial: s.Serial, Salt: s.Salt})
}

// JournalLine gives one line with the entries.
func JournalLine(entries []Entry) ([]byte, error) {
	raw := make([]entryJSON, len(entries))
	for i, e := range entries {
		if err := checkEntry(e); err != nil {
			return nil, fmt.Errorf("encode a journal entry: %w", err)
		}
		raw[i] = entryJSON(e)
	}
	return journalLine(raw)
}

func checkEntry(e Entry) error {
	if e.Addr.Kind == "" {
		return fmt.Errorf("step %q has no address", e.Step)
	}
	switch e.Phase {
	case PhaseIntent, PhaseDone, PhaseFailed:
	default:
		return fmt.Errorf("%s: there is no phase %q", e.Addr, e.Phase)
	}
	if e.Record == nil {
		return nil
	}
	if err := checkRecord(e.Record); err != nil {
		return err
	}
	if a := e.Record.Object.Base().Addr; a != e.Addr {
		return fmt.Errorf("the record of %s is kept under %s", a, e.Addr)
	}
	return nil
}

func journalLine(v any) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "%08x %s\n", crc32.ChecksumIEEE(text), text), nil
}

// DecodeJournal reads a journal. The error is ErrNewer or ErrCorrupt, and says which line.
func DecodeJournal(data []byte) (*Journal, error) {
	line, ok := firstLine(data)
	if !ok {
		return nil, fmt.Errorf("%w: its journal has no head", ErrCorrupt)
	}
	head, err := decodeJournalHead(line)
	if err != nil {
		return nil, err
	}
	j := &Journal{Lineage: head.Lineage, Serial: head.Serial, Salt: head.Salt}
	for number := 1; ; number++ {
		j.Size += lineOverhead + len(line)
		rest := data[j.Size:]
		if len(rest) == 0 {
			return j, nil
		}
		if line, ok = firstLine(rest); !ok {
			if end := bytes.IndexByte(rest, '\n'); end >= 0 && end < len(rest)-1 {
				return nil, fmt.Errorf("%w: line %d of its journal is not what was written", ErrCorrupt, number+1)
			}
			return j, nil
		}
		if err := j.add(line); err != nil {
			return nil, fmt.Errorf("%w: line %d of its journal: %w", ErrCorrupt, number+1, err)
		}
	}
}

// lineOverhead is the length of the CRC, the space and the end of a line.
const lineOverhead = 8 + 1 + 1

// firstLine gives the JSON of the first line of data, if the line is whole.
func firstLine(data []byte) (text []byte, ok bool) {
	line, _, ok := bytes.Cut(data, []byte("\n"))
	if !ok || len(line) < 9 || line[8] != ' ' {
		return nil, false
	}
	sum, err := strconv.ParseUint(string(line[:8]), 16, 32)
	return line[9:], err == nil && uint32(sum) == crc32.ChecksumIEEE(line[9:])
}

func decodeJournalHead(line []byte) (*journalHead, error) {
	var head journalHead
	if err := json.Unmarshal(line, &head); err != nil {
		return nil, fmt.Errorf("%w: the head of its journal: %w", ErrCorrupt, err)
	}
	if head.Version > journalVersion {
		return nil, fmt.Errorf("%w: its journal is of format %d, and this one reads up to %d", ErrNewer, head.Version, journalVersion)
	}
	if err := resource.DecodeStrict(line, &head); err != nil || head.Version < 1 || head.Lineage == "" {
		return nil, fmt.Errorf("%w: the head of its journal is invalid", ErrCorrupt)
	}
	return &head, nil
}

func (j *Journal) add(line []byte) error {
	var raw []entryJSON
	if err := resource.DecodeStrict(line, &raw); err != nil {
		return err
	}
	for _, e := range raw {
		if err := checkEntry(Entry(e)); err != nil {
			return err
		}
		j.Entries = append(j.Entries, Entry(e))
	}
	return nil
}

// Fold brings a snapshot up to date with the journal found beside it; either may be nil. A journal of an earlier serial is
// what a crash left of the apply that wrote the snapshot: its entries are in there already.
func Fold(s *Snapshot, j *Journal) (*Snapshot, error) {
	switch {
	case s == nil && j == nil:
		return &Snapshot{Records: map[resource.Addr]*Record{}}, nil
	case j == nil:
		return s, nil
	case s == nil && j.Serial > 0:
		return nil, fmt.Errorf("%w: it is missing, but the journal of its serial %d is there: put the state (or its backup) back", ErrCorrupt, j.Serial)
	case s == nil:
		s = &Snapshot{Lineage: j.Lineage, Salt: j.Salt, Records: map[resource.Addr]*Record{}}
	case j.Lineage != s.Lineage:
		return nil, fmt.Errorf("%w: it is of project %s, and the journal beside it is of %s", ErrCorrupt, s.Lineage, j.Lineage)
	case j.Serial > s.Serial:
		return nil, fmt.Errorf("%w: it is of serial %d, and its journal of %d: an old state was put back; the journal must go with it", ErrCorrupt, s.Serial, j.Serial)
	case j.Serial < s.Serial:
		return s, nil
	}
	for _, e := range j.Entries {
		if e.Record != nil {
			resource.SealLocations(e.Record.Object, s.Salt) // older versions recorded them in the open
		}
		s.Apply(e)
	}
	return s, nil
}
