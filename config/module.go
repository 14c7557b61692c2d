package config

import (
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"vmplan.dev/vmplan/config/internal/complete"
	"vmplan.dev/vmplan/config/resource"
)

// module is the folder of a module as it is written, whoever calls it: blocks by kind and name, in the order of the files.
type module struct {
	dir       string
	empty     bool // has no .hcl file
	broken    bool // something could not be read: that a name is missing may be for that reason, so it is not complained of
	root      bool // the project itself
	settings  []*hclsyntax.Block
	moves     []*move
	removals  []*removal
	adoptions []*adoption
	variables table[*variable]
	locals    table[*hclsyntax.Attribute]
	outputs   table[*output]
	calls     table[*call]
	checks    table[*check]
	blocks    table[*block] // by "vm.web"

	appliances table[*appliance]
	inline     *appliance // that the module is written in; nil for a folder
	outer      *module    // around that
}

// table holds declarations by name, in the order they were written.
type table[T any] struct {
	byName map[string]T
	order  []string
}

func (t *table[T]) add(name string, v T) {
	if t.byName == nil {
		t.byName = map[string]T{}
	}
	t.byName[name] = v
	t.order = append(t.order, name)
}

// call is a module block, or a vm block that makes an instance of an appliance.
type call struct {
	kind   resource.Kind // vm, or the word module
	name   string
	header hcl.Range
	repeat repetition
	inputs map[string]*hclsyntax.Attribute
	needs  []reference // depends_on
	target *module     // nil when it could not be loaded

	appliance *appliance           // nil for a module
	with      *hclsyntax.Attribute // in place of inputs, when their names are not plain
}

// moduleWord is what the addresses of module instances begin with.
const moduleWord = "module"

func (c *call) String() string { return string(c.kind) + "." + c.name }

// output is an output block.
type output struct {
	name        string
	header      hcl.Range
	value       *hclsyntax.Attribute
	description string
	sensitive   bool
}

// loader reads the modules of a project. A folder is read once, however many call it.
type loader struct {
	files   *fileSet
	rep     *reporter
	version string
	modules map[string]*module // by folder
}

// load reads the module in dir, which is called at from by way of the folders in path.
func (l *loader) load(dir string, path []string, from hcl.Range) *module {
	id := realPath(dir)
	if m := l.modules[id]; m != nil {
		return m
	}
	m := &module{dir: dir, root: len(path) == 0}
	l.modules[id] = m
	files, err := l.files.list(dir)
	if err != nil {
		m.broken = true
		l.rep.add(mistake(from, "Cannot read folder", "%s: %s.", dir, reason(err)))
		return m
	}
	if m.empty = len(files.primary) == 0; m.empty {
		where := dir
		if dir == "." {
			where = "the current folder"
		}
		l.rep.add(mistake(from, "No project files", "There is no .hcl file in %s. Name the folder of the project, or start one with vmplan init.", where))
	}
	primary := l.blocks(m, files.primary)
	applyOverrides(primary, l.blocks(m, files.override), l.rep)
	for _, b := range primary {
		l.declare(m, b)
	}
	l.settings(m)
	l.link(m)
	for _, name := range m.calls.order {
		l.callee(m, m.calls.byName[name], append(slices.Clone(path), id))
	}
	return m
}

// blocks parses files and gives all their blocks.
func (l *loader) blocks(m *module, names []string) []*hclsyntax.Block {
	var out []*hclsyntax.Block
	for _, name := range names {
		body, diags := l.files.native(name)
		l.rep.add(diags...)
		if diags.HasErrors() {
			m.broken = true
		}
		if body == nil {
			continue
		}
		for _, attr := range sortedAttributes(body) {
			l.rep.add(mistake(attr.NameRange, "Attribute outside of a block", "Nothing but blocks stands at the top of a file. To give the value a name, write locals { %s = … }.", attr.Name))
		}
		out = append(out, body.Blocks...)
	}
	return out
}

// callee loads the module that c calls.
func (l *loader) callee(m *module, c *call, path []string) {
	attr := c.inputs["source"]
	delete(c.inputs, "source")
	if attr == nil {
		l.rep.add(mistake(c.header, "Missing attribute", "module.%s lacks source. Write source = \"./FOLDER\".", c.name))
		return
	}
	source, ok := literal(attr.Expr)
	switch {
	case !ok:
		l.rep.add(mistake(attr.Expr.Range(), "Bad module source", "The source of a module is needed before anything is evaluated, so it is a plain text such as \"./FOLDER\"."))
		return
	case !strings.HasPrefix(source, "./") && !strings.HasPrefix(source, "../"):
		l.rep.add(mistake(attr.Expr.Range(), "Bad module source", "%q is not a local folder: begin it with ./ or ../. It starts at the folder of this file.", source))
		return
	}
	dir := filepath.Join(m.dir, filepath.FromSlash(source))
	if i := slices.Index(path, realPath(dir)); i >= 0 {
		l.rep.add(mistake(attr.Expr.Range(), "Module calls itself", "The folder %s is called by itself, over %d other folders: it would never end.", dir, len(path)-i-1))
		return
	}
	c.target = l.load(dir, path, attr.Expr.Range())
}

