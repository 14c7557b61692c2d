package oci_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"vmplan.dev/vmplan/drivers/source/oci"
	"vmplan.dev/vmplan/drivers/source/oci/ocitest"
)

// What may come from anybody is got without the user's logins, and only from where everybody can get it.
func TestLocationsOfStrangers(t *testing.T) {
	reg := ocitest.Start(t, ocitest.Options{Users: map[string]string{"joe": "s3cret-word"}})
	open := ocitest.Start(t, ocitest.Options{})
	disk := bits(1<<20, "disk")
	reg.Artifact(t, "private", "v1", map[string][]byte{"disk.raw": disk})
	open.Artifact(t, "public", "v1", map[string][]byte{"disk.raw": disk})
	asked, logins := 0, 0
	way := before(t, reg, func(_ int, _ http.ResponseWriter, r *http.Request) bool {
		asked++
		if r.Header.Get("Authorization") != "" {
			logins++
		}
		return false
	})
	u := newUser(t)
	u.login("private.example", "joe", "s3cret-word")
	for _, c := range []struct {
		anonymous      bool
		location, host string
		at             string
		want           string
	}{
		{false, "private", "private.example", "203.0.113.7", ""},
		{true, "private", "private.example", "203.0.113.7", "none is used; if you trust it with that"},
		{true, "public", "public.example", "203.0.113.7", ""},
		{true, "public", "public.example", "10.0.0.7", "public.example is an address of a private network"},
		{true, "public", "public.example", "169.254.169.254", "public.example is a link-local address"},
		{true, "public", "127.0.0.1", "127.0.0.1", "127.0.0.1 is an address of this machine"},
	} {
		asked, logins = 0, 0
		src := oci.New(oci.Options{Anonymous: c.anonymous, Getenv: func(name string) string { return u.environ[name] }})
		server := way.host()
		if c.location == "public" {
			server = open.Host
		}
		src.Pretend(c.host, netip.MustParseAddr(c.at), server)
		_, err := src.Stat(t.Context(), "oci+http://"+c.host+"/"+c.location+":v1")
		switch {
		case c.want == "" && err != nil, c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%+v: error %v", c, err)
		case c.anonymous && logins > 0:
			t.Errorf("%+v: %d requests of %d had a login", c, logins, asked)
		case !c.anonymous && logins == 0:
			t.Errorf("%+v: the login was not used", c)
		}
	}
}
