package config

import (
	"encoding/json"
	"errors"

	"github.com/hashicorp/hcl/v2"

	"vmplan.dev/vmplan/config/catalogue"
)

// catalogueSuffix ends the names of the files that add names of images.
const catalogueSuffix = ".vmcatalog.json"

// readCatalogue gives the names that everybody has, and those of the project's own files, the last of which counts; and what
// is wrong with these.
func (l *loader) readCatalogue(dir string) (c *catalogue.Catalogue, wrong Diagnostics) {
	c = catalogue.New()
	found, err := l.files.list(dir)
	if err != nil {
		return c, nil // which was reported when the project's own files were looked for
	}
	for _, name := range found.catalogue {
		f, d := l.files.read(name)
		if d != nil {
			wrong = append(wrong, d)
			continue
		}
		if err := c.Add(f.Bytes); err != nil {
			wrong = append(wrong, mistake(jsonPlace(name, f.Bytes, err), "Bad catalogue", "%s: %s. It is written as {\"images\": {\"NAME:VERSION\": {\"builds\": {\"x86_64\": {\"url\": …, \"checksum\": …}}}}}.", name, err))
		}
	}
	for _, d := range wrong {
		l.rep.add(d)
	}
	return c, wrong
}

// jsonPlace is where an error about JSON happened, as far as it tells.
func jsonPlace(name string, text []byte, err error) hcl.Range {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	at := int64(0)
	switch {
	case errors.As(err, &syntax):
		at = syntax.Offset
	case errors.As(err, &kind):
		at = kind.Offset
	}
	rng := start(name)
	for _, b := range text[:min(max(at-1, 0), int64(len(text)))] {
		if rng.Start.Column++; b == '\n' {
			rng.Start.Line, rng.Start.Column = rng.Start.Line+1, 1
		}
		rng.Start.Byte++
	}
	rng.End = rng.Start
	return rng
}
