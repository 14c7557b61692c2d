package state

import (
	"encoding/json"
	"errors"
	"fmt"

	"vmplan.dev/vmplan/config/resource"
)

// recordJSON is a Record as it is written in state files, journals and plan files.
type recordJSON struct {
	Object    resource.Encoded `json:"object"`
	Status    Status           `json:"status"`
	DependsOn []resource.Addr  `json:"depends_on,omitempty"`
	Power     string           `json:"power,omitempty"`
	Restoring string           `json:"restoring,omitempty"`
}

// MarshalJSON implements json.Marshaler. Secrets are written as hashes.
func (r Record) MarshalJSON() ([]byte, error) {
	return json.Marshal(recordJSON{resource.Encoded{Resource: r.Object}, r.Status, r.DependsOn, r.Power, r.Restoring})
}

// UnmarshalJSON implements json.Unmarshaler. A record without an object or with an unknown status is an error.
func (r *Record) UnmarshalJSON(data []byte) error {
	var raw recordJSON
	if err := resource.DecodeStrict(data, &raw); err != nil {
		return err
	}
	*r = Record{raw.Object.Resource, raw.Status, raw.DependsOn, raw.Power, raw.Restoring}
	return checkRecord(r)
}

// checkRecord refuses what could not be read back.
func checkRecord(r *Record) error {
	switch {
	case r == nil || r.Object == nil:
		return errors.New("a record has no object")
	case r.Object.Base().Addr.Kind == "":
		return errors.New("a record has no address")
	case !r.Status.valid():
		return fmt.Errorf("the record of %s has the unknown status %q", r.Object.Base().Addr, r.Status)
	}
	return nil
}

func (s Status) valid() bool {
	switch s {
	case StatusReady, StatusCreating, StatusDeleting, StatusReleased:
		return true
	}
	return false
}