// declare sorts one block of the top level into the module.
func (l *loader) declare(m *module, b *hclsyntax.Block) {
	kind := resource.Kind(b.Type)
	switch {
	case b.Type == "locals":
		l.declareLocals(m, b)
	case b.Type == "vmplan":
		if l.labels(b, 0) {
			m.settings = append(m.settings, b)
		}
	case isRefactoring(b.Type):
		l.refactoring(m, b)
	case b.Type != "variable" && b.Type != "output" && b.Type != "module" && b.Type != applianceBlock && b.Type != checkBlock && blockTypes[kind] == nil:
		l.rep.add(mistake(b.TypeRange, "Unknown block type", "There is no block %q.%s", b.Type, didYouMean(b.Type, topLevel())))
	case !l.labels(b, 1):
	case b.Type == "variable":
		if l.first(b, m.variables.byName[b.Labels[0]].where()) {
			m.variables.add(b.Labels[0], declareVariable(b, l.rep))
		}
	case b.Type == "output":
		if l.first(b, m.outputs.byName[b.Labels[0]].where()) {
			m.outputs.add(b.Labels[0], declareOutput(b, l.rep))
		}
	case b.Type == "module":
		if l.first(b, m.calls.byName[b.Labels[0]].where()) {
			m.calls.add(b.Labels[0], declareCall(b, l.rep))
		}
	case b.Type == applianceBlock:
		if l.first(b, m.appliances.byName[b.Labels[0]].where()) {
			m.appliances.add(b.Labels[0], l.declareAppliance(m, b))
		}
	case b.Type == checkBlock:
		if l.first(b, m.checks.byName[b.Labels[0]].where()) {
			m.checks.add(b.Labels[0], declareCheck(b, l.rep))
		}
	default:
		name := b.Type + "." + b.Labels[0]
		if l.first(b, m.blocks.byName[name].where()) {
			m.blocks.add(name, l.compile(b))
		}
	}
}

// where is the header of a declaration, or nil when there is none.
func (v *variable) where() *hcl.Range {
	if v == nil {
		return nil
	}
	return &v.header
}

func (o *output) where() *hcl.Range {
	if o == nil {
		return nil
	}
	return &o.header
}

func (c *call) where() *hcl.Range {
	if c == nil {
		return nil
	}
	return &c.header
}

func (c *check) where() *hcl.Range {
	if c == nil {
		return nil
	}
	return &c.header
}

func (b *block) where() *hcl.Range {
	if b == nil {
		return nil
	}
	return &b.header
}

// first refuses a block whose name is taken by an earlier one.
func (l *loader) first(b *hclsyntax.Block, earlier *hcl.Range) bool {
	if earlier != nil {
		l.rep.add(mistake(b.DefRange(), "Duplicate block", "%s is declared already at %s. Give one of them another name, or a count or for_each.", blockTitle(b), place(*earlier)))
		return false
	}
	return true
}

func (l *loader) labels(b *hclsyntax.Block, want int) bool {
	if len(b.Labels) != want {
		how := "has no name: write " + b.Type + " { … }"
		if want == 1 {
			how = "has one name: write " + b.Type + ` "NAME" { … }`
		}
		l.rep.add(mistake(b.DefRange(), "Wrong number of labels", "%s block %s.", sentence(article(b.Type)), how))
		return false
	}
	for i, label := range b.Labels {
		if !hclsyntax.ValidIdentifier(label) {
			l.rep.add(mistake(b.LabelRanges[i], "Bad name", "%q cannot be referred to: a name begins with a letter or _ and goes on with letters, digits, - and _.", label))
			return false
		}
	}
	return true
}

func (l *loader) declareLocals(m *module, b *hclsyntax.Block) {
	if !l.labels(b, 0) {
		return
	}
	for _, nested := range b.Body.Blocks {
		l.rep.add(mistake(nested.DefRange(), "Unknown block type", "locals holds values only: write %s = { … }.", nested.Type))
	}
	for _, attr := range sortedAttributes(b.Body) {
		if first := m.locals.byName[attr.Name]; first != nil {
			l.rep.add(mistake(attr.NameRange, "Duplicate local value", "local.%s is declared already at %s.", attr.Name, place(first.NameRange)))
			continue
		}
		m.locals.add(attr.Name, attr)
	}
}

// topLevel lists the types of blocks that may stand at the top of a file.
func topLevel() []string {
	names := PlainBlocks()
	for k := range blockTypes {
		names = append(names, string(k))
	}
	slices.Sort(names)
	return names
}

// sortedAttributes gives the attributes of a body in the order they are written.
func sortedAttributes(b *hclsyntax.Body) []*hclsyntax.Attribute {
	return slices.SortedFunc(maps.Values(b.Attributes), func(x, y *hclsyntax.Attribute) int {
		if c := strings.Compare(x.NameRange.Filename, y.NameRange.Filename); c != 0 {
			return c
		}
		return x.NameRange.Start.Byte - y.NameRange.Start.Byte
	})
}

var blockTypes = map[resource.Kind]reflect.Type{
	resource.KindHost:    reflect.TypeFor[resource.Host](),
	resource.KindPool:    reflect.TypeFor[resource.Pool](),
	resource.KindNetwork: reflect.TypeFor[resource.Network](),
	resource.KindImage:   reflect.TypeFor[resource.Image](),
	resource.KindVolume:  reflect.TypeFor[resource.Volume](),
	resource.KindVM:      reflect.TypeFor[resource.VM](),
	kindInstancetype:     reflect.TypeFor[complete.Instancetype](),
	kindPreference:       reflect.TypeFor[complete.Preference](),
}

// realPath tells whether two folders are one: symbolic links can make a tree endless.
func realPath(dir string) string {
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		return real
	}
	return dir
}
