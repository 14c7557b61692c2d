package resource

import (
	"net/url"
	"regexp"
	"strings"
)

// hidden stands for a login in what is shown of a location, and … for what is behind its question mark.
const hidden = "xxxxx"

// Redact gives a location as it can be shown and written down: without login and query, where passwords and tokens travel. What is
// redacted already stays as it is.
func Redact(location string) string {
	u, err := url.Parse(location)
	if err != nil {
		return broken(location)
	}
	if u.Scheme == "" {
		return location
	}
	if u.User != nil {
		u.User = url.User(hidden)
	}
	if u.RawQuery != "" {
		u.RawQuery = "…"
	}
	return u.String()
}

// broken is what can be shown of a location that is no URL: mostly one with a # or % in its password.
func broken(location string) string {
	scheme, rest, ok := strings.Cut(location, "://")
	if !ok {
		return location
	}
	at := strings.LastIndexByte(rest, '@')
	where, _, query := strings.Cut(rest[at+1:], "?")
	if at >= 0 {
		where = hidden + "@" + where
	}
	if query {
		where += "?…"
	}
	return scheme + "://" + where
}

// The literal parts of URLs in the text of a file that hold logins and tokens.
var (
	loginsWritten = regexp.MustCompile(`://[\w.~%!*+,;=:-]+@`)
	valuesWritten = regexp.MustCompile(`[?&][\w.~%-]+=[\w.~%/+:=,-]+`)
)

// RedactLine hides logins and the values of queries in the text of a file, letter for letter, so that everything stays in its place.
func RedactLine(text string) string {
	text = loginsWritten.ReplaceAllStringFunc(text, func(login string) string {
		return "://" + strings.Repeat("x", len(login)-len("://@")) + "@"
	})
	return valuesWritten.ReplaceAllStringFunc(text, func(pair string) string {
		key, value, _ := strings.Cut(pair, "=")
		return key + "=" + strings.Repeat("x", len(value))
	})
}

// withoutPassword gives a text that may be a location of any kind without its password.
func withoutPassword(location string) string {
	if u, err := url.Parse(location); err == nil && u.User != nil {
		return u.Redacted()
	}
	return location
}

// HasLogin tells whether a location says who fetches it.
func HasLogin(location string) bool {
	u, err := url.Parse(location)
	return err == nil && u.User != nil
}

// Hides tells whether a text is, or has in it, some of what Redact leaves out of a location.
func Hides(location, text string) bool {
	u, err := url.Parse(location)
	if err != nil || text == "" || strings.Contains(Redact(location), text) {
		return false
	}
	if strings.Contains(location, text) {
		return true
	}
	secrets := []string{u.RawQuery}
	for _, values := range u.Query() {
		secrets = append(secrets, values...)
	}
	if u.User != nil {
		password, _ := u.User.Password()
		secrets = append(secrets, u.User.Username(), password)
	}
	for _, secret := range secrets {
		if secret != "" && (strings.Contains(text, secret) || strings.Contains(secret, text)) {
			return true
		}
	}
	return false
}

// SealLocations leaves of an image's source and checksum what can be shown, and keeps the whole as a secret of the state with the salt.
// Who fetches a file changes nothing about what it is: the login is no part of the secret's hash. What is sealed already, and every
// other kind, stays as it is; so what an older version recorded in the open is sealed when it is read.
func SealLocations(r Resource, salt []byte) {
	if img, ok := r.(*Image); ok {
		sealLocation(&img.Source, &img.FullSource, salt)
		sealLocation(&img.Checksum, &img.FullChecksum, salt)
	}
}

func sealLocation(shown *string, full *Secret, salt []byte) {
	location := *shown
	u, err := url.Parse(location)
	if err != nil || !full.IsZero() || u.User == nil && u.RawQuery == "" {
		return
	}
	*shown, u.User = Redact(location), nil
	*full = Secret{clear: &location, hash: NewSecret(u.String(), salt).hash}
}

// Location is where the image is got from, in full; of one that was decoded and not revealed, what can be shown of it.
func (i *Image) Location() string { return inFull(i.Source, i.FullSource) }

// ChecksumLocation is Checksum in full, as Location is Source.
func (i *Image) ChecksumLocation() string { return inFull(i.Checksum, i.FullChecksum) }

func inFull(shown string, full Secret) string {
	if text, ok := full.Clear(); ok && text != "" {
		return text
	}
	return shown
}
