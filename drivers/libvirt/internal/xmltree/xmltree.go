// Package xmltree reads, edits and writes the XML in which libvirt describes domains, networks and pools.
//
// A definition is a tree, not a struct, because a tree keeps what vmplan does not know, and because a thousand domains are
// parsed some twenty times faster than by encoding/xml. The package knows no element and does no I/O.
package xmltree

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Node is an XML element, or a text when Name is empty.
type Node struct {
	Name  string // with its prefix, as written
	Attrs []Attr
	Kids  []*Node
	Data  string // of a text
}

// Attr is an attribute of an element.
type Attr struct{ Name, Value string }

// New makes an element. pairs are names and values of attributes in turn; those with an empty value are left out.
func New(name string, pairs ...string) *Node {
	n := &Node{Name: name}
	for i := 0; i+1 < len(pairs); i += 2 {
		n.Set(pairs[i], pairs[i+1])
	}
	return n
}

// Clone makes a deep copy.
func (n *Node) Clone() *Node {
	c := *n
	c.Attrs, c.Kids = slices.Clone(n.Attrs), make([]*Node, len(n.Kids))
	for i, k := range n.Kids {
		c.Kids[i] = k.Clone()
	}
	return &c
}

var errXML = errors.New("malformed XML")

// Parse reads what libvirt writes: one element, with or without a prolog. Comments and blanks between elements go.
func Parse(s string) (*Node, error) {
	p := parser{s: s}
	root := &Node{}
	if err := p.content(root); err != nil {
		return nil, fmt.Errorf("at byte %d: %w", p.pos, err)
	}
	if len(root.Kids) != 1 || root.Kids[0].Name == "" {
		return nil, fmt.Errorf("%w: not one element", errXML)
	}
	return root.Kids[0], nil
}

type parser struct {
	s     string
	pos   int
	depth int
}

// maxDepth bounds recursion; libvirt's own documents are about ten deep.
const maxDepth = 200

// content reads up to the end tag of n, which it leaves, or to the end of the input.
func (p *parser) content(n *Node) error {
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
				n.Kids = append(n.Kids, &Node{Data: unescape(text)})
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
			n.Kids = append(n.Kids, &Node{Data: p.s[start : p.pos-len("]]>")]})
		case rest[1:] != "" && (rest[1] == '?' || rest[1] == '!'):
			if !p.skip(">") {
				return errXML
			}
		default:
			kid, err := p.element()
			if err != nil {
				return err
			}
			n.Kids = append(n.Kids, kid)
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
func (p *parser) element() (*Node, error) {
	p.pos++
	n := &Node{Name: p.word()}
	if n.Name == "" {
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
			return n, p.endTag(n.Name)
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

func (p *parser) attribute(n *Node) error {
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
	n.Attrs = append(n.Attrs, Attr{name, unescape(rest[1 : 1+end])})
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
func (n *Node) String() string {
	var b strings.Builder
	n.write(&b)
	return b.String()
}

func (n *Node) write(b *strings.Builder) {
	if n.Name == "" {
		_, _ = escaper.WriteString(b, n.Data)
		return
	}
	b.WriteByte('<')
	b.WriteString(n.Name)
	for _, a := range n.Attrs {
		b.WriteByte(' ')
		b.WriteString(a.Name)
		b.WriteString(`="`)
		_, _ = escaper.WriteString(b, a.Value)
		b.WriteByte('"')
	}
	if len(n.Kids) == 0 {
		b.WriteString("/>")
		return
	}
	b.WriteByte('>')
	for _, k := range n.Kids {
		k.write(b)
	}
	b.WriteString("</")
	b.WriteString(n.Name)
	b.WriteByte('>')
}

// Get gives the first element at the path, or nil; a nil node has nothing at any path.
func (n *Node) Get(path ...string) *Node {
	for _, name := range path {
		if n == nil {
			return nil
		}
		i := slices.IndexFunc(n.Kids, func(k *Node) bool { return k.Name == name })
		if i < 0 {
			return nil
		}
		n = n.Kids[i]
	}
	return n
}

// Children gives all children; none of a nil node.
func (n *Node) Children() []*Node {
	if n == nil {
		return nil
	}
	return n.Kids
}

// All gives the children with the name.
func (n *Node) All(name string) []*Node {
	if n == nil {
		return nil
	}
	var out []*Node
	for _, k := range n.Kids {
		if k.Name == name {
			out = append(out, k)
		}
	}
	return out
}

// Attr gives an attribute's value; empty when there is none, or no node.
func (n *Node) Attr(name string) string {
	if n == nil {
		return ""
	}
	for _, a := range n.Attrs {
		if a.Name == name {
			return a.Value
		}
	}
	return ""
}

// Text is the element's text.
func (n *Node) Text() string {
	if n == nil {
		return ""
	}
	if len(n.Kids) == 1 {
		return n.Kids[0].Data
	}
	var b strings.Builder
	for _, k := range n.Kids {
		b.WriteString(k.Data)
	}
	return b.String()
}

// Ensure gives the element at the path, made where it is missing.
func (n *Node) Ensure(path ...string) *Node {
	for _, name := range path {
		kid := n.Get(name)
		if kid == nil {
			kid = &Node{Name: name}
			n.Kids = append(n.Kids, kid)
		}
		n = kid
	}
	return n
}

// Set gives an attribute a value; an empty one removes it.
func (n *Node) Set(name, value string) {
	n.Attrs = slices.DeleteFunc(n.Attrs, func(a Attr) bool { return a.Name == name && value == "" })
	if value == "" {
		return
	}
	for i := range n.Attrs {
		if n.Attrs[i].Name == name {
			n.Attrs[i].Value = value
			return
		}
	}
	n.Attrs = append(n.Attrs, Attr{name, value})
}

// SetText replaces the element's content by a text.
func (n *Node) SetText(text string) {
	n.Kids = nil
	if text != "" {
		n.Kids = []*Node{{Data: text}}
	}
}

// Drop removes the children with the name.
func (n *Node) Drop(name string) { n.DropFunc(func(k *Node) bool { return k.Name == name }) }

// Add appends children.
func (n *Node) Add(kids ...*Node) { n.Kids = append(n.Kids, kids...) }

// DropFunc removes the children for which gone is true.
func (n *Node) DropFunc(gone func(*Node) bool) {
	if n != nil {
		n.Kids = slices.DeleteFunc(n.Kids, gone)
	}
}
