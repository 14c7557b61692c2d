package sim

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
)

// Fault makes operations fail. One that strikes a number of times is counted in the host, also across processes.
type Fault struct {
	// What it strikes: empty fields match everything.
	Verb string        `json:"verb,omitempty"` // of the operation: create, start, …; or observe
	Addr resource.Addr `json:"addr,omitzero"`  // of exactly this target
	Kind resource.Kind `json:"kind,omitempty"` // of the target

	// When it strikes: "before" (default) the change is made, or "after" it was made and written. Observe has no after.
	When string `json:"when,omitempty"`
	// Skip lets that many operations that match go by first.
	Skip int `json:"skip,omitempty"`
	// Times says how often it strikes; 0 is always.
	Times int `json:"times,omitempty"`

	// What happens, in this order.
	Delay resource.Duration `json:"delay,omitzero"` // waits first
	Hang  bool              `json:"hang,omitempty"` // waits until the operation is cancelled
	Kill  bool              `json:"kill,omitempty"` // ends this process, as kill -9 does
	// Err makes the operation fail: one of "not found", "conflict", "in use", "unsupported", "unavailable", "no space" and "timeout" for
	// the driver's error of that name, or any other text.
	Err string `json:"err,omitempty"`
}

var faultErrors = map[string]error{
	"not found": drivers.ErrNotFound, "conflict": drivers.ErrConflict, "in use": drivers.ErrInUse,
	"unsupported": drivers.ErrUnsupported, "unavailable": drivers.ErrUnavailable, "no space": drivers.ErrNoSpace,
	"timeout": drivers.ErrTimeout,
}

const (
	before = "before"
	after  = "after"
)

// opRef is what faults are matched with.
type opRef struct {
	verb string
	addr resource.Addr
	kind resource.Kind
}

func (f *Fault) matches(op opRef, when string) bool {
	fits := f.When
	setDefault(&fits, before)
	return fits == when && (f.Verb == "" || f.Verb == op.verb) && (f.Kind == "" || f.Kind == op.kind) &&
		(f.Addr.IsZero() || f.Addr == op.addr)
}

// Fail adds faults to the host.
func (h *Host) Fail(faults ...Fault) error {
	return h.Edit(func(d *Data) { d.Faults = append(d.Faults, faults...) })
}

// strike lets the first fault that matches happen.
func (h *Host) strike(ctx context.Context, op opRef, when string) error {
	var fault *Fault
	err := h.change(func(t *tx) error {
		faults := slices.Clone(t.Faults)
		for i := range faults {
			f := &faults[i]
			if !f.matches(op, when) {
				continue
			}
			if f.Skip > 0 {
				f.Skip--
				t.putFaults(faults)
				continue
			}
			hit := *f
			fault = &hit
			if f.Times--; f.Times == 0 {
				faults = slices.Delete(faults, i, i+1)
			}
			if hit.Times > 0 {
				t.putFaults(faults)
			}
			return nil
		}
		return nil
	})
	if err != nil || fault == nil {
		return err
	}
	return h.suffer(ctx, fault)
}

func (h *Host) suffer(ctx context.Context, f *Fault) error {
	if f.Delay > 0 {
		if err := h.wait(ctx, time.Duration(f.Delay)); err != nil {
			return err
		}
	}
	if f.Hang {
		<-ctx.Done()
		return ctx.Err()
	}
	if f.Kill {
		killSelf()
	}
	if known := faultErrors[f.Err]; known != nil {
		return fmt.Errorf("simulated fault: %w", known)
	}
	if f.Err != "" {
		return errors.New(f.Err)
	}
	return nil
}

// wait waits by the host's clock.
func (h *Host) wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-h.After(d):
		return nil
	}
}

func killSelf() {
	self, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = self.Kill()
	}
	if err != nil {
		panic("sim: cannot end this process: " + err.Error())
	}
	select {} // until the signal arrives
}
