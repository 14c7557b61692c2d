package glance

import (
	"errors"
	"net/url"
	"strings"
)

// location is a parsed one.
type location struct {
	cloud    string // of clouds.yaml; empty for the one that the environment names or is
	endpoint string // of a service without a login; else empty
	image    string // id or name
	prefix   string // the location up to the image
}

var errForm = errors.New("write it as glance://CLOUD/IMAGE, or glance+https://HOST:PORT/IMAGE where no login is asked for; what is special in the image's name is written as in URLs: %2F for a slash")

// parse reads glance://CLOUD/IMAGE and glance+http[s]://HOST:PORT[/PATH]/IMAGE.
func parse(text string) (at location, err error) {
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		return at, errForm
	}
	slash := strings.LastIndexByte(rest, '/')
	if slash < 0 {
		return at, errForm
	}
	server, name := rest[:slash], rest[slash+1:]
	at.prefix = scheme + "://" + server + "/"
	if at.image, err = url.PathUnescape(name); err != nil || at.image == "" {
		return at, errForm
	}
	if scheme == Scheme {
		if at.cloud, err = url.PathUnescape(server); err != nil || strings.Contains(server, "/") {
			return at, errForm
		}
		return at, nil
	}
	u, err := url.Parse(strings.TrimPrefix(scheme, Scheme+"+") + "://" + server)
	switch {
	case err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "":
		return at, errForm
	case u.User != nil:
		return at, errors.New("a password does not belong into a location: log in by clouds.yaml, and write glance://CLOUD/IMAGE")
	}
	at.endpoint = u.String() + "/"
	return at, nil
}
