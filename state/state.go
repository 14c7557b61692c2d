// Package state is what vmplan remembers between runs: which objects it made, where, and as what; and, while an apply is
// running, what it is about to do. It owns the data types, their file format and the Backend interface.
//
// It must not know hosts or plans, and holds no secret in clear.
package state

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"vmplan.dev/vmplan/config/resource"
)

// Snapshot is the state of a project at one serial.
type Snapshot struct {
	Lineage string // UUID of the project, fixed for life; part of every object's identity and mark
	Serial  uint64 // counts writes; 0: nothing was ever written
	Salt    []byte // for resource.NewSecret; 32 bytes, fixed for life
	Records map[resource.Addr]*Record
}

// Record is what the last apply left of one object.
type Record struct {
	// Object as applied: its Addr, kind, host, name and every field that was set, secrets as hashes.
	Object resource.Resource
	// Status says whether the object is whole.
	Status Status
	// DependsOn are the addresses this object was made after; deletion goes the other way round.
	DependsOn []resource.Addr
	// Power is what vmplan last made of a vm's power: PowerOn, PowerOff, or PowerStarting; empty when it never did.
	Power string
	// Restoring names the snapshot that a vm's disks are being brought back to: until that is done, one may hold what was and
	// another what is. Empty otherwise.
	Restoring string
}

// The values of Record.Power.
const (
	PowerOn  = "on"
	PowerOff = "off"
	// PowerStarting: vmplan created or stopped the vm with the intention to start it, and has not seen it started and ready.
	PowerStarting = "starting"
)

// Status of a recorded object.
type Status string

// The statuses.
const (
	StatusReady    Status = "ready"
	StatusCreating Status = "creating" // begun, not known to be finished: may be absent, partial or whole
	StatusDeleting Status = "deleting" // begun, not known to be finished
	StatusReleased Status = "released" // orphaned: left on the host, no longer managed
)

// Entry is one line of the journal: what is about to be done to an object, or was.
type Entry struct {
	Step  string        // the plan step's ID
	Addr  resource.Addr // the record it is about
	Phase Phase
	// Record is the record from now on; nil removes it.
	Record *Record
}

// Phase of an Entry.
type Phase string

// The phases.
const (
	PhaseIntent Phase = "intent" // durable before the step touches the host
	PhaseDone   Phase = "done"
	PhaseFailed Phase = "failed"
)

// Apply folds an entry into the snapshot.
func (s *Snapshot) Apply(e Entry) {
	if e.Record == nil {
		delete(s.Records, e.Addr)
		return
	}
	if s.Records == nil {
		s.Records = map[resource.Addr]*Record{}
	}
	s.Records[e.Addr] = e.Record
}

// Backend is where a project's state is kept. One Backend is one project's.
type Backend interface {
	// Read gives the state with the journal folded in. When none was ever written it gives an empty Snapshot with serial 0
	// and no lineage. A state that cannot be understood, is damaged, or is of a newer format is an error, never empty.
	Read(ctx context.Context) (*Snapshot, error)

	// Write replaces the state with s as serial s.Serial+1, which it sets in s, and drops the journal. It is durable and
	// all-or-nothing when it returns. If the current state has another lineage or serial than s, it is ErrStale and nothing changes.
	// The caller holds the lock.
	Write(ctx context.Context, s *Snapshot) error

	// Append adds entries to the journal that belongs to snapshot s (by lineage and serial), durable when it returns. The caller
	// holds the lock. It may be called from several goroutines at once and joins their writes.
	Append(ctx context.Context, s *Snapshot, entries ...Entry) error

	// Lock takes the project's one lock. When somebody holds it, the error is a *LockedError that names the holder, except
	// that a lock whose holder is a dead process of this machine is taken over. Waiting is the caller's affair.
	Lock(ctx context.Context, info LockInfo) (Unlock, error)

	// Replace puts s, as serial s.Serial+1, which it sets in s, in the place of whatever is there: of another project, of a
	// higher serial, damaged; and drops the journal. Else it is like Write. The caller holds the lock, and makes the serial
	// higher than what it replaces, so that plans of before are refused.
	Replace(ctx context.Context, s *Snapshot) error

	// Break removes a lock that nobody gives back any more, and tells who held it; nil when there is none. id, unless it is
	// empty, says whose lock is meant. A lock of another id, and one whose holder is known to live, stay as they are: that is a
	// *LockedError.
	Break(ctx context.Context, id string) (*LockInfo, error)
}

// Unlock gives the lock back. Calling it twice is harmless.
type Unlock func() error

// LockInfo is who holds the lock.
type LockInfo struct {
	ID        string    `json:"id"`  // random
	Who       string    `json:"who"` // user@machine
	PID       int       `json:"pid"`
	Boot      string    `json:"boot,omitempty"` // identity of machine and boot, so that a PID can be told dead
	Operation string    `json:"operation"`      // "apply", "destroy", "state rm"
	Since     time.Time `json:"since"`
}

// LockedError says who holds the lock.
type LockedError struct{ Holder LockInfo }

func (e *LockedError) Error() string {
	return fmt.Sprintf("the state is locked by %s (pid %d, %s) since %s", e.Holder.Who, e.Holder.PID, e.Holder.Operation,
		e.Holder.Since.Format(time.RFC3339))
}

// The errors that callers tell apart, with errors.Is.
var (
	ErrStale   = errors.New("the state was changed by somebody else")
	ErrCorrupt = errors.New("the state is damaged")
	ErrNewer   = errors.New("the state was written by a newer vmplan")
)

// Sorted gives the records in the order of their addresses.
func (s *Snapshot) Sorted() []*Record {
	out := make([]*Record, 0, len(s.Records))
	for _, a := range slices.SortedFunc(maps.Keys(s.Records), resource.Compare) {
		out = append(out, s.Records[a])
	}
	return out
}
