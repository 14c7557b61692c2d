package config

import (
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"vmplan.dev/vmplan/config/resource"
)

// The blocks that say what became of objects. They have no name and come in any number.
const (
	movedBlock   = "moved"
	removedBlock = "removed"
	importBlock  = "import"
)

// target is an address as it is written in a block of a module, relative to that module.
type target struct {
	addr resource.Addr
	rng  hcl.Range
}

// String writes the address as in the file.
func (t target) String() string { return t.addr.String() }

// move is a moved block.
type move struct {
	from, to target
}

// whole tells whether the block is about all instances of a block or module, which keep their keys.
func (m *move) whole() bool { return lastKey(m.from.addr) == "" && lastKey(m.to.addr) == "" }

// removal is a removed block.
type removal struct {
	from    target
	cascade bool
}

// adoption is an import block.
type adoption struct {
	to target
	id *hclsyntax.Attribute
}

// isRefactoring tells whether a block type is one of those above.
func isRefactoring(block string) bool {
	return block == movedBlock || block == removedBlock || block == importBlock
}

// refactoring reads a moved, removed or import block.
func (l *loader) refactoring(m *module, b *hclsyntax.Block) {
	if !l.labels(b, 0) {
		return
	}
	if !m.root && b.Type != movedBlock {
		l.rep.add(mistake(b.DefRange(), "Block of the project", "%s block stands in the project's own files: what is on the hosts is not a module's to say. Write it there, with module.NAME in front of the address.", sentence(article(b.Type))))
		return
	}
	known := map[string][]string{movedBlock: {"from", "to"}, removedBlock: {"from", "cascade"}, importBlock: {"to", "id"}}[b.Type]
	for _, attr := range sortedAttributes(b.Body) {
		if !slices.Contains(known, attr.Name) {
			l.rep.add(unknownAttribute(attr, b.Type, known))
		}
	}
	for _, nested := range b.Body.Blocks {
		l.rep.add(mistake(nested.TypeRange, "Unknown block type", "%s block has no blocks. It takes %s.", sentence(article(b.Type)), strings.Join(known, " and ")))
	}
	attrs := b.Body.Attributes
	for _, name := range known {
		if attrs[name] == nil && name != "cascade" {
			l.rep.add(mistake(b.DefRange(), "Missing attribute", "%s block needs %s.", sentence(article(b.Type)), name))
			return
		}
	}
	switch b.Type {
	case movedBlock:
		l.declareMove(m, attrs)
	case removedBlock:
		if from, ok := l.target(attrs["from"]); ok && l.wholeObject(from, "removed") {
			m.removals = append(m.removals, &removal{from, staticBool(attrs["cascade"], false, l.rep)})
		}
	case importBlock:
		if to, ok := l.target(attrs["to"]); ok && l.importable(to) {
			m.adoptions = append(m.adoptions, &adoption{to, attrs["id"]})
		}
	}
}

func (l *loader) declareMove(m *module, attrs hclsyntax.Attributes) {
	from, ok1 := l.target(attrs["from"])
	to, ok2 := l.target(attrs["to"])
	switch {
	case !ok1 || !ok2 || !l.wholeObject(from, "moved") || !l.wholeObject(to, "moved"):
	case from.addr.Kind != to.addr.Kind:
		l.rep.add(mistake(to.rng, "Kinds differ", "%s cannot become %s: one is %s, the other %s.", from, to, kindName(from.addr), kindName(to.addr)))
	case from.addr == to.addr:
		l.rep.add(mistake(to.rng, "Moved to itself", "%s is on both sides. Take the block out.", to))
	default:
		m.moves = append(m.moves, &move{from, to})
	}
}

func kindName(a resource.Addr) string {
	if a.Kind == "" {
		return "a module"
	}
	return article(a.Kind)
}

// target reads an address, which is written like a reference and not evaluated.
func (l *loader) target(attr *hclsyntax.Attribute) (target, bool) {
	rng := attr.Expr.Range()
	if text, ok := literal(attr.Expr); ok {
		l.rep.add(mistake(rng, "Text in place of an address", "Write it without quotes: %s = %s.", attr.Name, text))
		return target{}, false
	}
	text, ok := "", false
	if t, diags := hcl.AbsTraversalForExpr(attr.Expr); !diags.HasErrors() {
		text, ok = addressText(t)
	}
	a, err := resource.ParseAddr(text)
	if !ok || err != nil {
		l.rep.add(mistake(rng, "Not an address", "%s names an object or a module as plans do, such as vm.web, vm.web[\"a\"] or module.shop.", attr.Name))
		return target{}, false
	}
	return target{a, rng}, true
}

// addressText writes a traversal as an address.
func addressText(t hcl.Traversal) (string, bool) {
	var b strings.Builder
	for _, step := range t {
		switch s := step.(type) {
		case hcl.TraverseRoot:
			b.WriteString(s.Name)
		case hcl.TraverseAttr:
			b.WriteString("." + s.Name)
		case hcl.TraverseIndex:
			key := indexKey(s.Key)
			if key == "" {
				return "", false
			}
			b.WriteString(key)
		default:
			return "", false
		}
	}
	return b.String(), true
}

// indexKey is the key of an instance as in an address, or nothing when v cannot be one.
func indexKey(v cty.Value) string {
	if !v.IsKnown() || v.IsNull() {
		return ""
	}
	switch v.Type() {
	case cty.String:
		return resource.StringKey(v.AsString())
	case cty.Number:
		if i, acc := v.AsBigFloat().Int64(); acc == 0 && i >= 0 {
			return resource.IndexKey(int(i))
		}
	}
	return ""
}

// wholeObject refuses what is recorded with something else.
func (l *loader) wholeObject(t target, what string) bool {
	switch {
	case t.addr.Part != "":
		l.rep.add(mistake(t.rng, "Part of a vm", "%s belongs to %s and cannot be %s without it. To keep a disk that goes, set on_delete = \"retain\" on it first.", t, t.addr.Owner(), what))
		return false
	case t.addr.Kind == resource.KindHost:
		l.rep.add(mistake(t.rng, "Host", "A host cannot be %s: everything on it is recorded under its name. Keep the name, and change what is in the block.", what))
		return false
	}
	return true
}

func (l *loader) importable(t target) bool {
	switch {
	case t.addr.Kind == "":
		l.rep.add(mistake(t.rng, "Not an object", "%s is a module. Import the objects in it one by one: to = %s.vm.NAME.", t, t))
	case t.addr.Kind == resource.KindHost:
		l.rep.add(mistake(t.rng, "Host", "A host is not imported: its block is all there is to it."))
	case t.addr.Part != "" && !strings.HasPrefix(t.addr.Part, diskPart):
		l.rep.add(mistake(t.rng, "Part of a vm", "Of what a vm owns, only its disks can be imported: to = %s.disk.LABEL.", t.addr.Owner()))
	default:
		return true
	}
	return false
}
