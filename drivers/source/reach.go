package source

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"syscall"
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

// NamedAddr gives the address that the name of a host alone tells: one written out, or this machine's.
func NamedAddr(host string) (netip.Addr, bool) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr, true
	}
	host = strings.ToLower(host)
	return netip.IPv6Loopback(), host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// OnDial makes the ControlContext of a net.Dialer that connects only where allow lets it. What a name resolves to is looked at when
// the connection is made, so that a name cannot change in between.
func OnDial(allow func(context.Context, netip.Addr) error) func(ctx context.Context, network, resolved string, _ syscall.RawConn) error {
	return func(ctx context.Context, _, resolved string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(resolved)
		if err != nil {
			return err
		}
		return allow(ctx, to.Addr())
	}
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
