package source

import (
	"context"
	"crypto/sha1" //nolint:gosec // manifests of old appliances have nothing better, and it is no more than a check against damage
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"iter"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"vmplan.dev/vmplan/drivers/ovf"
)

// piece is a file that holds a disk.
type piece struct {
	path   string
	digest string   // sha256:HEX
	names  []string // by which the disk is chosen; none when the file is no archive
	apart  *version // of a disk beside the descriptor, which is a version of its own location
}

// catch is what was taken out of an archive: descriptors, and the files that may hold disks. Files lie in the entry's work
// folder, under numbers: no name of the archive is ever one here.
type catch struct {
	kind  Contents
	texts map[string][]byte
	size  int // of all texts
	files map[string]piece
	asked map[string]bool // files that a descriptor names
}

// extract takes out of an archive of that size what matters.
func (f *fetcher) extract(ctx context.Context, kind Contents, members iter.Seq2[member, error], packed int64) (*catch, error) {
	c := &catch{kind: kind, texts: map[string][]byte{}, files: map[string]piece{}, asked: map[string]bool{}}
	budget := f.newBudget("extract", packed)
	for m, err := range members {
		switch {
		case err != nil:
			return nil, err
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case c.isText(m.name):
			err = c.read(m)
		case c.mayBeDisk(m.name):
			if m.size > budget.limit {
				return nil, budget.exceeded()
			}
			var p piece
			if p, err = f.save(m.body, budget); err == nil {
				c.files[m.name] = p
			}
		}
		if err != nil {
			return nil, fmt.Errorf("archive: %s: %w", m.name, err)
		}
	}
	return c, nil
}

func (c *catch) isText(name string) bool {
	return c.kind != ContentsContainerDisk && (path.Ext(name) == ".ovf" || path.Ext(name) == ".mf" || name == "metadata.json")
}

func (c *catch) mayBeDisk(name string) bool {
	if c.kind == ContentsContainerDisk {
		return strings.HasPrefix(name, "disk/")
	}
	switch path.Ext(name) {
	case ".vmdk", ".img", ".qcow2", ".raw":
		return true
	}
	return c.asked[name] || strings.HasPrefix(name, "disk/")
}

// read keeps a descriptor. That of an appliance stands before its disks, as a rule, so that they are known when they come.
func (c *catch) read(m member) error {
	text, err := io.ReadAll(io.LimitReader(m.body, int64(textLimit-c.size)+1))
	if err != nil {
		return err
	}
	if c.size += len(text); c.size > textLimit {
		return fmt.Errorf("descriptors and manifests are larger than %d MiB", textLimit>>20)
	}
	c.texts[m.name] = text
	if path.Ext(m.name) != ".ovf" {
		return nil
	}
	a, err := ovf.Parse(text)
	if err != nil {
		return err
	}
	for _, d := range a.Disks {
		c.asked[path.Join(path.Dir(m.name), d.File)] = d.File != ""
	}
	return nil
}

