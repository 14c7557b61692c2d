//go:build !nolibvirt

package libvirt

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
)

// plain are URIs that run nothing of their own.
var plain = []string{
	"qemu:///system", "qemu+unix:///session?socket=/run/user/1000/libvirt/libvirt-sock", "test:///default", "test:///tmp/host.xml",
	"qemu+unix:///system?socket=/tmp/x/sock/libvirt-sock", "qemu+ssh://lab/system", "qemu+ssh://root@lab:2222/session",
	"qemu+ssh://user%40realm@lab.example/system?socket=/run/x&no_verify=1&no_tty=1&keyfile=/home/me/.ssh/id_ed25519",
	"qemu+libssh2://root@lab/system?known_hosts_verify=auto&sshauth=agent,privkey", "qemu+ssh://root@lab/system?proxy=native&mode=direct",
	"qemu+tls://[fe80::1%25eth0]:16514/system?pkipath=/etc/pki&tls_priority=NORMAL:-VERS-ALL", "qemu+tcp://127.0.0.1:1/system", "qemu://lab/system",
	"qemu+ssh://lab/system?keyfile=/home/j%C3%BCrgen/my%20keys/id_rsa",
}

// running are URIs with which libvirt runs a program or writes a file that they name.
var running = []string{
	"qemu+ssh://x/system?command=/tmp/p", "qemu+ssh://x/system?mode=auto&command=%2ftmp%2fp", "qemu+ssh://x/system?netcat=/tmp/p",
	"qemu+ext:///system?command=/tmp/p", "qemu+ext:///system", "test+ext:///default?command=/tmp/p",
	"qemu+libssh://x/system?known_hosts=/root/.bashrc", "qemu+unix:///system?name=qemu%2bext:///system",
}

// unknown are URIs that nobody is to open: libvirt might read more in them than we do.
var unknown = []string{
	"", "qemu", "qemu:", "qemu+ext:", "qemu:system", "QEMU+EXT:///system?command=/tmp/p", "qemu+rsh://x/system", "qemu+ssh+ext://x/system", "xen:///system",
	"qemu+ssh://x/system?COMMAND=/tmp/p", "qemu+ssh://x/system?mode=auto;command=/tmp/p", "qemu+ssh://x/system?c%6fmmand=/tmp/p", "qemu+ssh://x/system?mode=auto&mode=direct",
	"qemu+ssh://x/system?new=1", "qemu+ssh://x/system?mode=%00", "qemu+ssh://x/system?mode=%zz", "qemu+ssh://x/system?keyfile=-oProxyCommand%3Dx", "qemu+ssh://x/system?socket=/x%24(id)", "qemu+ssh://x/system#?command=/tmp/p",
	"qemu+ssh://-oProxyCommand=x/system", "qemu+ssh://%2doProxyCommand=x/system", "qemu+ssh://-oProxyCommand=x@y/system", "qemu+ssh://%2doProxyCommand@y/system", "qemu+ssh://a;id@y/system", "qemu+ssh://$(id)/system", "qemu+ssh://`id`@x/system",
	"qemu+ssh://x:-1/system", "qemu:///embed?root=/tmp", "qemu+ssh://x/embed", "qemu+ssh://x/system\n", "qemu+ssh://x y/system", "qemu+ssh://x\\y/system", "qemu+ssh://a:b@x/system",
}

func TestURIsThatRunPrograms(t *testing.T) {
	open := func(uri string, trust drivers.Trust) error {
		_, err := Open(&resource.Host{URI: uri}, drivers.Env{Trust: trust})
		return err
	}
	record, programs := drivers.Trust{Programs: true}, drivers.Trust{Written: true, Programs: true}
	for _, uri := range plain {
		for _, trust := range []drivers.Trust{{}, {Written: true}, record, programs} {
			if err := open(uri, trust); err != nil {
				t.Errorf("%s, %+v: %v", uri, trust, err)
			}
		}
	}
	for _, uri := range running {
		for _, trust := range []drivers.Trust{{}, {Written: true}, record} {
			if err := open(uri, trust); !errors.Is(err, drivers.ErrUntrusted) {
				t.Errorf("%s, %+v: %v", uri, trust, err)
			}
		}
		if err := open(uri, programs); err != nil {
			t.Errorf("%s is allowed: %v", uri, err)
		}
	}
	for _, uri := range unknown {
		if err := open(uri, programs); !errors.Is(err, drivers.ErrUnsupported) {
			t.Errorf("%q: %v", uri, err)
		}
	}
}

// FuzzURI holds what is opened without the operator's leave to what libvirt makes of it: by libvirt's rules, written down here
// once more, no part of it runs a program.
func FuzzURI(f *testing.F) {
	for _, list := range [][]string{plain, running, unknown} {
		for _, uri := range list {
			f.Add(uri)
		}
	}
	harmless := map[string]bool{
		"mode": true, "proxy": true, "socket": true, "keyfile": true, "pkipath": true, "tls_priority": true, "no_verify": true,
		"no_sanity": true, "no_tty": true, "sshauth": true, "known_hosts_verify": true,
	}
	f.Fuzz(func(t *testing.T, uri string) {
		if _, err := parseURI(uri, drivers.Trust{Written: true}); err != nil {
			return
		}
		if strings.ContainsFunc(uri, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune("\\\"'`$();<>|{}^#", r) }) {
			t.Fatalf("%q has what a shell or another parser reads", uri)
		}
		before, query, _ := strings.Cut(uri, "?")
		scheme, rest, _ := strings.Cut(before, ":")
		if _, transport, _ := strings.Cut(strings.ToLower(scheme), "+"); strings.Contains(transport, "ext") {
			t.Fatalf("%q runs a program", uri)
		}
		authority, _, _ := strings.Cut(strings.TrimPrefix(rest, "//"), "/")
		at := strings.LastIndexByte(authority, '@')
		for _, part := range []string{authority[:max(at, 0)], authority[at+1:]} {
			if decoded, err := url.PathUnescape(part); err != nil || strings.HasPrefix(decoded, "-") {
				t.Fatalf("%q gives ssh the option %q", uri, decoded)
			}
		}
		for _, pair := range strings.FieldsFunc(query, func(r rune) bool { return r == '&' || r == ';' }) {
			name, value, _ := strings.Cut(pair, "=")
			name, _ = url.PathUnescape(name)
			value, _ = url.PathUnescape(value)
			if !harmless[strings.ToLower(name)] || strings.HasPrefix(value, "-") || strings.ContainsRune(value, 0) {
				t.Fatalf("%q has the parameter %s=%s", uri, name, value)
			}
		}
	})
}
