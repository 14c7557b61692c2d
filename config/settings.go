package config

import (
	"fmt"
	"path/filepath"

	"github.com/Masterminds/semver/v3"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// stateTypes are the attributes of vmplan { state "TYPE" { … } }: a further backend is one more line.
var stateTypes = map[string][]string{"local": {"path"}}

// settings checks the vmplan blocks of a module; only the root's may say where the state is.
func (l *loader) settings(m *module) {
	for i, b := range m.settings {
		if i > 0 {
			l.rep.add(mistake(b.DefRange(), "Duplicate block", "The vmplan block is at %s already. Join the two.", place(m.settings[0].DefRange())))
		}
		for _, attr := range sortedAttributes(b.Body) {
			if attr.Name == "required_version" {
				l.requiredVersion(attr)
				continue
			}
			l.rep.add(unknownAttribute(attr, "vmplan", []string{"required_version"}))
		}
		states := 0
		for _, nested := range b.Body.Blocks {
			switch states++; {
			case nested.Type != "state":
				states--
				l.rep.add(mistake(nested.TypeRange, "Unknown block type", "A vmplan block has no block %q.%s", nested.Type, didYouMean(nested.Type, []string{"state"})))
			case !m.root:
				l.rep.add(mistake(nested.DefRange(), "State of a module", "A module has no state of its own: what it makes is recorded in that of the project. Remove this block."))
			case states > 1:
				l.rep.add(mistake(nested.DefRange(), "Duplicate block", "A project has one state."))
			}
		}
	}
}

func (l *loader) requiredVersion(attr *hclsyntax.Attribute) {
	text, ok := literal(attr.Expr)
	want, err := semver.NewConstraint(text)
	if !ok || err != nil {
		l.rep.add(mistake(attr.Expr.Range(), "Bad version constraint", "required_version is a text such as \">= 0.1, < 2\"."))
		return
	}
	have, err := semver.NewVersion(l.version)
	if err != nil {
		return // a build without a version of its own
	}
	plain, _ := have.SetPrerelease("")
	if !want.Check(&plain) {
		l.rep.add(mistake(attr.Expr.Range(), "Version not supported", "The project asks for vmplan %s, and this is %s. Use another version of vmplan, or change required_version.", text, l.version))
	}
}

// stateSettings reads the state block of the root module.
func (l *loader) stateSettings(m *module) StateSettings {
	s := StateSettings{Type: "local", Path: "vmplan.vmstate"}
	for _, b := range m.settings {
		for _, nested := range b.Body.Blocks {
			if nested.Type == "state" {
				l.state(nested, &s)
			}
		}
	}
	if !filepath.IsAbs(s.Path) {
		s.Path = filepath.Join(m.dir, s.Path)
	}
	if abs, err := filepath.Abs(s.Path); err == nil {
		s.Path = abs
	}
	return s
}

func (l *loader) state(b *hclsyntax.Block, s *StateSettings) {
	if len(b.Labels) != 1 {
		l.rep.add(mistake(b.DefRange(), "Wrong number of labels", "A state block says its type: write state \"local\" { … }."))
		return
	}
	known := stateTypes[b.Labels[0]]
	if known == nil {
		l.rep.add(mistake(b.LabelRanges[0], "Unknown state type", "There is no state %q. There is: %s.", b.Labels[0], oneOf(sortedKeys(stateTypes))))
		return
	}
	for _, nested := range b.Body.Blocks {
		l.rep.add(mistake(nested.TypeRange, "Unknown block type", "A state block has no blocks."))
	}
	for _, attr := range sortedAttributes(b.Body) {
		text, ok := literal(attr.Expr)
		switch {
		case attr.Name != "path":
			l.rep.add(unknownAttribute(attr, "state", known))
		case !ok || text == "":
			l.rep.add(mistake(attr.Expr.Range(), "Not a plain text", "The state is found before anything is evaluated, so its path is a plain text such as \"lab.vmstate\"."))
		case l.files.confined && !filepath.IsLocal(filepath.FromSlash(text)):
			l.rep.add(mistake(attr.Expr.Range(), "State outside of the project", "%s: %s.", text, errOutside))
		default:
			s.Path = filepath.FromSlash(text)
		}
	}
}

// literal gives the text of an expression that is one, without variables.
func literal(expr hcl.Expression) (string, bool) {
	v, diags := expr.Value(nil)
	if diags.HasErrors() || v.IsNull() || !v.IsKnown() || v.Type() != cty.String {
		return "", false
	}
	return v.AsString(), true
}

// place writes where a range begins: main.hcl:3.
func place(r hcl.Range) string { return fmt.Sprintf("%s:%d", r.Filename, r.Start.Line) }

func unknownAttribute(attr *hclsyntax.Attribute, block string, known []string) *hcl.Diagnostic {
	return mistake(attr.NameRange, "Unknown attribute", "%s block has no attribute %q.%s", sentence(article(block)), attr.Name, didYouMean(attr.Name, known))
}
