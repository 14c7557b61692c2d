package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/gocty"

	"vmplan.dev/vmplan/config/atomicfile"
	"vmplan.dev/vmplan/config/catalogue"
	"vmplan.dev/vmplan/config/resource"
)

// LockName is the file, beside the project's own, that says which version of each image source everybody gets.
const LockName = "vmplan.lock.hcl"

const lockHead = `# Which version of each image everybody gets. Written by vmplan: keep it with the files, and move an image to its newest
# version with: vmplan image update ADDR
`

// lockAttributes are those of a source block, in the order in which they are written.
var lockAttributes = []string{"digest", "resolved", "validator", "revision"}

// Lock is what the lock file says. It is for one goroutine at a time.
type Lock struct {
	path    string
	written []byte // what the file holds; nil when there is none
	pins    map[string]resource.Pin
	unclear map[string]bool // sources of the files that nothing tells apart which may be written down
}

// Lock gives the project's lock, which changes with what is set in it.
func (p *Project) Lock() *Lock { return p.lock }

// Of gives the pin of an image's source; ok is false when it has none.
func (l *Lock) Of(img *resource.Image) (pin resource.Pin, ok bool) {
	if !l.Holds(img) {
		return pin, false
	}
	pin, ok = l.pins[resource.Redact(img.Source)]
	return pin, ok
}

// Holds tells whether the image's source belongs into a lock: it comes from elsewhere, and its block does not say the sum
// itself.
func (l *Lock) Holds(img *resource.Image) bool {
	scheme, _, remote := strings.Cut(img.Source, "://")
	if scheme == "file" || !remote && !catalogue.IsName(img.Source) || !img.IsManaged() {
		return false
	}
	return !isSum(img.Checksum) && !l.unclear[resource.Redact(img.Source)]
}

// Set pins the source of an image.
func (l *Lock) Set(img *resource.Image, pin resource.Pin) { l.pins[resource.Redact(img.Source)] = pin }

// Write brings the file up to date, and tells whether that changed it.
func (l *Lock) Write() (changed bool, err error) {
	text := l.text()
	if bytes.Equal(text, l.written) || l.written == nil && len(l.pins) == 0 {
		return false, nil
	}
	if err := atomicfile.Write(l.path, text, 0o644); err != nil {
		return false, err
	}
	l.written = text
	return true, nil
}

// text is the file: a block for each source, in their order, so that the same pins are the same bytes and people who add
// different images seldom meet.
func (l *Lock) text() []byte {
	var b bytes.Buffer
	b.WriteString(lockHead)
	for _, source := range sortedKeys(l.pins) {
		pin := l.pins[source]
		fmt.Fprintf(&b, "\nsource %s {\n", expression(source))
		fmt.Fprintf(&b, "digest = %s\n", expression(pin.Digest))
		if pin.Resolved != "" {
			fmt.Fprintf(&b, "resolved = %s\n", expression(pin.Resolved))
		}
		if pin.Validator != "" {
			fmt.Fprintf(&b, "validator = %s\n", expression(pin.Validator))
		}
		if pin.Revision != 0 {
			fmt.Fprintf(&b, "revision = %d\n", pin.Revision)
		}
		b.WriteString("}\n")
	}
	return Format(b.Bytes())
}

// readLock reads the lock file beside the project's files.
func (l *loader) readLock(dir string) *Lock {
	lock := &Lock{path: filepath.Join(dir, LockName), pins: map[string]resource.Pin{}, unclear: map[string]bool{}}
	if _, err := os.Lstat(lock.path); errors.Is(err, fs.ErrNotExist) {
		return lock
	}
	body, diags := l.files.native(lock.path)
	if diags.HasErrors() {
		l.lockUnreadable(lock.path, diags)
		return lock
	}
	lock.written = l.files.parsed[lock.path].Bytes
	for _, attr := range sortedAttributes(body) {
		l.rep.add(mistake(attr.NameRange, "Unknown attribute", "A lock file has only source blocks: remove this."))
	}
	for _, b := range body.Blocks {
		l.lockBlock(lock, b)
	}
	return lock
}

// lockUnreadable says what to do about a file that is no HCL: mostly one that a merge left in two minds.
func (l *loader) lockUnreadable(path string, diags hcl.Diagnostics) {
	f := l.files.parsed[path]
	if f == nil || !bytes.Contains(f.Bytes, []byte("\n<<<<<<< ")) && !bytes.HasPrefix(f.Bytes, []byte("<<<<<<< ")) {
		for _, d := range diags {
			l.rep.add(d)
		}
		return
	}
	l.rep.add(mistake(start(path), "Unresolved merge", "%s was changed on both sides of a merge. Keep one side of each conflict; which one is newer does not matter: vmplan image update moves the image on.", path))
}

