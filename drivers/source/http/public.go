package http

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"net/url"

	"vmplan.dev/vmplan/drivers/source"
)

// Public makes a transport that reaches public addresses only: not this machine, nor its networks. A proxy looks names up
// itself: there, only what the name alone tells is refused.
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
			d.ControlContext = source.OnDial(func(_ context.Context, to netip.Addr) error { return source.AllowPublic(host, to) })
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
	if addr, ok := source.NamedAddr(host); ok {
		return source.AllowPublic(host, addr)
	}
	return nil
}
