package source

import (
	"errors"
	"fmt"
	"net/netip"
)

// Reach says how near an address is to this machine; larger is nearer.
type Reach int

// The reaches.
const (
	Public Reach = iota
	Private
	LinkLocal
	Loopback
)

// String tells people.
func (r Reach) String() string {
	return [...]string{"a public address", "an address of a private network", "a link-local address", "an address of this machine"}[r]
}

var carrierNAT = netip.MustParsePrefix("100.64.0.0/10")

// ReachOf tells where an address is.
func ReachOf(addr netip.Addr) Reach {
	addr = addr.Unmap()
	switch {
	case addr.IsLoopback(), addr.IsUnspecified():
		return Loopback
	case addr.IsLinkLocalUnicast(), addr.IsMulticast():
		return LinkLocal
	case addr.IsPrivate(), carrierNAT.Contains(addr):
		return Private
	}
	return Public
}

// ErrNotPublic marks what an image that may come from anybody does not reach.
var ErrNotPublic = errors.New("refused")

// AllowPublic refuses every address but a public one. host is what the address was looked up for.
func AllowPublic(host string, to netip.Addr) error {
	if got := ReachOf(to); got != Public {
		return fmt.Errorf("%w: %s is %s, where an appliance in a folder of its own leads nobody; %s", ErrNotPublic, host, got, TrustHint)
	}
	return nil
}

// TrustHint says how images of such an appliance are got like the project's own.
const TrustHint = `if you trust it with that, write beside its source, in the project's own files: trust = ["HOST/PATH of the image"]`
