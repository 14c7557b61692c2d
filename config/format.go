package config

import (
	"bytes"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
)

// Format gives a file in canonical form, as Terraform's fmt does: indentation, aligned equals signs, and x in place of
// "${x}". It never changes what the file says. Text with syntax errors is only indented and spaced.
func Format(src []byte) []byte {
	f, diags := hclwrite.ParseConfig(src, "", hcl.InitialPos)
	if diags.HasErrors() {
		return hclwrite.Format(src)
	}
	unwrapValues(f.Body())
	out := hclwrite.Format(f.Bytes())
	// A first pass may leave spaces that only a second one sees as such, where it moved a comment or a bracket.
	for range 3 {
		again := hclwrite.Format(out)
		if bytes.Equal(again, out) {
			break
		}
		out = again
	}
	return out
}

// FormatFile is Format for a file whose mistakes matter: with syntax errors it gives these, as Diagnostics, and no text.
func FormatFile(name string, src []byte) ([]byte, error) {
	if d := tooDeep(src, name); d != nil {
		return nil, hcl.Diagnostics{d}
	}
	if _, diags := hclsyntax.ParseConfig(src, name, hcl.InitialPos); diags.HasErrors() {
		return nil, diags
	}
	return Format(src), nil
}

func unwrapValues(body *hclwrite.Body) {
	for name, attr := range body.Attributes() {
		if inner := unwrapped(attr.Expr().BuildTokens(nil)); inner != nil {
			body.SetAttributeRaw(name, inner)
		}
	}
	for _, block := range body.Blocks() {
		unwrapValues(block.Body())
	}
}

// unwrapped gives the x of "${x}", which means the same; nil for anything else, and for an x of several lines.
func unwrapped(tokens hclwrite.Tokens) hclwrite.Tokens {
	last := len(tokens) - 1
	if last < 4 || tokens[0].Type != hclsyntax.TokenOQuote || tokens[last].Type != hclsyntax.TokenCQuote ||
		string(tokens[1].Bytes) != "${" || string(tokens[last-1].Bytes) != "}" {
		return nil
	}
	inner := tokens[2 : last-1]
	depth := 0
	for _, t := range inner {
		switch t.Type {
		case hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl:
			depth++
		case hclsyntax.TokenTemplateSeqEnd:
			depth--
		case hclsyntax.TokenNewline, hclsyntax.TokenComment, hclsyntax.TokenOHeredoc:
			return nil
		}
		if depth < 0 {
			return nil
		}
	}
	return inner
}
