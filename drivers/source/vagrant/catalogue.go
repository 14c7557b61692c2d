package vagrant

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
)

// catalogue is the JSON file, as far as it matters.
type catalogue struct {
	Versions []release `json:"versions"`
}

type release struct {
	Version   string     `json:"version"`
	Status    string     `json:"status"` // "active", "revoked" or "unreleased"; empty in catalogues made by hand
	Providers []provider `json:"providers"`
}

type provider struct {
	Name         string `json:"name"`
	URL          string `json:"url"`
	Checksum     string `json:"checksum"`
	ChecksumType string `json:"checksum_type"`
	Architecture string `json:"architecture"`
}

// found is what was chosen.
type found struct {
	wish
	url    string
	digest string // sha256:HEX or sha512:HEX; empty when the catalogue has none that cannot be forged
}

func parseCatalogue(text []byte) (*catalogue, error) {
	var c catalogue
	if err := json.Unmarshal(text, &c); err != nil {
		return nil, fmt.Errorf("it cannot be read: %w", err)
	}
	if len(c.Versions) == 0 {
		return nil, errors.New("it lists no versions")
	}
	slices.SortStableFunc(c.Versions, func(a, b release) int { return compareVersions(b.Version, a.Version) })
	return &c, nil
}

// providers are those whose boxes hold a disk that can be used, best first.
var providers = []string{"libvirt", "qemu", "virtualbox"}

// choose picks the box: the newest version that has what is wanted.
func (c *catalogue) choose(w wish) (*found, error) {
	hasVersion := false
	for _, r := range c.Versions {
		if w.version != "" && r.Version != w.version || w.version == "" && r.Status != "" && r.Status != "active" {
			continue
		}
		hasVersion = true
		p := r.pick(w)
		if p == nil {
			continue
		}
		if p.URL == "" {
			return nil, fmt.Errorf("the box of version %s has no URL", r.Version)
		}
		f := &found{wish: wish{r.Version, p.Name, p.Architecture}, url: p.URL}
		if kind := strings.ToLower(p.ChecksumType); kind == "sha256" || kind == "sha512" {
			f.digest = kind + ":" + strings.ToLower(strings.TrimSpace(p.Checksum))
		}
		return f, nil
	}
	if w.version != "" && !hasVersion {
		return nil, fmt.Errorf("it has no version %q; the newest is %s", w.version, c.Versions[0].Version)
	}
	return nil, fmt.Errorf("no version has a box for %s; there are: %s", w.describe(), c.offers())
}

// pick gives the best provider's box, of the architecture that is wanted or the usual one.
func (r release) pick(w wish) *provider {
	architecture := w.architecture
	if architecture == "" {
		architecture = "amd64"
	}
	for _, name := range providers {
		if w.provider != "" && w.provider != name {
			continue
		}
		for i, p := range r.Providers {
			// Without architectures, as catalogues were until 2023, a box is for what was usual.
			untold := p.Architecture == "" || p.Architecture == "unknown"
			if p.Name == name && (p.Architecture == architecture || untold && w.architecture == "") {
				return &r.Providers[i]
			}
		}
	}
	return nil
}

func (w wish) describe() string {
	provider, architecture := strings.Join(providers, ", "), w.architecture
	if w.provider != "" {
		provider = w.provider
	}
	if architecture == "" {
		architecture = "amd64"
	}
	return fmt.Sprintf("%s (%s)", provider, architecture)
}

// offers lists what there is, for a message.
func (c *catalogue) offers() string {
	var all []string
	for _, r := range c.Versions {
		for _, p := range r.Providers {
			text := p.Name
			if p.Architecture != "" {
				text += " (" + p.Architecture + ")"
			}
			if !slices.Contains(all, text) {
				all = append(all, text)
			}
		}
	}
	slices.Sort(all)
	if len(all) > 12 {
		all = append(all[:12], "…")
	}
	return strings.Join(all, ", ")
}

// compareVersions orders as semantic versions; what is none stands before all that are.
func compareVersions(a, b string) int {
	x, errX := semver.NewVersion(a)
	y, errY := semver.NewVersion(b)
	switch {
	case errX != nil && errY != nil:
		return strings.Compare(a, b)
	case errX != nil:
		return -1
	case errY != nil:
		return 1
	}
	return x.Compare(y)
}
