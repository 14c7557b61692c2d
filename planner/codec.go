package planner

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
)

// The head of a plan file.
const (
	fileFormat  = "vmplan plan"
	fileVersion = 2
)

// The errors of Decode that callers tell apart, with errors.Is.
var (
	ErrCorrupt = errors.New("the plan file is damaged")
	ErrNewer   = errors.New("the plan file was written by a newer vmplan")
	ErrOlder   = errors.New("the plan file was written by an older vmplan")
)

type file struct {
	Format  string          `json:"format"`
	Version int             `json:"version"`
	Sum     string          `json:"sha256"` // of Plan's bytes
	Plan    json.RawMessage `json:"plan"`
}

// Encode writes the plan as a plan file. Secrets are written as hashes; who may read the file is the caller's affair.
func Encode(w io.Writer, p *Plan) error {
	body, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("encode plan: %w", err)
	}
	sum := sha256.Sum256(body)
	text, err := json.Marshal(file{Format: fileFormat, Version: fileVersion, Sum: hex.EncodeToString(sum[:]), Plan: body})
	if err != nil {
		return fmt.Errorf("encode plan: %w", err)
	}
	_, err = w.Write(append(text, '\n'))
	return err
}

// Decode reads a plan file. Its secrets are hashes until Reveal.
func Decode(r io.Reader) (*Plan, error) {
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("read plan: %w", err)
	}
	var head struct {
		Format  string `json:"format"`
		Version int    `json:"version"`
	}
	if err := json.Unmarshal(text, &head); err != nil || head.Format != fileFormat {
		return nil, fmt.Errorf("%w, or is none", ErrCorrupt)
	}
	if head.Version > fileVersion {
		return nil, fmt.Errorf("%w: format version %d, this one reads %d", ErrNewer, head.Version, fileVersion)
	}
	if head.Version < fileVersion {
		return nil, fmt.Errorf("%w: format version %d, this one reads %d: make the plan again", ErrOlder, head.Version, fileVersion)
	}
	var f file
	if err := resource.DecodeStrict(text, &f); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if sum := sha256.Sum256(f.Plan); f.Sum != hex.EncodeToString(sum[:]) {
		return nil, fmt.Errorf("%w: its checksum differs", ErrCorrupt)
	}
	p := &Plan{}
	if err := resource.DecodeStrict(f.Plan, p); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if err := p.check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return p, nil
}

// check refuses what New does not make and an executor would stumble over.
func (p *Plan) check() error {
	seen := make(map[string]bool, len(p.Steps))
	for i := range p.Steps {
		s := &p.Steps[i]
		if s.Op.Op == nil || s.Op.Target() == nil {
			return fmt.Errorf("step %q does nothing", s.ID)
		}
		if seen[s.ID] {
			return fmt.Errorf("there are two steps %q", s.ID)
		}
		for _, d := range slices.Concat(s.DependsOn, s.Rescue) {
			if !seen[d] {
				return fmt.Errorf("step %q waits for %q, which does not come before it", s.ID, d)
			}
		}
		seen[s.ID] = true
		switch s.Op.Op.(type) {
		case *drivers.Start, *drivers.Stop, *drivers.Reboot, *drivers.WaitReady, *drivers.Snapshot, *drivers.Restore, *drivers.DropSnapshot:
			if s.Op.Target().Kind() != resource.KindVM {
				return fmt.Errorf("step %q: a %s has no power and no snapshots", s.ID, s.Op.Target().Kind())
			}
		}
	}
	return nil
}

// Reveal gives the secrets of a decoded plan their texts again, by hash (see resource.Secrets). It fails when a step needs one
// that is not among them.
func (p *Plan) Reveal(texts map[string]string) error {
	var unknown []string
	for _, s := range p.Steps {
		target := s.Op.Target()
		missing := resource.Reveal(target, texts)
		switch s.Op.Op.(type) {
		case *drivers.Create, *drivers.Build, *drivers.Update:
			if len(missing) > 0 {
				unknown = append(unknown, s.Addr.String())
			}
		}
	}
	if len(unknown) > 0 {
		slices.Sort(unknown)
		return fmt.Errorf("secrets of %s are not those that the plan was made with", strings.Join(slices.Compact(unknown), ", "))
	}
	return nil
}
