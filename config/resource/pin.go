package resource

import (
	"net/url"
	"strings"
)

// Pin is what a lock file says of a source of images: the one version of it that everybody gets.
type Pin struct {
	// Digest is "sha256:HEX" or "sha512:HEX" of the file as it is downloaded.
	Digest string
	// Resolved is the location of this very version, for as long as its source keeps it; empty when it has none.
	Resolved string
	// Validator is what the source calls this version; empty when it does not tell versions apart.
	Validator string
	// Revision counts how often the source was moved to another version since it was first pinned.
	Revision int
}

// WithoutPassword gives a location as it is recorded: who may fetch it changes nothing about what it is.
func WithoutPassword(location string) string {
	if !strings.Contains(location, "@") || !strings.Contains(location, "://") {
		return location
	}
	u, err := url.Parse(location)
	if err != nil || u.User == nil {
		return location
	}
	if _, has := u.User.Password(); !has {
		return location
	}
	return u.Redacted()
}

// Redact gives a location fit for messages, logs and lock files: without password and query, where tokens travel.
func Redact(location string) string {
	u, err := url.Parse(location)
	if err != nil {
		return broken(location)
	}
	if u.Scheme == "" {
		return location
	}
	if u.RawQuery != "" {
		u.RawQuery = "…"
	}
	return u.Redacted()
}

// broken is what can be shown of a location that is no URL: mostly one with a # or % in its password.
func broken(location string) string {
	scheme, rest, ok := strings.Cut(location, "://")
	at := strings.LastIndexByte(rest, '@')
	if !ok || at < 0 {
		return location
	}
	host, _, _ := strings.Cut(rest[at+1:], "?")
	return scheme + "://xxxxx@" + host
}
