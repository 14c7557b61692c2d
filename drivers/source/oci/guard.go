package oci

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"golang.org/x/net/publicsuffix"

	"vmplan.dev/vmplan/drivers/source"
)

// errRefused marks what a registry asked for and does not get.
var errRefused = errors.New("refused")

// guard is the way out to one registry. A registry names other servers: for tokens, for uploads, for the bits themselves. The
// guard lets it name only those that are no nearer to this machine than itself, so that no registry out there has us ask
// what only this machine or its network can reach; and keeps logins from servers that are not of the registry's own site.
type guard struct {
	registry  string // host name, without port
	secure    bool   // reached by https
	anonymous bool   // the registry itself has to have a public address
	transport http.RoundTripper
	network   network
}

// network is how names become addresses and connections.
type network struct {
	lookup func(ctx context.Context, kind, host string) ([]netip.Addr, error)
	dial   func(ctx context.Context, d *net.Dialer, kind, addr string) (net.Conn, error)
}

func realNetwork() network {
	return network{lookup: net.DefaultResolver.LookupNetIP, dial: func(ctx context.Context, d *net.Dialer, kind, addr string) (net.Conn, error) {
		return d.DialContext(ctx, kind, addr)
	}}
}

// newGuard makes the guard of a registry and the transport behind it.
func newGuard(ref reference, n network, anonymous bool) *guard {
	t := http.DefaultTransport.(*http.Transport).Clone()
	g := &guard{registry: hostOf(ref.Host()), secure: !ref.plain && !isLoopback(ref.Registry), anonymous: anonymous, transport: t, network: n}
	t.DisableCompression = true // digests are of what is stored
	t.ResponseHeaderTimeout = silence
	if ref.push {
		t.ResponseHeaderTimeout = settle
	}
	t.DialContext = g.dial
	return g
}

// RoundTrip implements http.RoundTripper: a login (or a token got with one) in a header or in a form goes to the registry's
// site only.
func (g *guard) RoundTrip(req *http.Request) (*http.Response, error) {
	host := hostOf(req.URL.Host)
	if g.anonymous {
		if err := g.allowName(req.Context(), host); err != nil {
			return nil, err
		}
	}
	if g.secure && req.URL.Scheme != "https" {
		return nil, fmt.Errorf("%w: the registry sends us from https to %s, where anyone on the way could change what is sent", errRefused, req.URL.Scheme)
	}
	form := req.Header.Get("Content-Type") == "application/x-www-form-urlencoded"
	if (req.Header.Get("Authorization") != "" || form) && !sameSite(g.registry, host) {
		return nil, fmt.Errorf("%w: the registry %s wants its login sent to %s, which is not of the same site", errRefused, g.registry, host)
	}
	return g.transport.RoundTrip(req)
}

func (g *guard) checkRedirect(req *http.Request, via []*http.Request) error {
	if len(via) >= maxRedirects {
		return fmt.Errorf("%w: more than %d redirects", errRefused, maxRedirects)
	}
	// Behind a proxy nothing is dialled from here, so what can be told by the name alone is told now.
	return g.allowName(req.Context(), hostOf(req.URL.Host))
}

// allowName is allow for what a name alone tells.
func (g *guard) allowName(ctx context.Context, host string) error {
	if addr, ok := source.NamedAddr(host); ok {
		return g.allow(ctx, host, addr)
	}
	return nil
}

// dial connects to what allow lets through; a proxy, and a registry that the project itself names, need no leave.
func (g *guard) dial(ctx context.Context, kind, addr string) (net.Conn, error) {
	host := hostOf(addr)
	d := net.Dialer{Timeout: silence}
	if (g.anonymous || host != g.registry) && !g.isProxy(host) {
		d.ControlContext = source.OnDial(func(ctx context.Context, to netip.Addr) error { return g.allow(ctx, host, to) })
	}
	return g.network.dial(ctx, &d, kind, addr)
}

func (g *guard) isProxy(host string) bool {
	for _, scheme := range []string{"https", "http"} {
		through, err := http.ProxyFromEnvironment(&http.Request{URL: &url.URL{Scheme: scheme, Host: g.registry}})
		if err == nil && through != nil && hostOf(through.Host) == host {
			return true
		}
	}
	return false
}

// allow tells whether the registry may send us to an address: one that is no nearer than the registry's own.
func (g *guard) allow(ctx context.Context, host string, to netip.Addr) error {
	if g.anonymous {
		return source.AllowPublic(host, to)
	}
	if host == g.registry {
		return nil
	}
	own := source.Public
	addrs, err := g.network.lookup(ctx, "ip", g.registry)
	if err != nil {
		return fmt.Errorf("where is %s itself: %w", g.registry, err)
	}
	for _, addr := range addrs {
		own = max(own, source.ReachOf(addr))
	}
	if got := source.ReachOf(to); got > own || got == source.LinkLocal && own != source.LinkLocal {
		return fmt.Errorf("%w: the registry %s sends us to %s, %s, which it has no reason to use", errRefused, g.registry, host, got)
	}
	return nil
}

// sameSite tells whether two hosts are the same, or of one registered domain (registry-1.docker.io and auth.docker.io).
func sameSite(a, b string) bool {
	if strings.EqualFold(a, b) {
		return true
	}
	if _, err := netip.ParseAddr(a); err == nil {
		return false
	}
	siteA, errA := publicsuffix.EffectiveTLDPlusOne(strings.ToLower(a))
	siteB, errB := publicsuffix.EffectiveTLDPlusOne(strings.ToLower(b))
	return errA == nil && errB == nil && siteA == siteB
}
