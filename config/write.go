package config

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"

	"vmplan.dev/vmplan/config/resource"
)

// Block is a block to be written. Its attributes and the blocks in it are set by their paths, as resource.Field names them.
type Block struct {
	Kind, Label string
	typ         reflect.Type // of the struct that it describes; nil for what is no resource
	names       []string     // of attributes, in the order they were set
	values      map[string]string
	blocks      []*Block
	comments    []string
}

// Comment puts a line into the block that says what it does not.
func (b *Block) Comment(text string) {
	b.comments = append(b.comments, strings.Join(strings.Fields(text), " "))
}

// NewBlock makes a block for the object r, of which nothing is set yet.
func NewBlock(r resource.Resource, label string) *Block {
	return &Block{Kind: string(r.Kind()), Label: label, typ: reflect.TypeOf(r).Elem(), values: map[string]string{}}
}

// NewImport makes the import block for the object at to.
func NewImport(to resource.Addr, id string) *Block {
	b := &Block{Kind: "import", values: map[string]string{}}
	b.put("to", to.String())
	b.put("id", expression(id))
	return b
}

// Set sets the field at path, of a block inside one where path leads there: "memory", "disk.root.bus". value is as
// resource.Field has it; an address is written as the reference it is, and a secret as a comment that there is one.
func (b *Block) Set(path string, value any) error {
	name, rest, more := strings.Cut(path, ".")
	attr := resource.SchemaOf(b.typ).Attr(name)
	switch {
	case attr == nil:
		return fmt.Errorf("%s has no attribute %s", b.Kind, name)
	case attr.Block == resource.NotBlock:
		if _, ok := value.(resource.Secret); ok {
			b.Comment(name + " is sensitive and not shown")
			return nil
		}
		b.put(name, expression(value))
		return nil
	case attr.Block == resource.SingleBlock && !more:
		b.inner(name, "", attr.Type)
		return nil
	case attr.Block == resource.SingleBlock:
		return b.inner(name, "", attr.Type).Set(rest, value)
	}
	label, rest, more := strings.Cut(rest, ".")
	inner := b.inner(name, label, attr.Type)
	if !more {
		return nil
	}
	return inner.Set(rest, value)
}

func (b *Block) put(name, text string) {
	if _, ok := b.values[name]; !ok {
		b.names = append(b.names, name)
	}
	b.values[name] = text
}

func (b *Block) inner(kind, label string, t reflect.Type) *Block {
	for _, in := range b.blocks {
		if in.Kind == kind && in.Label == label {
			return in
		}
	}
	in := &Block{Kind: kind, Label: label, typ: t, values: map[string]string{}}
	b.blocks = append(b.blocks, in)
	return in
}

// WriteBlocks gives the blocks as a file in the standard layout.
func WriteBlocks(blocks []*Block) []byte {
	var buf bytes.Buffer
	for i, b := range blocks {
		if i > 0 {
			buf.WriteString("\n")
		}
		b.write(&buf)
	}
	return Format(buf.Bytes())
}

func (b *Block) write(buf *bytes.Buffer) {
	buf.WriteString(b.Kind)
	if b.Label != "" {
		buf.WriteString(" " + expression(b.Label))
	}
	if len(b.names)+len(b.blocks)+len(b.comments) == 0 {
		buf.WriteString(" {}\n")
		return
	}
	buf.WriteString(" {\n")
	for _, name := range b.names {
		fmt.Fprintf(buf, "%s = %s\n", name, b.values[name])
	}
	for _, text := range b.comments {
		fmt.Fprintf(buf, "# %s\n", text)
	}
	for i, in := range b.blocks {
		if i > 0 || len(b.names)+len(b.comments) > 0 {
			buf.WriteString("\n")
		}
		in.write(buf)
	}
	buf.WriteString("}\n")
}

// FileText is a value that is written as a call of file: the text of the file at that path.
type FileText string

// expression writes a value as an expression.
func expression(v any) string {
	switch v := v.(type) {
	case FileText:
		return "file(" + expression(string(v)) + ")"
	case resource.Addr:
		return v.String()
	case resource.Size:
		return expression(strings.ReplaceAll(v.String(), " ", ""))
	case fmt.Stringer:
		return expression(v.String())
	case string:
		return string(hclwrite.TokensForValue(cty.StringVal(v)).Bytes())
	case []resource.Addr:
		names := make([]string, len(v))
		for i, a := range v {
			names[i] = a.String()
		}
		return "[" + strings.Join(names, ", ") + "]"
	case []string:
		texts := make([]cty.Value, len(v))
		for i, t := range v {
			texts[i] = cty.StringVal(t)
		}
		return string(hclwrite.TokensForValue(cty.TupleVal(texts)).Bytes())
	}
	return fmt.Sprint(v)
}

// ValidLabel tells whether an object can be referred to by the label.
func ValidLabel(label string) bool { return hclsyntax.ValidIdentifier(label) }
