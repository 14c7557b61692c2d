package drivers

import (
	"fmt"
	"slices"
)

// Trust is how far the URI of a host is trusted. The zero value is for a URI from a state record, which anybody who can write
// to the state may have put there.
type Trust struct {
	Written  bool // the URI stands in the project's own files
	Programs bool // the operator lets URIs in the files run programs
	// Hosts, unless nil, are the URIs that may be opened. No other is.
	Hosts []string
}

// Program is nil when the URI may run a program or write a file, and else an error that wraps
// ErrUntrusted. what names the part of the URI that does so.
func (t Trust) Program(what string) error {
	if t.Written && t.Programs {
		return nil
	}
	return fmt.Errorf("%s can run a program or write a file: %w", what, ErrUntrusted)
}

// host is nil when a host may be opened.
func (t Trust) host(uri string) error {
	if t.Hosts == nil || slices.Contains(t.Hosts, uri) {
		return nil
	}
	return fmt.Errorf("it is not among the hosts that may be connected to: %w", ErrUntrusted)
}
