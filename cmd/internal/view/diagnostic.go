package view

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/planner"
	"vmplan.dev/vmplan/planner/apply"
)

// Sources has the text of the files; *config.Sources is one.
type Sources interface {
	// Files gives the files by name.
	Files() map[string]*hcl.File
}

// snippetLines is how many lines of a source range are shown at most.
const snippetLines = 5

// Diagnostics prints mistakes and warnings, to Err, with the source lines they are about. Mistakes are printed to Out when
// results are JSON, and as such. files may be nil.
func (p *Printer) Diagnostics(diags hcl.Diagnostics, files map[string]*hcl.File) {
	if p.Streams.JSON && diags.HasErrors() {
		_ = p.DiagnosticsJSON(diags, files) // nobody reads them: the exit code tells as well
		return
	}
	for _, d := range diags {
		m := message{severity: "Error", summary: d.Summary, detail: d.Detail}
		if d.Severity == hcl.DiagWarning {
			m.severity = "Warning"
		}
		if file := files[fileOf(d)]; d.Subject != nil && (file != nil || d.Subject.End.Byte > 0) { // else it is about no line, but the file as such
			m.source = p.snippet(*d.Subject, file)
		}
		p.message(m)
	}
}

// FileDiagnostics prints mistakes in the one file called name.
func (p *Printer) FileDiagnostics(diags hcl.Diagnostics, name string, src []byte) {
	p.Diagnostics(diags, map[string]*hcl.File{name: {Bytes: src}})
}

func fileOf(d *hcl.Diagnostic) string {
	if d.Subject == nil {
		return ""
	}
	return d.Subject.Filename
}

// Error prints an error of the world, to Err. Several that were joined are printed one by one.
func (p *Printer) Error(err error) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok { //nolint:errorlint // only the outermost may be taken apart
		for _, e := range joined.Unwrap() {
			p.Error(e)
		}
		return
	}
	var step *apply.StepError
	if errors.As(err, &step) {
		what := verbOf(step.Verb).failed
		p.message(message{severity: "Error", summary: fmt.Sprintf("%s: %s", step.Addr, what), detail: strings.TrimPrefix(step.Err.Error(), step.Addr.String()+": ")})
		return
	}
	summary, detail, _ := strings.Cut(err.Error(), "\n")
	p.message(message{severity: "Error", summary: summary, detail: detail})
}

// Refusal prints why something was not done, to Err, with the reasons as a list.
func (p *Printer) Refusal(summary string, reasons []string) {
	list := ""
	for _, r := range reasons {
		list += "  - " + r + "\n"
	}
	p.message(message{severity: "Error", summary: summary, detail: list})
}

// Warn prints a warning that no line of a file is to blame for, to Err.
func (p *Printer) Warn(summary, detail string) {
	p.message(message{severity: "Warning", summary: summary, detail: detail})
}

// FindingDiagnostics turns what a plan has to say into diagnostics with source ranges.
func FindingDiagnostics(findings []planner.Finding) hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, f := range findings {
		d := &hcl.Diagnostic{Severity: hcl.DiagError, Summary: sentence(f.Summary), Detail: f.Detail}
		if f.Severity == planner.SeverityWarning {
			d.Severity = hcl.DiagWarning
		}
		if f.Range != nil {
			d.Subject = hclRange(*f.Range)
		} else if !f.Addr.IsZero() && !strings.Contains(f.Summary+f.Detail, f.Addr.String()) {
			d.Detail = fmt.Sprintf("%s: %s", f.Addr, f.Detail)
		}
		diags = append(diags, d)
	}
	return diags
}

// sentence is text with a capital at its beginning.
func sentence(text string) string {
	first, size := utf8.DecodeRuneInString(text)
	return string(unicode.ToUpper(first)) + text[size:]
}

func hclRange(r resource.Range) *hcl.Range {
	return &hcl.Range{Filename: r.File, Start: hcl.Pos(r.Start), End: hcl.Pos(r.End)}
}

// message is one diagnostic as it is printed.
type message struct {
	severity string
	summary  string
	source   []string
	detail   string
}

// message prints m: with colours inside a rule at the left, else plain with an empty line behind.
func (p *Printer) message(m message) {
	paint := p.style.red
	if m.severity == "Warning" {
		paint = p.style.yellow
	}
	bar := ""
	if p.Color {
		bar = paint("│") + " "
	}
	limit := 0
	if p.Width > 2 {
		limit = p.Width - 2
	}
	var lines []string
	for i, l := range wrap(m.severity+": "+clean(m.summary), limit) {
		if rest, ok := strings.CutPrefix(l, m.severity+":"); ok && i == 0 {
			l = paint(m.severity+":") + p.style.bold(rest)
		}
		lines = append(lines, l)
	}
	if len(m.source) > 0 {
		lines = append(append(lines, ""), m.source...)
	}
	if m.detail != "" {
		lines = append(append(lines, ""), wrap(clean(m.detail), limit)...)
	}
	var b strings.Builder
	if p.Color {
		b.WriteString(paint("╷") + "\n")
	}
	for _, l := range lines {
		b.WriteString(strings.TrimRight(bar+l, " ") + "\n")
	}
	if p.Color {
		b.WriteString(paint("╵"))
	}
	b.WriteString("\n")
	fmt.Fprint(p.Err, b.String())
}

// snippet shows the lines of r, the first underlined. file may be nil.
func (p *Printer) snippet(r hcl.Range, file *hcl.File) []string {
	head := fmt.Sprintf("  on %s line %d", oneLine(r.Filename), r.Start.Line)
	if file == nil || r.Start.Line < 1 {
		return []string{head}
	}
	if nav, ok := file.Nav.(interface{ ContextString(int) string }); ok {
		if in := nav.ContextString(r.Start.Byte); in != "" {
			head += ", in " + in
		}
	}
	out := []string{head + ":"}
	last := min(max(r.End.Line, r.Start.Line), r.Start.Line+snippetLines-1)
	lines := bufio.NewScanner(bytes.NewReader(file.Bytes))
	lines.Buffer(nil, len(file.Bytes)+1)
	for n := 1; n <= last && lines.Scan(); n++ {
		if n < r.Start.Line {
			continue
		}
		text := clean(strings.ReplaceAll(resource.RedactLine(lines.Text()), "\t", " "))
		number := fmt.Sprintf("%5d: ", n)
		out = append(out, p.style.dim(number)+cut(text, max(p.Width-10, 0)))
		if mark := underline(r, text); n == r.Start.Line && mark != "" {
			out = append(out, strings.Repeat(" ", len(number))+p.style.red(mark))
		}
	}
	return out
}

// underline marks the columns of r in its first line.
func underline(r hcl.Range, line string) string {
	runes := []rune(line)
	start, end := r.Start.Column-1, len(runes)
	if r.End.Line == r.Start.Line {
		end = min(r.End.Column-1, end)
	}
	if start < 0 || start > len(runes) {
		return ""
	}
	end = max(end, start)
	return strings.Repeat(" ", width(string(runes[:start]))) + strings.Repeat("^", max(width(string(runes[start:end])), 1))
}
