package config_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"pgregory.net/rapid"

	"vmplan.dev/vmplan/config"
)

func TestFormatWritesCanonicalForm(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"indents and aligns": {
			"vm \"web\" {\nmemory=\"4GiB\"\n  running   = true\ndisk \"root\" {\nsize=\"20GiB\"}\n}\n",
			"vm \"web\" {\n  memory  = \"4GiB\"\n  running = true\n  disk \"root\" {\n  size = \"20GiB\" }\n}\n",
		},
		"unwraps an interpolation that is the whole value": {
			"a = \"${var.x}\"\nb { c = \"${f(\"${y}\")}\" }\n",
			"a = var.x\nb { c = f(\"${y}\") }\n",
		},
		"keeps interpolations that are a part": {
			"a = \"${x}${y}\"\nb = \"x${y}\"\nc = \"$${x}\"\nd = \"${~x~}\"\ne = \"${\nx}\"\n",
			"a = \"${x}${y}\"\nb = \"x${y}\"\nc = \"$${x}\"\nd = \"${~x~}\"\ne = \"${\nx}\"\n",
		},
		"keeps comments and heredocs": {
			"# one\na=1 // two\nb = <<-EOT\n   x  =  1\nEOT\n/* three */\n",
			"# one\na = 1 // two\nb = <<-EOT\n   x  =  1\nEOT\n/* three */\n",
		},
		"does what it can with a syntax error": {"a=1\nb = = 2\n", "a = 1\nb = = 2\n"},
		"empty":                                {"", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := string(config.Format([]byte(c.in))); got != c.want {
				t.Errorf("got:\n%s\nwant:\n%s", got, c.want)
			}
		})
	}
}

func TestFormatIsIdempotentAndKeepsTheMeaning(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b strings.Builder
		for range rapid.IntRange(0, 6).Draw(t, "items") {
			drawItem(t, &b, 0)
		}
		checkFormat(t, []byte(b.String()))
	})
}

func FuzzFormat(f *testing.F) {
	f.Add([]byte("vm \"a\" {\n  x=\"${y}\"\n}\n"))
	f.Add([]byte("a = [\n1,2, # c\n]\nb={c=1,\nd=2}\n"))
	f.Fuzz(func(t *testing.T, src []byte) { checkFormat(t, src) })
}

type failer interface {
	Fatalf(format string, args ...any)
}

// checkFormat checks that formatted text parses if the original did, means the same, and is left alone the next time.
func checkFormat(t failer, src []byte) {
	out := config.Format(src)
	_, diags := hclsyntax.ParseConfig(src, "", hcl.InitialPos)
	if diags.HasErrors() {
		return
	}
	if _, diags := hclsyntax.ParseConfig(out, "", hcl.InitialPos); diags.HasErrors() {
		t.Fatalf("%q became %q: %v", src, out, diags)
	}
	if again := config.Format(out); !bytes.Equal(again, out) {
		t.Fatalf("%q became %q, then %q", src, out, again)
	}
	if a, b := essence(src), essence(out); a != b {
		t.Fatalf("%q became %q: the tokens differ:\n%s\n%s", src, out, a, b)
	}
}

// essence is a file's text without white space and without what unwrapping takes away.
func essence(src []byte) string {
	return strings.NewReplacer(" ", "", "\t", "", "\n", "", "\r", "", `"${`, "", `}"`, "").Replace(string(src))
}

func drawItem(t *rapid.T, b *strings.Builder, depth int) {
	space := rapid.SampledFrom([]string{"", " ", "   ", "\t"})
	value := rapid.SampledFrom([]string{
		"1", `"x"`, `"${var.x}"`, `"a${b}c"`, "[1,2,  3]", "{a=1,b = 2}", "{\n a=1\n bcd = 2\n}", "[\n1,\n  2,\n]", "<<EOT\n  text ${x}\nEOT",
		"x ? y:z", "f(1,\n2)", "[for x in y:x]", "-1", "!true", "a[0].b[*].c", "(\n1 +2\n)",
	})
	name := rapid.SampledFrom([]string{"a", "memory", "long_name"}).Draw(t, "name")
	b.WriteString(space.Draw(t, "indent"))
	switch rapid.IntRange(0, 3).Draw(t, "item") {
	case 0:
		b.WriteString("# a comment\n")
	case 1:
		b.WriteString("\n")
	case 2:
		text := value.Draw(t, "value")
		b.WriteString(name + "_" + rapid.StringMatching("[a-z]{6}").Draw(t, "unique") + space.Draw(t, "before") + "=" + space.Draw(t, "after") + text)
		if !strings.HasSuffix(text, "EOT") {
			b.WriteString(rapid.SampledFrom([]string{"", "  # why", " // why"}).Draw(t, "comment"))
		}
		b.WriteString("\n")
	case 3:
		b.WriteString(name + ` "l" {` + "\n")
		for range rapid.IntRange(0, 3).Draw(t, "inner") {
			if depth < 3 {
				drawItem(t, b, depth+1)
			}
		}
		b.WriteString("}\n")
	}
}
