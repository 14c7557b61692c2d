//go:build !nolibvirt

package libvirt

import (
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"vmplan.dev/vmplan/drivers"
)

// uriShape is all that a URI may be made of. libvirt reads URIs by rules of its own (it splits queries at ; too, takes names
// of parameters in any case, and unescapes names of hosts), so what it could read differently from us does not match.
var uriShape = regexp.MustCompile(`^(?:qemu|test)(?:\+([a-z0-9]+))?://` +
	`(?:[A-Za-z0-9_](?:[A-Za-z0-9_.+-]|%40)*@)?` + // user: ssh takes what begins with - as an option
	`(?:[A-Za-z0-9][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+(?:%25[A-Za-z0-9._-]+)?\])?` + // host: a name or an address
	`(?::[0-9]{1,5})?` +
	`(/[A-Za-z0-9._/~+@,:=-]*)` +
	`(?:\?([A-Za-z0-9._~/+@,:=!&%-]*))?$`)

// transports are how libvirt reaches a daemon; those that are true run a program that the URI names.
var transports = map[string]bool{
	"": false, "unix": false, "ssh": false, "libssh": false, "libssh2": false, "tls": false, "tcp": false,
	"ext": true,
}

var (
	word      = regexp.MustCompile(`^(?:[A-Za-z0-9][A-Za-z0-9.,:+@%!_-]*)?$`)
	plainPath = regexp.MustCompile(`^[A-Za-z0-9_./][A-Za-z0-9._/~+@,:=-]*$`) // ssh and the shell of another machine leave it as it is
	localPath = regexp.MustCompile(`^[\pL\pN_./~][\pL\pM\pN._/~+@,:= -]*$`)  // an argument, or a folder of this machine
	printable = regexp.MustCompile(`^[[:print:]]*$`)
)

// parameter is what a parameter of a URI may hold, and whether it runs a program or writes a file on this machine.
type parameter struct {
	value *regexp.Regexp
	runs  bool
}

// parameters are those that libvirt documents. All others are refused: a newer libvirt may run something because of them.
var parameters = map[string]parameter{
	"mode":               {word, false},
	"proxy":              {word, false},
	"socket":             {plainPath, false},
	"keyfile":            {localPath, false},
	"pkipath":            {localPath, false},
	"tls_priority":       {word, false},
	"no_verify":          {word, false},
	"no_sanity":          {word, false},
	"no_tty":             {word, false},
	"sshauth":            {word, false},
	"known_hosts_verify": {word, false},
	"known_hosts":        {plainPath, true}, // libssh writes host keys there
	"name":               {printable, true}, // a URI for the daemon to open, with all that such can do
	"command":            {printable, true},
	"netcat":             {printable, true},
}

// parseURI reads a URI all of whose parts are known. Others are ErrUnsupported, or ErrUntrusted when trust must allow them.
func parseURI(text string, trust drivers.Trust) (*url.URL, error) {
	parts := uriShape.FindStringSubmatch(text)
	if parts == nil {
		return nil, fmt.Errorf("%w: write DRIVER[+TRANSPORT]://[[USER@]HOST[:PORT]]/PATH[?NAME=VALUE&…], such as qemu:///system or qemu+ssh://root@lab/system", drivers.ErrUnsupported)
	}
	transport, path, query := parts[1], parts[2], parts[3]
	runs, known := transports[transport]
	switch {
	case !known:
		return nil, fmt.Errorf("%w: there is no transport %q, there are: %s", drivers.ErrUnsupported, transport, names(transports))
	case strings.HasPrefix(text, "qemu") && path != "/system" && path != "/session":
		return nil, fmt.Errorf("%w: the path is /system or /session", drivers.ErrUnsupported)
	}
	if runs {
		if err := trust.Program("the transport " + transport); err != nil {
			return nil, err
		}
	}
	if err := checkParameters(query, trust); err != nil {
		return nil, err
	}
	return url.Parse(text)
}

func checkParameters(query string, trust drivers.Trust) error {
	if query == "" {
		return nil
	}
	seen := map[string]bool{}
	for pair := range strings.SplitSeq(query, "&") {
		name, escaped, _ := strings.Cut(pair, "=")
		value, err := url.PathUnescape(escaped)
		p, known := parameters[name]
		switch {
		case !known:
			return fmt.Errorf("%w: there is no parameter %q, there are: %s", drivers.ErrUnsupported, name, names(parameters))
		case seen[name]:
			return fmt.Errorf("%w: the parameter %s is there twice", drivers.ErrUnsupported, name)
		case err != nil || !p.value.MatchString(value):
			return fmt.Errorf("%w: the parameter %s cannot be %q", drivers.ErrUnsupported, name, value)
		}
		seen[name] = true
		if p.runs {
			if err := trust.Program("the parameter " + name); err != nil {
				return err
			}
		}
	}
	return nil
}

// names lists the keys of a table that have a name.
func names[V any](table map[string]V) string {
	all := slices.Sorted(maps.Keys(table))
	return strings.Join(slices.DeleteFunc(all, func(name string) bool { return name == "" }), ", ")
}
