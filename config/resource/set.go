package resource

import (
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"
)

// Set holds objects by address and gives them in the order of Compare. Any number of goroutines may read it at once.
type Set struct {
	byAddr map[Addr]Resource
	mu     sync.Mutex // guards sorted among readers
	sorted []Addr     // nil when stale
}

// NewSet makes a set of rs.
func NewSet(rs ...Resource) *Set {
	s := &Set{byAddr: make(map[Addr]Resource, len(rs))}
	for _, r := range rs {
		s.Add(r)
	}
	return s
}

// Add puts r in, in place of one with the same address.
func (s *Set) Add(r Resource) {
	a := r.Base().Addr
	if _, ok := s.byAddr[a]; !ok {
		s.sorted = nil
	}
	s.byAddr[a] = r
}

// Get gives the object at a, or nil.
func (s *Set) Get(a Addr) Resource { return s.byAddr[a] }

// Len is the number of objects.
func (s *Set) Len() int { return len(s.byAddr) }

// All gives the objects in order.
func (s *Set) All() iter.Seq2[Addr, Resource] {
	return func(yield func(Addr, Resource) bool) {
		for _, a := range s.order() {
			if !yield(a, s.byAddr[a]) {
				return
			}
		}
	}
}

func (s *Set) order() []Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sorted == nil {
		s.sorted = slices.SortedFunc(maps.Keys(s.byAddr), Compare)
	}
	return s.sorted
}

// Of gives the objects of Go type T in order: Of[*VM](set).
func Of[T Resource](s *Set) iter.Seq[T] {
	return func(yield func(T) bool) {
		for _, r := range s.All() {
			if t, ok := r.(T); ok && !yield(t) {
				return
			}
		}
	}
}

// New makes an empty object of the kind.
func New(k Kind) (Resource, error) {
	switch k {
	case KindHost:
		return &Host{}, nil
	case KindPool:
		return &Pool{}, nil
	case KindNetwork:
		return &Network{}, nil
	case KindImage:
		return &Image{}, nil
	case KindVolume:
		return &Volume{}, nil
	case KindSeed:
		return &Seed{}, nil
	case KindVM:
		return &VM{}, nil
	}
	return nil, fmt.Errorf("there is no kind %q", k)
}

// Encoded is a Resource in JSON: {"addr": …, "kind": …, "spec": {…}}. Secrets are written as hashes.
type Encoded struct{ Resource }

type encoded struct {
	Addr Addr            `json:"addr"`
	Kind Kind            `json:"kind"`
	Spec json.RawMessage `json:"spec"`
}

// MarshalJSON implements json.Marshaler; no object is null.
func (e Encoded) MarshalJSON() ([]byte, error) {
	if e.Resource == nil {
		return []byte("null"), nil
	}
	spec, err := json.Marshal(e.Resource)
	if err != nil {
		return nil, err
	}
	return json.Marshal(encoded{Addr: e.Base().Addr, Kind: e.Kind(), Spec: spec})
}

// UnmarshalJSON implements json.Unmarshaler.
func (e *Encoded) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		e.Resource = nil
		return nil
	}
	var raw encoded
	if err := json.Unmarshal(data, &raw); err != nil {
		return err
	}
	r, err := New(raw.Kind)
	if err != nil {
		return err
	}
	if raw.Kind == KindImage {
		if raw.Spec, err = upgradePin(raw.Spec); err != nil {
			return fmt.Errorf("%s: %w", raw.Addr, err)
		}
	}
	// An attribute this version does not know is refused: dropping it would lose what a newer version recorded.
	if err := DecodeStrict(raw.Spec, r); err != nil {
		return fmt.Errorf("%s: %w", raw.Addr, err)
	}
	r.Base().Addr = raw.Addr
	e.Resource = r
	return nil
}