// save writes a stream to a file of the work folder.
func (f *fetcher) save(from io.Reader, b *budget) (p piece, err error) {
	if err := os.MkdirAll(f.entry.work(), 0o700); err != nil {
		return piece{}, err
	}
	out, err := os.CreateTemp(f.entry.work(), "")
	if err != nil {
		return piece{}, err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	w := &sparseWriter{file: out}
	digest := sha256.New()
	if err := b.pour(from, io.MultiWriter(w, digest)); err != nil {
		return piece{}, err
	}
	return piece{path: out.Name(), digest: digestOf(digest.Sum(nil))}, out.Truncate(w.offset)
}

// disks finds what the archive is, and its disks.
func (c *catch) disks() ([]piece, error) {
	descriptor, err := c.descriptor()
	if err != nil {
		return nil, err
	}
	_, isBox := c.texts["metadata.json"]
	switch {
	case c.kind == ContentsContainerDisk:
		return c.containerDisk()
	case c.kind == ContentsBox || c.kind == ContentsUnknown && isBox:
		return c.box(descriptor)
	case c.kind == ContentsOVA || c.kind == ContentsUnknown && descriptor != "":
		return c.appliance(descriptor)
	case len(c.files) > 0 && c.allInDisk():
		return c.containerDisk()
	}
	return nil, errors.New("this is an archive, but no OVA, Vagrant box or containerDisk: extract the image from it and use that")
}

func (c *catch) allInDisk() bool {
	for name := range c.files {
		if !strings.HasPrefix(name, "disk/") {
			return false
		}
	}
	return true
}

func (c *catch) containerDisk() ([]piece, error) {
	if len(c.files) != 1 {
		return nil, fmt.Errorf("a containerDisk has one file in disk/, and this one has %d: %s", len(c.files), some(maps.Keys(c.files)))
	}
	for _, p := range c.files {
		return []piece{p}, nil
	}
	return nil, nil
}

// descriptor gives the name of the OVF descriptor, if there is one.
func (c *catch) descriptor() (string, error) {
	found := ""
	for _, name := range slices.Sorted(maps.Keys(c.texts)) {
		if path.Ext(name) != ".ovf" {
			continue
		}
		if found != "" {
			return "", fmt.Errorf("the archive has two OVF descriptors: %s and %s", found, name)
		}
		found = name
	}
	return found, nil
}

func (c *catch) appliance(descriptor string) ([]piece, error) {
	if descriptor == "" {
		return nil, errors.New("this is no OVA: it has no OVF descriptor")
	}
	a, err := ovf.Parse(c.texts[descriptor])
	if err != nil {
		return nil, err
	}
	out, err := pieces(a, func(d ovf.Disk) (piece, error) {
		p, ok := c.files[path.Join(path.Dir(descriptor), d.File)]
		if !ok {
			return piece{}, fmt.Errorf("the appliance lacks the file %q of its disk %q", d.File, d.ID)
		}
		return p, nil
	})
	if err != nil {
		return nil, err
	}
	return out, c.checkManifests()
}

// pieces gets the file of each of the appliance's disks that has content.
func pieces(a *ovf.Appliance, get func(ovf.Disk) (piece, error)) ([]piece, error) {
	var out []piece
	for _, d := range a.Disks {
		if d.File == "" {
			continue
		}
		p, err := get(d)
		if err != nil {
			return nil, err
		}
		p.names = []string{d.ID, d.File, strings.TrimSuffix(path.Base(d.File), path.Ext(d.File))}
		out = append(out, p)
	}
	if len(out) == 0 {
		return nil, errors.New("the appliance has no disk with content")
	}
	return out, nil
}

// boxMetadata is metadata.json of a Vagrant box.
type boxMetadata struct {
	Provider string `json:"provider"`
	Disks    []struct {
		Path string `json:"path"`
		Name string `json:"name"`
	} `json:"disks"`
}

func (c *catch) box(descriptor string) ([]piece, error) {
	var about boxMetadata
	if err := json.Unmarshal(c.texts["metadata.json"], &about); err != nil {
		return nil, fmt.Errorf("this is no Vagrant box: its metadata.json cannot be read: %w", err)
	}
	switch about.Provider {
	case "virtualbox":
		return c.appliance(descriptor)
	case "libvirt", "qemu":
	default:
		return nil, fmt.Errorf("the Vagrant box is for the provider %q; those for libvirt, qemu and virtualbox can be used", about.Provider)
	}
	if len(about.Disks) == 0 {
		p, ok := c.files["box.img"]
		if !ok {
			return nil, errors.New("the Vagrant box has no box.img")
		}
		p.names = []string{"box"}
		return []piece{p}, nil
	}
	var out []piece
	for _, d := range about.Disks {
		p, ok := c.files[path.Clean(d.Path)]
		if !ok {
			return nil, fmt.Errorf("the Vagrant box lacks its disk %q", d.Path)
		}
		p.names = []string{d.Name, d.Path, strings.TrimSuffix(path.Base(d.Path), path.Ext(d.Path))}
		if d.Name == "" {
			p.names = p.names[1:]
		}
		out = append(out, p)
	}
	return out, nil
}

// checkManifests compares what was taken out with the sums in the archive, where it has some.
func (c *catch) checkManifests() error {
	type said struct {
		file string
		sum  sum
	}
	done := map[said]bool{} // a manifest may say the same a thousand times
	for name, text := range c.texts {
		if path.Ext(name) != ".mf" {
			continue
		}
		for line := range strings.Lines(string(text)) {
			want, file := parseSumLine(strings.TrimSpace(line))
			is := said{path.Join(path.Dir(name), file), want}
			if done[is] {
				continue
			}
			done[is] = true
			got, err := c.sumOf(is.file, want.Algo)
			if err != nil {
				return err
			}
			if got != "" && got != want.Hex {
				return fmt.Errorf("archive: %s is damaged: the manifest says %s, and it is %s", file, want, sum{want.Algo, got})
			}
		}
	}
	return nil
}

// sumOf gives a member's sum, in hex; empty for what was not taken out, and for kinds of sums that no manifest has.
func (c *catch) sumOf(name, algo string) (string, error) {
	hashes := map[string]func() hash.Hash{"sha1": sha1.New, "sha256": sha256.New, "sha512": sha512.New}
	p, isFile := c.files[name]
	text, isText := c.texts[name]
	if hashes[algo] == nil || !isFile && !isText {
		return "", nil
	}
	if isFile && algo == "sha256" {
		return strings.TrimPrefix(p.digest, "sha256:"), nil
	}
	h := hashes[algo]()
	h.Write(text)
	if isFile {
		file, err := os.Open(p.path)
		if err != nil {
			return "", err
		}
		defer file.Close()
		if _, err := io.Copy(h, file); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// some lists names for a message.
func some(names iter.Seq[string]) string {
	all := slices.Sorted(names)
	if len(all) == 0 {
		return "none"
	}
	if len(all) > 8 {
		all = append(all[:8], "…")
	}
	return strings.Join(all, ", ")
}

// distinct refuses disks that share a file: a small archive could have it converted any number of times.
func distinct(pieces []piece) error {
	of := map[string]piece{}
	for _, p := range pieces {
		if other, ok := of[p.path]; ok && p.apart == nil {
			return fmt.Errorf("it is refused: its disks %s and %s are one file", other.names[0], p.names[0])
		}
		of[p.path] = p
	}
	return nil
}

// chosen gives the place of the disk that is called so among the pieces; without a name there must be only one.
func chosen(pieces []piece, name string) (int, error) {
	if name == "" && len(pieces) == 1 {
		return 0, nil
	}
	var names []string
	for i, p := range pieces {
		if name != "" && slices.Contains(p.names, name) {
			return i, nil
		}
		names = append(names, p.names[:min(1, len(p.names))]...)
	}
	switch {
	case len(names) == 0:
		return 0, fmt.Errorf("it is an image, no archive with disks in it: leave out #%s", name)
	case name == "":
		return 0, fmt.Errorf("it has %d disks: say which, behind a #: %s", len(pieces), strings.Join(names, ", "))
	}
	return 0, fmt.Errorf("it has no disk %q, but %s", name, strings.Join(names, ", "))
}
