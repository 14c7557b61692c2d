// Package vagrant reads images out of Vagrant's catalogues: a JSON file that lists the versions of a box, and for each
// where the box for which provider is. The box itself comes over another source, and what is in it is the store's.
//
// It must not know how boxes are built, and trusts no catalogue: what one from the network names is never a file of this
// machine, and never comes over a weaker transport than the catalogue.
package vagrant

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"

	"vmplan.dev/vmplan/drivers/source"
)

const catalogueLimit = 16 << 20 // bytes; the largest in the wild have a few

// Schemes are those of the locations that a Source is for.
var Schemes = []string{"vagrant+http", "vagrant+https", "vagrant+file"}

// Source implements source.Source for the locations vagrant+SCHEME://…, where SCHEME://… is a catalogue:
// vagrant+https://boxes.example/debian.json?version=12.1&provider=libvirt&architecture=amd64. The query's version, provider
// and architecture choose; without them the newest version, libvirt before qemu before virtualbox, and amd64.
type Source struct{ through source.Registry }

// New makes a source that reads catalogues and boxes through others.
func New(through source.Registry) *Source { return &Source{through} }

// Stat implements source.Source.
func (s *Source) Stat(ctx context.Context, location string) (source.Info, error) {
	b, err := s.find(ctx, location)
	if err != nil {
		return source.Info{}, err
	}
	info, err := b.src.Stat(ctx, b.location)
	if err != nil {
		return source.Info{}, fmt.Errorf("box %s: %w", source.Display(b.location), err)
	}
	return b.complete(info), nil
}

// Open implements source.Source.
func (s *Source) Open(ctx context.Context, location string, from source.Position) (io.ReadCloser, source.Info, error) {
	b, err := s.find(ctx, location)
	if err != nil {
		return nil, source.Info{}, err
	}
	validator, same := strings.CutPrefix(from.Validator, b.validator(""))
	if from.Validator = validator; !same {
		from = source.Position{}
	}
	body, info, err := b.src.Open(ctx, b.location, from)
	if err != nil {
		return nil, source.Info{}, fmt.Errorf("box %s: %w", source.Display(b.location), err)
	}
	return body, b.complete(info), nil
}

// box is what was chosen from a catalogue.
type box struct {
	found
	src      source.Source
	location string // of the .box file
	pinned   string // location that names version, provider and architecture
}

// validator tells boxes of two versions apart, also where their servers' validators do not.
func (b *box) validator(of string) string { return b.version + " " + of }

func (b *box) complete(info source.Info) source.Info {
	if info.Validator != "" {
		info.Validator = b.validator(info.Validator)
	}
	info.Digest, info.Resolved, info.Contents = b.digest, b.pinned, source.ContentsBox
	return info
}

// find reads the catalogue, and chooses.
func (s *Source) find(ctx context.Context, location string) (*box, error) {
	at, want, err := parseLocation(location)
	if err != nil {
		return nil, err
	}
	src := s.through[at.Scheme]
	if src == nil {
		return nil, fmt.Errorf("vagrant+%s: there is no source for %s://", at.Scheme, at.Scheme)
	}
	b, err := choose(ctx, src, at, want)
	if err != nil {
		return nil, fmt.Errorf("catalogue: %w", err)
	}
	to, err := follow(at, b.url, b.digest != "")
	if err != nil {
		return nil, fmt.Errorf("catalogue: %w", err)
	}
	if b.src = s.through[to.Scheme]; b.src == nil {
		return nil, fmt.Errorf("catalogue: the box is at %s://, for which there is no source", to.Scheme)
	}
	b.location, b.pinned = to.String(), pin(at, b.wish)
	return b, nil
}

func choose(ctx context.Context, src source.Source, at *url.URL, want wish) (*box, error) {
	text, err := read(ctx, src, at.String())
	if err != nil {
		return nil, err
	}
	c, err := parseCatalogue(text)
	if err != nil {
		return nil, err
	}
	f, err := c.choose(want)
	if err != nil {
		return nil, err
	}
	return &box{found: *f}, nil
}

// wish is what the location asks for; empty for whatever there is.
type wish struct{ version, provider, architecture string }

// parseLocation takes apart where the catalogue is, and what is wanted from it.
func parseLocation(location string) (*url.URL, wish, error) {
	text, ok := strings.CutPrefix(location, "vagrant+")
	u, err := url.Parse(text)
	if !ok || err != nil || u.Scheme == "" {
		return nil, wish{}, errors.New("this is no URL of a catalogue, such as vagrant+https://boxes.example/debian.json")
	}
	query := u.Query()
	w := wish{query.Get("version"), query.Get("provider"), query.Get("architecture")}
	for _, key := range []string{"version", "provider", "architecture"} {
		query.Del(key)
	}
	u.RawQuery = query.Encode()
	return u, w, nil
}

// pin is the location that always means this box. There is none when a login or a token is in the catalogue's location: it
// would be written into the lock.
func pin(catalogue *url.URL, w wish) string {
	if catalogue.User != nil || catalogue.RawQuery != "" {
		return ""
	}
	u := *catalogue
	query := u.Query()
	for key, value := range map[string]string{"version": w.version, "provider": w.provider, "architecture": w.architecture} {
		if value != "" {
			query.Set(key, value)
		}
	}
	u.RawQuery = query.Encode()
	return "vagrant+" + u.String()
}

// follow gives the location of a box that a catalogue names.
func follow(catalogue *url.URL, to string, hasDigest bool) (*url.URL, error) {
	u, err := catalogue.Parse(to)
	if err != nil {
		return nil, errors.New("the box is at no URL")
	}
	switch {
	case u.Scheme == catalogue.Scheme, u.Scheme == "https":
	case u.Scheme == "http" && hasDigest:
	case u.Scheme == "http":
		return nil, errors.New("the box comes over http without a checksum, where anyone on the way could change it")
	default:
		return nil, fmt.Errorf("the box is at %s://, where a catalogue from %s:// may not send anyone", u.Scheme, catalogue.Scheme)
	}
	return u, nil
}

func read(ctx context.Context, src source.Source, location string) ([]byte, error) {
	body, _, err := src.Open(ctx, location, source.Position{})
	if err != nil {
		return nil, err
	}
	defer body.Close()
	text, err := io.ReadAll(io.LimitReader(body, catalogueLimit+1))
	if err != nil {
		return nil, source.Retry(err, 0)
	}
	if len(text) > catalogueLimit {
		return nil, fmt.Errorf("it is larger than %d MiB", catalogueLimit>>20)
	}
	return text, nil
}
