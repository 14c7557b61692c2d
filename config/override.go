package config

import (
	"maps"
	"slices"

	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// applyOverrides merges the blocks of override files into the blocks they name, as Terraform does: an attribute replaces
// the one of the same name; a nested block replaces those of the same type and labels. Blocks of primary are replaced by
// merged copies in place. What overrides nothing is a mistake: it would be overlooked otherwise.
func applyOverrides(primary, overrides []*hclsyntax.Block, rep *reporter) {
	for _, over := range overrides {
		if over.Type == "locals" {
			overrideLocals(primary, over, rep)
			continue
		}
		if isRefactoring(over.Type) {
			rep.add(mistake(over.DefRange(), "Nothing to override", "%s block has no name by which it could be changed. Write it in a file whose name does not end in _override.hcl.", sentence(article(over.Type))))
			continue
		}
		i := slices.IndexFunc(primary, func(b *hclsyntax.Block) bool { return sameBlock(b, over) })
		if i < 0 {
			rep.add(mistake(over.DefRange(), "Nothing to override", "An override file changes blocks of other files, and none has %s. Write the block in a file whose name does not end in _override.hcl.", blockTitle(over)))
			continue
		}
		merged := *primary[i]
		merged.Body = mergeBodies(primary[i].Body, over.Body)
		primary[i] = &merged
	}
}

func overrideLocals(primary []*hclsyntax.Block, over *hclsyntax.Block, rep *reporter) {
	for _, name := range slices.Sorted(maps.Keys(over.Body.Attributes)) {
		attr := over.Body.Attributes[name]
		i := slices.IndexFunc(primary, func(b *hclsyntax.Block) bool {
			return b.Type == "locals" && b.Body.Attributes[name] != nil
		})
		if i < 0 {
			rep.add(mistake(attr.NameRange, "Nothing to override", "An override file changes values of other files, and none has a local value %q.", name))
			continue
		}
		merged := *primary[i]
		merged.Body = copyBody(primary[i].Body)
		merged.Body.Attributes[name] = attr
		primary[i] = &merged
	}
}

func mergeBodies(base, over *hclsyntax.Body) *hclsyntax.Body {
	merged := copyBody(base)
	maps.Copy(merged.Attributes, over.Attributes)
	// A nested state block is one setting whatever its type: the other backend goes.
	merged.Blocks = slices.DeleteFunc(merged.Blocks, func(b *hclsyntax.Block) bool {
		return slices.ContainsFunc(over.Blocks, func(o *hclsyntax.Block) bool {
			return sameBlock(b, o) || b.Type == "state" && o.Type == "state"
		})
	})
	merged.Blocks = append(merged.Blocks, over.Blocks...)
	return merged
}

func copyBody(b *hclsyntax.Body) *hclsyntax.Body {
	c := *b
	c.Attributes = maps.Clone(b.Attributes)
	if c.Attributes == nil {
		c.Attributes = hclsyntax.Attributes{}
	}
	c.Blocks = slices.Clone(b.Blocks)
	return &c
}

func sameBlock(a, b *hclsyntax.Block) bool {
	return a.Type == b.Type && slices.Equal(a.Labels, b.Labels)
}

// blockTitle writes the header of a block: vm "web".
func blockTitle(b *hclsyntax.Block) string {
	title := b.Type
	for _, l := range b.Labels {
		title += ` "` + l + `"`
	}
	return title
}
