package config

import (
	"reflect"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"vmplan.dev/vmplan/config/internal/complete"
	"vmplan.dev/vmplan/config/resource"
)

// block is a resource block as it is written: checked against its schema, its expressions sorted out, nothing evaluated.
// What is done here is done once, however many instances the block has.
type block struct {
	kind   resource.Kind
	name   string
	header hcl.Range
	typ    reflect.Type // of the struct it decodes to
	repeat repetition
	needs  []reference // depends_on
	body   *bodySpec
	refs   []reference // of all expressions in body
	// triggers is lifecycle.replace_triggered_by.
	triggers []reference
	rules    []rule // lifecycle's conditions
	// ranges says where each field was written, by path; "" is the header.
	ranges map[string]hcl.Range
	broken bool // what it says cannot be known, which was reported

	usage   *usage            // of an appliance, if it says so
	call    *call             // of the appliance's instance that the block is
	group   bool              // an instance with several vms, which are blocks of their own
	origins map[string]string // of an instance: what sets a field, "appliance.shop", where the block itself does not
}

// repetition is count or for_each of a block; both nil for a single object.
type repetition struct {
	count, forEach *hclsyntax.Attribute
}

func (r repetition) single() bool { return r.count == nil && r.forEach == nil }

// bodySpec is what a body holds: attributes to evaluate, and blocks.
type bodySpec struct {
	typ      reflect.Type
	attrs    []*attrSpec
	singles  []nestedSpec
	labelled []nestedSpec
}

// attrSpec is one attribute that was written.
type attrSpec struct {
	attr    *resource.Attr
	path    string
	expr    hclsyntax.Expression
	varying bool // differs from instance to instance: it refers to each or count
	fixed   reflect.Value
	level   int       // where it is evaluated: see levelScope
	under   *attrSpec // what holds when this is null
}

// nestedSpec is one nested block that was written.
type nestedSpec struct {
	attr  *resource.Attr
	label string
	body  *bodySpec
}

// barred are attributes that all kinds have and some have no use for.
var barred = map[resource.Kind][]string{
	resource.KindHost: {"host", "name", "managed", "depends_on"},
}

// compileBlock checks a block against the schema of its kind.
func compileBlock(src *hclsyntax.Block, rep *reporter) *block {
	b := &block{kind: resource.Kind(src.Type), name: src.Labels[0], header: src.DefRange(), ranges: map[string]hcl.Range{}}
	b.typ = blockTypes[b.kind]
	b.ranges[""] = b.header
	attrs := src.Body.Attributes
	b.repeat = repetition{attrs["count"], attrs["for_each"]}
	b.repeat.check(rep)
	if attr := attrs["depends_on"]; attr != nil {
		b.needs = staticReferences(attr, rep)
	}
	c := &compiler{block: b, rep: rep}
	b.body = c.body(src.Type, b.typ, src.Body, b.header, "")
	c.checkIgnored()
	return b
}

func (r repetition) check(rep *reporter) {
	if r.count != nil && r.forEach != nil {
		rep.add(mistake(r.forEach.NameRange, "Both count and for_each", "count and for_each exclude one another. Keep for_each when the objects have names, count when they are numbered."))
	}
}

func declareCall(src *hclsyntax.Block, rep *reporter) *call {
	c := &call{kind: moduleWord, name: src.Labels[0], header: src.DefRange(), inputs: map[string]*hclsyntax.Attribute{}}
	attrs := src.Body.Attributes
	c.repeat = repetition{attrs["count"], attrs["for_each"]}
	c.repeat.check(rep)
	if attr := attrs["depends_on"]; attr != nil {
		c.needs = staticReferences(attr, rep)
	}
	for name, attr := range attrs {
		if name != "count" && name != "for_each" && name != "depends_on" {
			c.inputs[name] = attr
		}
	}
	for _, nested := range src.Body.Blocks {
		rep.add(mistake(nested.TypeRange, "Unknown block type", "A module block has no blocks. An input that is an object is written %s = { … }.", nested.Type))
	}
	return c
}

type compiler struct {
	block   *block
	rep     *reporter
	ignored []ignored
}

// body checks a body against the schema of t; prefix is its path with a dot behind.
func (c *compiler) body(title string, t reflect.Type, src *hclsyntax.Body, header hcl.Range, prefix string) *bodySpec {
	schema := resource.SchemaOf(t)
	spec := &bodySpec{typ: t}
	for _, attr := range sortedAttributes(src) {
		c.attribute(spec, schema, title, attr, prefix)
	}
	seen := map[string]hcl.Range{}
	for _, nested := range src.Blocks {
		c.nested(spec, schema, title, nested, prefix, seen)
	}
	for i := range schema.Attrs {
		a := &schema.Attrs[i]
		if a.Required && src.Attributes[a.Name] == nil && src.Attributes["managed"] == nil {
			c.rep.add(mistake(header, "Missing attribute", "%s needs %s. %s", c.title(prefix), a.Name, a.Doc))
		}
	}
	return spec
}

func (c *compiler) title(prefix string) string {
	return strings.TrimSuffix(string(c.block.kind)+"."+c.block.name+"."+prefix, ".")
}

