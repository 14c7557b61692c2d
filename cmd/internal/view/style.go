package view

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/mattn/go-runewidth"

	"vmplan.dev/vmplan/config/resource"
)

// style colours text, or leaves it as it is.
type style struct{ color bool }

func (s style) sgr(code, text string) string {
	if !s.color || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (s style) bold(text string) string   { return s.sgr("1", text) }
func (s style) dim(text string) string    { return s.sgr("2", text) }
func (s style) red(text string) string    { return s.sgr("31", text) }
func (s style) green(text string) string  { return s.sgr("32", text) }
func (s style) yellow(text string) string { return s.sgr("33", text) }
func (s style) cyan(text string) string   { return s.sgr("36", text) }

// at gives a place in the files on one line. The names of files come from strangers like everything else.
func at(r *resource.Range) string { return oneLine(r.String()) }

// oneLine is clean for what must not begin a line of its own, such as the name of a file.
func oneLine(text string) string {
	return strings.NewReplacer("\n", `\n`, "\t", `\t`).Replace(clean(text))
}

// clean makes control characters visible, so that a name or a message from a host cannot drive the terminal. Line ends and tabs stay.
func clean(text string) string {
	bad := func(r rune) bool {
		return r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.In(r, unicode.Bidi_Control))
	}
	if strings.IndexFunc(text, bad) < 0 {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if bad(r) {
			fmt.Fprintf(&b, "\\u%04x", r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// width is the number of columns of a plain text.
func width(text string) int { return runewidth.StringWidth(text) }

// pad fills text with spaces up to n columns.
func pad(text string, n int) string { return runewidth.FillRight(text, n) }

// cut shortens text to n columns, saying so with an ellipsis; n <= 0 means no limit.
func cut(text string, n int) string {
	if n <= 0 || width(text) <= n {
		return text
	}
	return runewidth.Truncate(text, n, "…")
}

// wrap breaks the paragraphs of text into lines of at most n columns, at spaces; n <= 0 means no limit. Lines that begin
// with a space are left as they are: they are quotations or lists.
func wrap(text string, n int) []string {
	var out []string
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		if n <= 0 || width(line) <= n || strings.HasPrefix(line, " ") {
			out = append(out, line)
			continue
		}
		row := ""
		for word := range strings.FieldsSeq(line) {
			switch {
			case row == "":
				row = word
			case width(row)+1+width(word) <= n:
				row += " " + word
			default:
				out = append(out, row)
				row = word
			}
		}
		out = append(out, row)
	}
	return out
}

// widestText is how wide a text gets that is only read: lines that are longer are hard to follow.
const widestText = 100

// Fill breaks paragraphs, and items of lists that begin with "- ", into lines as wide as the terminal; without one, text stays
// as it is.
func (p *Printer) Fill(text string) string {
	if p.Width <= 0 {
		return text
	}
	var paragraphs []string
	for paragraph := range strings.SplitSeq(text, "\n\n") {
		var items []string
		for line := range strings.SplitSeq(paragraph, "\n") {
			if len(items) == 0 || strings.HasPrefix(line, "- ") {
				items = append(items, line)
			} else {
				items[len(items)-1] += " " + strings.TrimSpace(line)
			}
		}
		for i, item := range items {
			indent := ""
			if strings.HasPrefix(item, "- ") {
				indent = "  "
			}
			items[i] = strings.Join(wrap(item, min(p.Width, widestText)-len(indent)), "\n"+indent)
		}
		paragraphs = append(paragraphs, strings.Join(items, "\n"))
	}
	return strings.Join(paragraphs, "\n\n")
}

// plural writes a count with its noun: "1 disk", "2 disks".
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
