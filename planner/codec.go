package planner

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"vmplan.dev/vmplan/config/resource"
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

// Encode writes the plan as a plan file. Secrets are written as hashes; who may read the file is up to the caller.
func Encode(w io.Writer, p *Plan) error {
	body, err := json.Marshal(p.withUnchangedOnce())
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

// withUnchangedOnce is the plan as it is written: objects that stay as they are once, not before and after.
func (p *Plan) withUnchangedOnce() *Plan {
	out := *p
	out.Unchanged = slices.Clone(p.Unchanged)
	for i := range out.Unchanged {
		out.Unchanged[i].After = resource.Encoded{}
	}
	return &out
}

// Decode reads a plan file, to be looked at and to be compared with the plan that is made again when it is applied: its steps
// are not carried out. Its secrets are hashes.
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
	for i := range p.Unchanged {
		p.Unchanged[i].After = p.Unchanged[i].Before
	}
	if err := p.check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return p, nil
}

// The actions and power changes that a plan can have; drift may have none.
var (
	actions = []Action{
		"", ActionNone, ActionCreate, ActionUpdate, ActionReplace, ActionDelete, ActionStart, ActionStop, ActionAdopt, ActionRelease,
		ActionRestore, ActionFlatten, ActionForget,
	}
	powers = []string{"", "start", "stop", "restart"}
)

// check refuses what no saved plan has, so that showing it says what applying it does: an error, which would be all that is
// shown; actions that there are not; and steps that do nothing.
func (p *Plan) check() error {
	if p.Refused() {
		return errors.New("it was refused when it was made")
	}
	for _, c := range slices.Concat(p.Changes, p.Drift, p.Pending, p.Unchanged) {
		if !slices.Contains(actions, c.Action) || !slices.Contains(powers, c.Power) {
			return fmt.Errorf("%s: there is no action %q with power %q", c.Addr, c.Action, c.Power)
		}
	}
	for i := range p.Steps {
		if s := &p.Steps[i]; s.Op.Op == nil || s.Op.Target() == nil {
			return fmt.Errorf("step %q does nothing", s.ID)
		}
	}
	return nil
}
