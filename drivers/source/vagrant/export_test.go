package vagrant

import "net/url"

// Follow resolves what a catalogue at a location names.
func Follow(catalogue, to string, hasDigest bool) (string, error) {
	at, err := url.Parse(catalogue)
	if err != nil {
		return "", err
	}
	u, err := follow(at, to, hasDigest)
	if err != nil {
		return "", err
	}
	return u.String(), nil
}

// Choose chooses from a catalogue's text.
func Choose(text []byte, version string) (chosen, digest string, err error) {
	c, err := parseCatalogue(text)
	if err != nil {
		return "", "", err
	}
	f, err := c.choose(wish{version: version})
	if err != nil {
		return "", "", err
	}
	return f.version, f.digest, nil
}