func (l *loader) lockBlock(lock *Lock, b *hclsyntax.Block) {
	if b.Type != "source" || len(b.Labels) != 1 {
		l.rep.add(mistake(b.DefRange(), "Unknown block type", "A lock file has only blocks such as source \"https://…\" { … }: remove this."))
		return
	}
	source := resource.Redact(b.Labels[0]) // older versions left names in URLs, which may be tokens
	if _, twice := lock.pins[source]; twice {
		l.rep.add(mistake(b.DefRange(), "Duplicate block", "The lock file has two blocks for this source, as a merge leaves them. Remove one; vmplan image update moves the image on."))
		return
	}
	for _, inner := range b.Body.Blocks {
		l.rep.add(mistake(inner.TypeRange, "Unknown block type", "The blocks of a lock file have no blocks in them."))
	}
	var pin resource.Pin
	known := map[string]any{"digest": &pin.Digest, "resolved": &pin.Resolved, "validator": &pin.Validator, "revision": &pin.Revision}
	for _, attr := range sortedAttributes(b.Body) {
		to := known[attr.Name]
		if to == nil {
			l.rep.add(unknownAttribute(attr, "source", lockAttributes))
			continue
		}
		v, diags := attr.Expr.Value(nil)
		if diags.HasErrors() || v.IsNull() || !v.IsWhollyKnown() || v.Type() == cty.DynamicPseudoType || gocty.FromCtyValue(v, to) != nil || pin.Revision < 0 {
			l.rep.add(mistake(attr.Expr.Range(), "Bad value", "This is not as vmplan writes it. Restore the file, or remove the block: the next apply writes it anew."))
		}
	}
	if attr := b.Body.Attributes["digest"]; !isSum(pin.Digest) && attr != nil {
		l.rep.add(mistake(attr.Expr.Range(), "Bad value", "%q is neither sha256:HEX nor sha512:HEX. Restore the file, or remove the block: the next apply writes it anew.", pin.Digest))
	} else if attr == nil {
		l.rep.add(mistake(b.DefRange(), "Missing attribute", "The block lacks digest. Restore the file, or remove the block: the next apply writes it anew."))
	}
	pin.Resolved = withoutToken(pin.Resolved)
	lock.pins[source] = pin
}

// withoutToken drops a resolved location with a login or a token in it, as older versions wrote them of Vagrant's catalogues: the
// digest alone will do. What chooses a box of a catalogue is no token.
func withoutToken(resolved string) string {
	u, err := url.Parse(resolved)
	if err != nil {
		return ""
	}
	query := u.Query()
	for _, key := range []string{"version", "provider", "architecture"} {
		query.Del(key)
	}
	if u.User != nil || len(query) > 0 {
		return ""
	}
	return resolved
}

// distinguish warns of sources that a lock cannot tell apart, because they differ only in what must not be written down.
func (l *Lock) distinguish(e *evaluator) {
	seen := map[string]resource.Secret{}
	clear(l.unclear)
	for _, o := range e.objects {
		img, ok := o.res.(*resource.Image)
		if !ok || !l.Holds(img) {
			continue
		}
		key := resource.Redact(img.Source)
		if first, ok := seen[key]; ok && first.Hash() != img.FullSource.Hash() {
			l.unclear[key] = true
			e.rep.addFirst(warning(o.at("source"), "Image cannot be locked", "Another image's source differs from this one only behind the question mark, which is not written into %s: neither is locked. Say the checksum of each.", LockName))
		}
		seen[key] = img.FullSource
	}
}

// pin gives the version that an image is held to: the one in the lock file, or else the one that was imported from the same
// source. nil: any version will do.
func (e *evaluator) pin(img *resource.Image) *resource.Pin {
	if pin, ok := e.project.lock.Of(img); ok {
		return &pin
	}
	was := recorded[*resource.Image](e, img.Addr)
	if was == nil || was.Pin == nil || isSum(img.Checksum) || !img.IsManaged() ||
		was.Source != img.Source || was.FullSource.Hash() != img.FullSource.Hash() {
		return nil
	}
	pin := *was.Pin
	return &pin
}

// isSum tells whether a text is a sum of a kind that can be trusted.
func isSum(text string) bool {
	algorithm, digits, ok := strings.Cut(text, ":")
	length := map[string]int{"sha256": 64, "sha512": 128}[algorithm]
	return ok && len(digits) == length && strings.Trim(strings.ToLower(digits), "0123456789abcdef") == ""
}
