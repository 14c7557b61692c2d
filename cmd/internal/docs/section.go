package main

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"vmplan.dev/vmplan/config"
	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers/libvirt/impact"
)

// page writes one block's attributes, and those of the blocks inside it.
type page struct {
	out      *strings.Builder
	kind     resource.Kind
	barred   []string
	computed []row // for the section Read-only
}

// row is a line of a table of attributes.
type row struct{ name, typ, impact, text string }

// section writes the struct t, whose attributes have prefix before their names: "" or "disk.NAME.". class is that of the
// block it is in.
func (p *page) section(prefix string, t reflect.Type, class resource.Class) {
	schema := resource.SchemaOf(t)
	var rows []row
	var blocks []resource.Attr
	for _, a := range schema.Attrs {
		effect := p.impact(prefix+a.Name, max(class, a.Class))
		switch {
		case prefix == "" && slices.Contains(p.barred, a.Name):
		case a.Computed && a.Block == resource.SingleBlock:
			p.computedBlock(prefix+a.Name+".", a)
		case a.Computed && a.Block == resource.LabelledBlock:
			p.computedBlock(prefix+a.Name+".NAME.", a)
		case a.Computed:
			p.computedField(prefix+a.Name, prefix+a.Name, a, class)
		case a.Block != resource.NotBlock:
			blocks = append(blocks, a)
		case a.Required:
			rows = append(rows, row{a.Name, typeName(a), effect, "**Required.** " + a.Doc})
		default:
			rows = append(rows, row{a.Name, typeName(a), effect, a.Doc})
		}
	}
	p.table("attribute", rows)
	for _, b := range blocks {
		path := prefix + b.Name
		if b.Block == resource.LabelledBlock {
			fmt.Fprintf(p.out, "\n## %s \"NAME\"\n\n%s NAME is %s\n", path, b.Doc, lowerFirst(labelDoc(b.Type)))
			path += ".NAME"
			fmt.Fprintf(p.out, "\nWhen one comes or goes: %s.\n", p.impact(path, max(class, b.Class)))
		} else {
			fmt.Fprintf(p.out, "\n## %s\n\n%s\n", path, b.Doc)
		}
		p.section(path+".", b.Type, max(class, b.Class))
	}
}

// computedBlock lists what is in a block that is not written; its path has NAME for a label.
func (p *page) computedBlock(path string, block resource.Attr) {
	for _, a := range resource.SchemaOf(block.Type).Attrs {
		p.computedField(strings.ReplaceAll(path, "NAME", "LABEL")+a.Name, path+a.Name, a, block.Class)
	}
}

// computedField lists a field that is not written; those that are never compared have no impact. class is its block's.
func (p *page) computedField(name, path string, a resource.Attr, class resource.Class) {
	effect := "none"
	if class = max(class, a.Class); class != resource.ClassInput {
		effect = p.impact(path, class)
	}
	p.computed = append(p.computed, row{name, typeName(a), effect, a.Doc})
}

func (p *page) table(title string, rows []row) {
	if len(rows) == 0 {
		return
	}
	fmt.Fprintf(p.out, "\n| %s | type | impact of a change | |\n| --- | --- | --- | --- |\n", title)
	for _, r := range rows {
		fmt.Fprintf(p.out, "| `%s` | %s | %s | %s |\n", r.name, r.typ, cell(r.impact), cell(r.text))
	}
}

// impact says what a change of the field at path does on a libvirt host.
func (p *page) impact(path string, class resource.Class) string {
	kind, path := p.kind, strings.ReplaceAll(path, "NAME", "*")
	if of, ok := setsOf[kind]; ok {
		kind = resource.KindVM
		if other := of[path]; other != "" {
			path = other
		}
	}
	rules := impact.Rules(kind, path, class)
	var texts []string
	for _, r := range rules {
		texts = append(texts, strings.TrimSpace(r.Impact.String()+" "+r.When))
	}
	switch {
	case len(rules) > 0:
		return strings.Join(slices.Compact(texts), "; ") // rules may differ in their notes alone
	case class == resource.ClassInput:
		return "as what it sets"
	}
	return "record"
}

// setsOf are blocks that say what vms are like, with those attributes that vms call otherwise.
var setsOf = map[resource.Kind]map[string]string{
	"instancetype": {},
	"preference":   {"disk_bus": "disk.*.bus", "nic_model": "nic.*.model"},
}

func (p *page) readOnly() {
	if len(p.computed) > 0 {
		p.out.WriteString("\n## Read-only\n\nDecided by vmplan before the plan, and shown there.\n")
		p.table("field", p.computed)
	}
}

func (p *page) builtins(b config.BlockType) {
	if len(b.Builtins) == 0 {
		return
	}
	fmt.Fprintf(p.out, "\n## Built in\n\nThese need no block. A block of the same name replaces one.\n\n| name | |\n| --- | --- |\n")
	for _, name := range slices.Sorted(maps.Keys(b.Builtins)) {
		var sets []string
		for _, f := range resource.BlockFields(b.Builtins[name]) {
			sets = append(sets, fmt.Sprintf("`%s = %s`", f.Path, literal(f.Value)))
		}
		fmt.Fprintf(p.out, "| `%s.%s` | %s |\n", b.Kind, name, strings.Join(sets, ", "))
	}
}

// literal writes a value as in a file.
func literal(v any) string {
	if size, ok := v.(resource.Size); ok {
		return `"` + strings.ReplaceAll(size.String(), " ", "") + `"`
	}
	return resource.Format(v)
}

var typeNames = map[reflect.Type]string{
	reflect.TypeFor[resource.Size]():     "size",
	reflect.TypeFor[resource.Duration](): "duration",
	reflect.TypeFor[resource.Secret]():   "text (sensitive)",
	reflect.TypeFor[[]string]():          "list of texts",
	reflect.TypeFor[map[string]string](): "map of texts",
	reflect.TypeFor[string]():            "text",
	reflect.TypeFor[bool]():              "bool",
	reflect.TypeFor[*bool]():             "bool",
	reflect.TypeFor[int]():               "number",
}

// typeName is what people write for the attribute.
func typeName(a resource.Attr) string {
	name, known := typeNames[a.Type]
	switch {
	case a.Name == "ignore_changes":
		return "list of attributes"
	case a.Name == "replace_triggered_by":
		return "list of references"
	case len(a.Refs) > 0:
		kinds := make([]string, len(a.Refs))
		for i, k := range a.Refs {
			kinds[i] = k.WithArticle()
		}
		return "reference to " + strings.Join(kinds, " or ")
	case a.Type == reflect.TypeFor[[]resource.Addr]():
		return "list of references"
	case len(a.Enum) > 0:
		return "one of `\"" + strings.Join(a.Enum, "\"`, `\"") + "\"`"
	case !known:
		panic(fmt.Sprintf("docs: attribute %s has type %v, which has no name", a.Name, a.Type))
	}
	return name
}

// labelDoc is the text of the field that holds a block's label.
func labelDoc(t reflect.Type) string {
	return t.FieldByIndex(resource.SchemaOf(t).Label).Tag.Get("doc")
}

func lowerFirst(s string) string { return strings.ToLower(s[:1]) + s[1:] }

// cell makes a text fit for a table. Some of go-cty's descriptions escape quotes that need no escape.
func cell(s string) string {
	return strings.NewReplacer("|", `\|`, `\"`, `"`).Replace(strings.Join(strings.Fields(s), " "))
}
