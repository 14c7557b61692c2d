package oci

import (
	"context"
	"net"
	"net/netip"
)

// Pretend has a host name stand for an address elsewhere, and be served by a server of the test.
func (s *Source) Pretend(host string, elsewhere netip.Addr, server string) {
	before := s.network
	s.network.lookup = func(ctx context.Context, kind, name string) ([]netip.Addr, error) {
		if name == host {
			return []netip.Addr{elsewhere}, nil
		}
		return before.lookup(ctx, kind, name)
	}
	s.network.dial = func(ctx context.Context, d *net.Dialer, kind, addr string) (net.Conn, error) {
		if hostOf(addr) == host {
			// The address that the name stands for has to be allowed; the test's own is not looked at.
			if d.ControlContext != nil {
				if err := d.ControlContext(ctx, kind, netip.AddrPortFrom(elsewhere, 80).String(), nil); err != nil {
					return nil, err
				}
			}
			d, addr = &net.Dialer{}, server
		}
		return before.dial(ctx, d, kind, addr)
	}
}
