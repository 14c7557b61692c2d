package state

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"vmplan.dev/vmplan/config/resource"
)

// formatVersion is of what Encode writes and the newest that Decode reads.
const formatVersion = 1

// fileV1 is a state file. Records come last, one in each line, in the order of their addresses.
type fileV1 struct {
	Version  int             `json:"vmplan_state"`
	Lineage  string          `json:"lineage"`
	Serial   uint64          `json:"serial"`
	Salt     []byte          `json:"salt"`
	Checksum string          `json:"checksum,omitempty"`
	Records  json.RawMessage `json:"records"`
}

// Encode writes the snapshot as the content of a state file. The same snapshot always gives the same bytes.
func Encode(s *Snapshot) ([]byte, error) {
	if s.Lineage == "" {
		return nil, errors.New("encode the state: it has no lineage")
	}
	records, err := encodeRecords(s)
	if err != nil {
		return nil, fmt.Errorf("encode the state: %w", err)
	}
	f := fileV1{Version: formatVersion, Lineage: s.Lineage, Serial: s.Serial, Salt: s.Salt}
	if f.Checksum, err = f.sum(records); err != nil {
		return nil, fmt.Errorf("encode the state: %w", err)
	}
	head, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode the state: %w", err)
	}
	// The head ends with `"records": null` and the brace; the records go there as they are, unindented.
	head, ok := bytes.CutSuffix(head, []byte("null\n}"))
	if !ok {
		panic("state: records are not the last field of a state file")
	}
	return append(append(head, records...), "\n}\n"...), nil
}

func encodeRecords(s *Snapshot) ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('[')
	for i, r := range s.Sorted() {
		if err := checkRecord(r); err != nil {
			return nil, err
		}
		if a := r.Object.Base().Addr; s.Records[a] != r {
			return nil, fmt.Errorf("the record of %s is kept under another address", a)
		}
		line, err := json.Marshal(r)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString("\n    ")
		b.Write(line)
	}
	if len(s.Records) > 0 {
		b.WriteString("\n  ")
	}
	b.WriteByte(']')
	return b.Bytes(), nil
}

// sum is over everything but white space.
func (f *fileV1) sum(records []byte) (string, error) {
	h := sha256.New()
	fmt.Fprintf(h, "%d\n%s\n%d\n%x\n", f.Version, f.Lineage, f.Serial, f.Salt)
	var compact bytes.Buffer
	if err := json.Compact(&compact, records); err != nil {
		return "", err
	}
	h.Write(compact.Bytes())
	return "sha256:" + hex.EncodeToString(h.Sum(nil)), nil
}

// Decode reads the content of a state file. The error is ErrNewer or ErrCorrupt, and says where.
func Decode(data []byte) (*Snapshot, error) {
	f, err := decodeFile(data)
	if err != nil {
		return nil, err
	}
	s := &Snapshot{Lineage: f.Lineage, Serial: f.Serial, Salt: f.Salt, Records: map[resource.Addr]*Record{}}
	records := json.NewDecoder(bytes.NewReader(f.Records))
	if open, err := records.Token(); err != nil || open != json.Delim('[') {
		return nil, fmt.Errorf("%w: records is not a list", ErrCorrupt)
	}
	start := int64(bytes.LastIndex(data, f.Records))
	for records.More() {
		var line json.RawMessage
		r := &Record{}
		err := records.Decode(&line)
		if err == nil {
			err = r.UnmarshalJSON(line)
		}
		if err == nil {
			err = s.addDecoded(r)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrCorrupt, place(data, start+records.InputOffset()), err)
		}
	}
	return s, nil
}

func (s *Snapshot) addDecoded(r *Record) error {
	a := r.Object.Base().Addr
	if s.Records[a] != nil {
		return fmt.Errorf("a second record of %s", a)
	}
	resource.SealLocations(r.Object, s.Salt) // older versions recorded them in the open
	s.Records[a] = r
	return nil
}

// DecodeHead checks a whole state file but gives only its lineage and serial, which is much faster than Decode.
func DecodeHead(data []byte) (lineage string, serial uint64, err error) {
	f, err := decodeFile(data)
	if err != nil {
		return "", 0, err
	}
	return f.Lineage, f.Serial, nil
}

func decodeFile(data []byte) (*fileV1, error) {
	var version struct {
		V *int `json:"vmplan_state"`
	}
	if err := json.Unmarshal(data, &version); err != nil {
		return nil, corruptJSON(data, err)
	}
	switch v := version.V; {
	case v == nil:
		return nil, fmt.Errorf("%w: it is not a state file of vmplan: it says no \"vmplan_state\"", ErrCorrupt)
	case *v > formatVersion:
		return nil, fmt.Errorf("%w: it is of format %d, and this one reads up to %d", ErrNewer, *v, formatVersion)
	case *v < 1:
		return nil, fmt.Errorf("%w: there is no format %d", ErrCorrupt, *v)
	}
	f := &fileV1{}
	if err := resource.DecodeStrict(data, f); err != nil {
		return nil, corruptJSON(data, err)
	}
	if f.Lineage == "" || f.Records == nil {
		return nil, fmt.Errorf("%w: it has no lineage or no records", ErrCorrupt)
	}
	return f, f.check()
}

func (f *fileV1) check() error {
	sum, err := f.sum(f.Records)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if f.Checksum != "" && f.Checksum != sum {
		return fmt.Errorf("%w: its content does not match its checksum; put its backup in its place, or, if you changed it by hand and mean it, take the checksum out", ErrCorrupt)
	}
	return nil
}

// corruptJSON says where data is wrong, as far as err knows.
func corruptJSON(data []byte, err error) error {
	var syntax *json.SyntaxError
	var typ *json.UnmarshalTypeError
	switch {
	case len(data) == 0:
		return fmt.Errorf("%w: it is empty", ErrCorrupt)
	case errors.As(err, &syntax):
		return fmt.Errorf("%w: %s: %w", ErrCorrupt, place(data, syntax.Offset), err)
	case errors.As(err, &typ):
		return fmt.Errorf("%w: %s: %w", ErrCorrupt, place(data, typ.Offset), err)
	}
	return fmt.Errorf("%w: %w", ErrCorrupt, err)
}

// place names the line and column of an offset.
func place(data []byte, offset int64) string {
	before := data[:min(max(offset, 0), int64(len(data)))]
	line := bytes.Count(before, []byte("\n")) + 1
	column := len(before) - bytes.LastIndexByte(before, '\n')
	return fmt.Sprintf("line %d, column %d", line, column)
}
