package http_test

import (
	nethttp "net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"vmplan.dev/vmplan/drivers/source/http"
)

// What may come from anybody leads neither to this machine nor to its network, with a proxy or without.
func TestPublicReachesNothingNear(t *testing.T) {
	asked := 0
	here := httptest.NewServer(nethttp.HandlerFunc(func(nethttp.ResponseWriter, *nethttp.Request) { asked++ }))
	defer here.Close()
	proxy, err := url.Parse(here.URL)
	if err != nil {
		t.Fatal(err)
	}
	for _, proxy := range []*url.URL{nil, proxy} {
		src := http.New(http.Options{Transport: http.PublicThrough(nethttp.ProxyURL(proxy))})
		for location, want := range map[string]string{
			here.URL + "/a.raw":                    "an address of this machine",
			"http://[::1]:80/a.raw":                "an address of this machine",
			"http://[::ffff:127.0.0.1]/a.raw":      "an address of this machine",
			"http://localhost:1/a.raw":             "localhost is an address of this machine",
			"https://10.1.2.3/a.raw":               "an address of a private network",
			"https://100.64.0.1/a.raw":             "an address of a private network",
			"https://169.254.169.254/latest/a.raw": "a link-local address",
		} {
			if _, err := src.Stat(t.Context(), location); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s through the proxy %v: error %v, want %s", location, proxy, err, want)
			}
		}
	}
	if asked > 0 {
		t.Errorf("the server was asked %d times", asked)
	}
	src := http.New(http.Options{Transport: http.PublicThrough(nethttp.ProxyURL(proxy))})
	if _, err := src.Stat(t.Context(), "http://img.example/a.raw"); err != nil || asked != 1 {
		t.Errorf("a public name through a proxy of this network: error %v, the proxy was asked %d times", err, asked)
	}
}
