//go:build !nolibvirt

package libvirt

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// node is an XML element, or a text when name is empty. Definitions are read and edited as trees, because a tree keeps what
// this driver does not know, and because a thousand domains are parsed some twenty times faster than by encoding/xml.
type node struct {
	name  string // with its prefix, as written
	attrs []attr
	kids  []*node
	text  string // of a text
}

type attr struct{ name, value string }

var errXML = errors.New("malformed XML")

// parseTree reads what libvirt writes: one element, with or without a prolog. Comments and blanks between elements go.
func parseTree(s string) (*node, error) {
	p := parser{s: s}
	root := &node{}
	if err := p.content(root); err != nil {
		return nil, fmt.Errorf("at byte %d: %w", p.pos, err)
	}
	if len(root.kids) != 1 || root.kids[0].name == "" {
		return nil, fmt.Errorf("%w: not one element", errXML)
	}
	return root.kids[0], nil
}

type parser struct {
	s     string
	pos   int
	depth int
}

// maxDepth bounds recursion; libvirt's own documents are about ten deep.
const maxDepth = 200

// content reads up to the end tag of n, which it leaves, or to the end of the input.
func (p *parser) content(n *node) error {
	if p.depth++; p.depth > maxDepth {
		return errXML
	}
	defer func() { p.depth-- }()
	for p.pos < len(p.s) {
		rest := p.s[p.pos:]
		switch {
		case rest[0] != '<':
			end := strings.IndexByte(rest, '<')
			if end < 0 {
				end = len(rest)
			}
			p.pos += end
			if text := rest[:end]; strings.TrimSpace(text) != "" {
				n.kids = append(n.kids, &node{text: unescape(text)})
			}
		case strings.HasPrefix(rest, "</"):
			return nil
		case strings.HasPrefix(rest, "<!--"):
			if !p.skip("-->") {
				return errXML
			}
		case strings.HasPrefix(rest, "<![CDATA["):
			start := p.pos + len("<![CDATA[")
			if !p.skip("]]>") {
				return errXML
			}
			n.kids = append(n.kids, &node{text: p.s[start : p.pos-len("]]>")]})
		case rest[1:] != "" && (rest[1] == '?' || rest[1] == '!'):
			if !p.skip(">") {
				return errXML
			}
		default:
			kid, err := p.element()
			if err != nil {
				return err
			}
			n.kids = append(n.kids, kid)
		}
	}
	return nil
}

func (p *parser) skip(end string) bool {
	i := strings.Index(p.s[p.pos:], end)
	if i < 0 {
		return false
	}
	p.pos += i + len(end)
	return true
}

// element reads from "<name" to its end tag.
func (p *parser) element() (*node, error) {
	p.pos++
	n := &node{name: p.word()}
	if n.name == "" {
		return nil, errXML
	}
	for {
		p.blank()
		rest := p.s[p.pos:]
		switch {
		case strings.HasPrefix(rest, "/>"):
			p.pos += 2
			return n, nil
		case strings.HasPrefix(rest, ">"):
			p.pos++
			if err := p.content(n); err != nil {
				return nil, err
			}
			return n, p.endTag(n.name)
		default:
			if err := p.attribute(n); err != nil {
				return nil, err
			}
		}
	}
}

func (p *parser) endTag(name string) error {
	if !strings.HasPrefix(p.s[p.pos:], "</"+name) {
		return errXML
	}
	p.pos += 2 + len(name)
	p.blank()
	if !strings.HasPrefix(p.s[p.pos:], ">") {
		return errXML
	}
	p.pos++
	return nil
}

func (p *parser) attribute(n *node) error {
	name := p.word()
	p.blank()
	rest := p.s[p.pos:]
	if name == "" || rest == "" || rest[0] != '=' {
		return errXML
	}
	p.pos++
	p.blank()
	rest = p.s[p.pos:]
	if rest == "" || rest[0] != '"' && rest[0] != '\'' {
		return errXML
	}
	end := strings.IndexByte(rest[1:], rest[0])
	if end < 0 {
		return errXML
	}
	p.pos += end + 2
	n.attrs = append(n.attrs, attr{name, unescape(rest[1 : 1+end])})
	return nil
}

func (p *parser) word() string {
	start := p.pos
	for p.pos < len(p.s) && strings.IndexByte(" \t\r\n=<>/\"'&", p.s[p.pos]) < 0 {
		p.pos++
	}
	return p.s[start:p.pos]
}

func (p *parser) blank() {
	for p.pos < len(p.s) && strings.IndexByte(" \t\r\n", p.s[p.pos]) >= 0 {
		p.pos++
	}
}

