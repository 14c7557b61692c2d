package drivers

import (
	"fmt"

	"vmplan.dev/vmplan/config/resource"
)

// Owner says whose an existing object must be for an operation to change it, stop it or take it away. Objects without a mark
// belong to whoever has them on record; which object it is, its UUID says.
type Owner struct {
	Lineage string        `json:"lineage"`
	Addr    resource.Addr `json:"addr,omitzero"` // zero: any of the lineage
	// Found is the mark that the object had when the plan was made, where that is another: it is imported, taken back, or has
	// another address now.
	Found *Mark `json:"found,omitempty"`
}

// Check compares the owner with the mark that a live object carries; nil: none. The error wraps ErrConflict.
func (o *Owner) Check(live *Mark) error {
	switch {
	case o == nil || live == nil:
		return nil
	case live.Lineage == o.Lineage && (o.Addr.IsZero() || live.Addr == o.Addr):
		return nil
	case o.Found != nil && live.Lineage == o.Found.Lineage && live.Addr == o.Found.Addr:
		return nil
	case live.Lineage == o.Lineage:
		return fmt.Errorf("%w: it is marked as %s, not as %s", ErrConflict, live.Addr, o.Addr)
	}
	return fmt.Errorf("%w: it is marked as %s of another project (lineage %s)", ErrConflict, live.Addr, live.Lineage)
}

// OwnerOf gives the owner that op asks for; nil when it asks for none, as operations do that only make things.
func OwnerOf(op Op) *Owner {
	if o, ok := op.(interface{ owner() *Owner }); ok {
		return o.owner()
	}
	return nil
}

// SetOwner has op ask for an owner. Operations that change nothing which exists ask for none.
func SetOwner(op Op, owner Owner) {
	if o, ok := op.(interface{ setOwner(*Owner) }); ok {
		o.setOwner(&owner)
	}
}

// owned is part of the operations that change, stop or take away an object that may be marked.
type owned struct {
	Owner *Owner `json:"owner,omitempty"` // nil: whoever has it
}

func (o *owned) owner() *Owner         { return o.Owner }
func (o *owned) setOwner(owner *Owner) { o.Owner = owner }
