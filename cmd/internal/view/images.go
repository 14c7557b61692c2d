package view

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
)

// ImageName is a name that an image's source can be.
type ImageName struct {
	Name    string   `json:"name"`
	Aliases []string `json:"aliases"`
	Title   string   `json:"title"`
	Archs   []string `json:"archs"`
}

// ImageNames lists the catalogue, or with asJSON gives it as a list.
func (p *Printer) ImageNames(names []ImageName, asJSON bool) error {
	if asJSON {
		forms := append([]ImageName{}, names...)
		for i := range forms {
			forms[i].Aliases = list(forms[i].Aliases)
		}
		return p.JSON(forms)
	}
	var rows [][]string
	for _, n := range names {
		rows = append(rows, []string{n.Name, strings.Join(n.Aliases, ", "), strings.Join(n.Archs, ", "), n.Title})
	}
	return p.table([]string{"NAME", "ALSO", "ARCHITECTURES", "WHAT"}, rows)
}

// Image is an image as it is recorded, and what its host has of it.
type Image struct {
	Addr     resource.Addr `json:"addr"`
	Host     string        `json:"host"`
	Source   string        `json:"source"` // without secrets
	Volume   string        `json:"volume"` // pool/file
	Path     string        `json:"path,omitempty"`
	Taken    resource.Size `json:"taken,omitempty"`  // room in the pool
	Digest   string        `json:"digest,omitempty"` // of the bits in the pool, as they were imported
	Locked   string        `json:"locked,omitempty"` // digest of the version that the lock file holds
	Revision int           `json:"revision,omitempty"`
	Newer    *bool         `json:"newer,omitempty"` // whether the source has another version; nil when that is not known
	Present  bool          `json:"present"`         // on the host
	Wanted   bool          `json:"wanted"`          // the files have this very base
	Users    []string      `json:"users"`
}

// Images lists images, or with asJSON gives them as a list.
func (p *Printer) Images(images []Image, asJSON bool) error {
	if asJSON {
		return p.JSON(append([]Image{}, images...))
	}
	var rows [][]string
	for _, i := range images {
		newer := "-"
		if i.Newer != nil {
			newer = map[bool]string{true: "yes", false: "no"}[*i.Newer]
		}
		where, size := i.Host+" "+i.Volume, bytesText(int64(i.Taken))
		if !i.Present {
			where, size = where+" (missing)", "-"
		}
		users := cmp.Or(strings.Join(owners(i.Users), ", "), "-")
		if !i.Wanted {
			users += " (no longer in the files)"
		}
		rows = append(rows, []string{i.Addr.String(), where, size, shortDigest(i.Digest), shortDigest(i.Locked), newer, users})
	}
	return p.table([]string{"ADDRESS", "BASE", "SIZE", "DIGEST", "LOCKED TO", "NEWER", "USED BY"}, rows)
}

// owners leaves out what a user owns that is listed itself: the disks of a vm.
func owners(users []string) []string {
	var out []string
	for _, u := range users {
		owned := func(other string) bool { return strings.HasPrefix(u, other+".") }
		if !slices.ContainsFunc(users, owned) {
			out = append(out, u)
		}
	}
	return out
}

// shortDigest is enough of a digest to tell it from others.
func shortDigest(digest string) string {
	const digits = 12
	_, number, ok := strings.Cut(digest, ":")
	if !ok {
		return "-"
	}
	return number[:min(digits, len(number))]
}

// Prunable is what image prune can delete.
type Prunable struct {
	What   string `json:"what"`  // an address, or a digest of the cache
	Where  string `json:"where"` // "cache", or the host and its volume
	Size   int64  `json:"size"`  // bytes
	Source string `json:"source"`
	Age    string `json:"age,omitempty"`
}

// CachedPrunable is something of the cache as prune lists it.
func CachedPrunable(c drivers.CachedBits) Prunable {
	return Prunable{What: c.Digest, Where: "cache", Size: c.Size, Source: strings.Join(c.Sources, ", "), Age: time.Since(c.Since).Round(time.Hour).String()}
}

// Prunables lists what is deleted, or could be; with asJSON as a list.
func (p *Printer) Prunables(list []Prunable, deletes, asJSON bool) error {
	if asJSON {
		return p.JSON(append([]Prunable{}, list...))
	}
	if len(list) == 0 {
		p.Note("Nothing to delete: all base volumes and cached images are in use.")
		return nil
	}
	var rows [][]string
	var total int64
	for _, l := range list {
		what := l.What
		if l.Where == "cache" {
			what = shortDigest(l.What)
		}
		total += l.Size
		rows = append(rows, []string{what, l.Where, bytesText(l.Size), cmp.Or(l.Age, "-"), cmp.Or(l.Source, "-")})
	}
	if err := p.table([]string{"WHAT", "WHERE", "SIZE", "AGE", "FROM"}, rows); err != nil {
		return err
	}
	if deletes {
		p.Note("\nDeleting " + bytesText(total) + ".")
	} else {
		p.Note("\n" + bytesText(total) + " could be deleted, with: vmplan image prune --delete")
	}
	return nil
}