func (c *compiler) attribute(spec *bodySpec, schema *resource.Schema, title string, attr *hclsyntax.Attribute, prefix string) {
	if prefix == "" && slices.Contains([]string{"count", "for_each", "depends_on"}, attr.Name) {
		return
	}
	a := schema.Attr(attr.Name)
	path := prefix + attr.Name
	switch {
	case a == nil || prefix == "" && slices.Contains(barred[c.block.kind], attr.Name):
		c.rep.add(mistake(attr.NameRange, "Unknown attribute", "%s block has no attribute %q.%s", sentence(article(title)), attr.Name, didYouMean(attr.Name, c.names(schema, prefix))))
	case a.Block != resource.NotBlock:
		how := attr.Name + " { … }"
		if a.Block == resource.LabelledBlock {
			how = attr.Name + ` "NAME" { … }`
		}
		c.rep.add(mistake(attr.NameRange, "Block written as attribute", "%s is a block: write %s, without an equals sign.", attr.Name, how))
	case a.Computed:
		c.rep.add(mistake(attr.NameRange, "Attribute cannot be set", "%s is decided by vmplan and can only be read.", attr.Name))
	case path == ignorePath:
		c.block.ranges[path] = attr.SrcRange
		fixed := c.ignoreChanges(attr)
		spec.attrs = append(spec.attrs, &attrSpec{attr: a, path: path, expr: attr.Expr, fixed: reflect.ValueOf(fixed)})
	case path == triggerPath:
		c.block.ranges[path] = attr.SrcRange
		c.block.triggers = c.replaceTriggers(attr)
		spec.attrs = append(spec.attrs, &attrSpec{attr: a, path: path, expr: attr.Expr})
	default:
		c.block.ranges[path] = attr.SrcRange
		refs := referencesIn(attr.Expr)
		for i := range refs {
			refs[i].bits = attr.Name == "clone"
		}
		c.block.refs = append(c.block.refs, refs...)
		varying := slices.ContainsFunc(refs, func(r reference) bool { return r.root == "each" || r.root == "count" })
		spec.attrs = append(spec.attrs, &attrSpec{attr: a, path: path, expr: attr.Expr, varying: varying})
	}
}

// names lists what may be written in a body, for suggestions.
func (c *compiler) names(schema *resource.Schema, prefix string) []string {
	var out []string
	for _, a := range schema.Attrs {
		if !a.Computed && (prefix != "" || !slices.Contains(barred[c.block.kind], a.Name)) {
			out = append(out, a.Name)
		}
	}
	if prefix == "" {
		out = append(out, "count", "for_each")
	}
	if prefix == "" && c.block.kind == resource.KindVM {
		out = append(out, applianceBlock, withName)
	}
	if prefix == "lifecycle." {
		out = append(out, precondition, postcondition)
	}
	return out
}

func (c *compiler) nested(spec *bodySpec, schema *resource.Schema, title string, src *hclsyntax.Block, prefix string, seen map[string]hcl.Range) {
	if isCondition(prefix, src) {
		if r, ok := declareRule(src, c.rep); ok {
			c.block.rules = append(c.block.rules, r)
		}
		return
	}
	a := schema.Attr(src.Type)
	want := 0
	switch {
	case a == nil || a.Computed:
		c.rep.add(mistake(src.TypeRange, "Unknown block type", "%s block has no block %q.%s", sentence(article(title)), src.Type, didYouMean(src.Type, c.names(schema, prefix))))
		return
	case a.Block == resource.NotBlock:
		c.rep.add(mistake(src.TypeRange, "Attribute written as block", "%s is an attribute: write %s = …", src.Type, src.Type))
		return
	case a.Block == resource.LabelledBlock:
		want = 1
	}
	if len(src.Labels) != want {
		how := src.Type + " { … }"
		if want == 1 {
			how = src.Type + ` "NAME" { … }`
		}
		c.rep.add(mistake(src.DefRange(), "Wrong number of labels", "This block is written %s.", how))
		return
	}
	path := prefix + src.Type
	if want == 1 {
		path += "." + src.Labels[0]
		if why := badLabel(src.Type, src.Labels[0]); why != "" {
			c.rep.add(mistake(src.LabelRanges[0], "Bad name", "%s", why))
			return
		}
	}
	if first, ok := seen[path]; ok {
		c.rep.add(mistake(src.DefRange(), "Duplicate block", "%s is written already at %s.", blockTitle(src), place(first)))
		return
	}
	seen[path] = src.DefRange()
	c.block.ranges[path] = src.DefRange()
	n := nestedSpec{attr: a, body: c.body(src.Type, a.Type, src.Body, src.DefRange(), path+".")}
	if want == 1 {
		n.label = src.Labels[0]
		spec.labelled = append(spec.labelled, n)
		return
	}
	spec.singles = append(spec.singles, n)
}

// maxDiskLabel is how many bytes a virtio serial can have.
const maxDiskLabel = 20

// badLabel says what is wrong with the label of a block in a vm or network.
func badLabel(kind, label string) string {
	switch {
	case !hclsyntax.ValidIdentifier(label) || strings.ContainsFunc(label, func(r rune) bool { return r > 127 }):
		return `"` + label + `" cannot be used as a name: it begins with a letter and goes on with letters, digits, - and _.`
	case len(label) > complete.MaxNICLabel && kind == "nic":
		return `"` + label + `" is too long for the name of a network interface: 15 characters are allowed.`
	case len(label) > maxDiskLabel && kind == "disk":
		return `"` + label + `" is too long for the serial of a disk: 20 characters are allowed.`
	case kind == "disk" && label == seedLabel:
		return `"seed" is the name of the disk that cloud_init makes. Choose another.`
	}
	return ""
}