var entities = map[string]string{"lt": "<", "gt": ">", "amp": "&", "quot": `"`, "apos": "'"}

func unescape(s string) string {
	if strings.IndexByte(s, '&') < 0 {
		return s
	}
	var b strings.Builder
	for {
		before, after, ok := strings.Cut(s, "&")
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		name, rest, _ := strings.Cut(after, ";")
		if text, known := entities[name]; known {
			b.WriteString(text)
		} else if code, ok := charRef(name); ok {
			b.WriteRune(code)
		} else {
			b.WriteByte('&')
			rest = after
		}
		s = rest
	}
}

func charRef(name string) (rune, bool) {
	digits, ok := strings.CutPrefix(name, "#")
	if !ok {
		return 0, false
	}
	base := 10
	if hex, ok := strings.CutPrefix(digits, "x"); ok {
		digits, base = hex, 16
	}
	code, err := strconv.ParseUint(digits, base, 21)
	return rune(code), err == nil
}

var escaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&apos;", "\n", "&#10;", "\t", "&#9;", "\r", "&#13;")

// String writes the element without blanks between elements.
func (n *node) String() string {
	var b strings.Builder
	n.write(&b)
	return b.String()
}

func (n *node) write(b *strings.Builder) {
	if n.name == "" {
		_, _ = escaper.WriteString(b, n.text)
		return
	}
	b.WriteByte('<')
	b.WriteString(n.name)
	for _, a := range n.attrs {
		b.WriteByte(' ')
		b.WriteString(a.name)
		b.WriteString(`="`)
		_, _ = escaper.WriteString(b, a.value)
		b.WriteByte('"')
	}
	if len(n.kids) == 0 {
		b.WriteString("/>")
		return
	}
	b.WriteByte('>')
	for _, k := range n.kids {
		k.write(b)
	}
	b.WriteString("</")
	b.WriteString(n.name)
	b.WriteByte('>')
}

// get gives the first element at the path, or nil; a nil node has nothing at any path.
func (n *node) get(path ...string) *node {
	for _, name := range path {
		if n == nil {
			return nil
		}
		i := slices.IndexFunc(n.kids, func(k *node) bool { return k.name == name })
		if i < 0 {
			return nil
		}
		n = n.kids[i]
	}
	return n
}

// children gives all children; none of a nil node.
func (n *node) children() []*node {
	if n == nil {
		return nil
	}
	return n.kids
}

// all gives the children with the name.
func (n *node) all(name string) []*node {
	if n == nil {
		return nil
	}
	var out []*node
	for _, k := range n.kids {
		if k.name == name {
			out = append(out, k)
		}
	}
	return out
}

// attr gives an attribute's value; empty when there is none, or no node.
func (n *node) attr(name string) string {
	if n == nil {
		return ""
	}
	for _, a := range n.attrs {
		if a.name == name {
			return a.value
		}
	}
	return ""
}

// value is the element's text.
func (n *node) value() string {
	if n == nil {
		return ""
	}
	if len(n.kids) == 1 {
		return n.kids[0].text
	}
	var b strings.Builder
	for _, k := range n.kids {
		b.WriteString(k.text)
	}
	return b.String()
}

// need gives the element at the path, made where it is missing.
func (n *node) need(path ...string) *node {
	for _, name := range path {
		kid := n.get(name)
		if kid == nil {
			kid = &node{name: name}
			n.kids = append(n.kids, kid)
		}
		n = kid
	}
	return n
}

// set gives an attribute a value; an empty one removes it.
func (n *node) set(name, value string) {
	n.attrs = slices.DeleteFunc(n.attrs, func(a attr) bool { return a.name == name && value == "" })
	if value == "" {
		return
	}
	for i := range n.attrs {
		if n.attrs[i].name == name {
			n.attrs[i].value = value
			return
		}
	}
	n.attrs = append(n.attrs, attr{name, value})
}

func (n *node) dropAttr(name string) {
	n.attrs = slices.DeleteFunc(n.attrs, func(a attr) bool { return a.name == name })
}

// setValue replaces the element's content by a text.
func (n *node) setValue(text string) {
	n.kids = nil
	if text != "" {
		n.kids = []*node{{text: text}}
	}
}

// drop removes the children with the name.
func (n *node) drop(name string) { n.dropFunc(func(k *node) bool { return k.name == name }) }

func (n *node) dropFunc(gone func(*node) bool) {
	if n != nil {
		n.kids = slices.DeleteFunc(n.kids, gone)
	}
}
