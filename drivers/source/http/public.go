package http

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"

	"vmplan.dev/vmplan/drivers/source"
)

// Public makes a transport that reaches public addresses only: not this machine, nor its networks. What a name resolves to is
// looked at when the connection is made, so that a name cannot change in between. A proxy looks names up itself: there, only what
// the name alone tells is refused.
func Public() http.RoundTripper { return publicThrough(http.ProxyFromEnvironment) }

func publicThrough(proxy func(*http.Request) (*url.URL, error)) http.RoundTripper {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DisableCompression = true // as in New
	t.Proxy = func(req *http.Request) (*url.URL, error) {
		through, err := proxy(req)
		if err == nil && through != nil {
			err = allowName(req.URL.Hostname())
		}
		return through, err
	}
	proxies := proxyHosts(proxy)
	t.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		d := net.Dialer{Timeout: idleTimeout}
		if host, _, err := net.SplitHostPort(addr); err == nil && !proxies[host] {
			d.Control = func(_, resolved string, _ syscall.RawConn) error {
				to, err := netip.ParseAddrPort(resolved)
				if err != nil {
					return err
				}
				return source.AllowPublic(host, to.Addr())
			}
		}
		return d.DialContext(ctx, network, addr)
	}
	return t
}

// proxyHosts are the proxies that are in use.
func proxyHosts(proxy func(*http.Request) (*url.URL, error)) map[string]bool {
	hosts := map[string]bool{}
	for _, scheme := range []string{"http", "https"} {
		if through, err := proxy(&http.Request{URL: &url.URL{Scheme: scheme, Host: "example.com"}}); err == nil && through != nil {
			hosts[through.Hostname()] = true
		}
	}
	return hosts
}

func allowName(host string) error {
	if addr, err := netip.ParseAddr(host); err == nil {
		return source.AllowPublic(host, addr)
	}
	if strings.EqualFold(host, "localhost") || strings.HasSuffix(strings.ToLower(host), ".localhost") {
		return source.AllowPublic(host, netip.IPv6Loopback())
	}
	return nil
}
