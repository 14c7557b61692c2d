package view

import (
	"fmt"
	"slices"
	"strings"

	"vmplan.dev/vmplan/planner"
)

// markdownLimit keeps a plan within what a comment on a pull request may hold (65,536 bytes at the usual places).
const markdownLimit = 60 << 10

// markdownReserve is room for the line that says how many objects are left out.
const markdownReserve = 80

// markdownOpen is how many lines a detail has at most that is shown without unfolding it.
const markdownOpen = 12

// markdownPart is a piece of the document whose detail can be left out.
type markdownPart struct {
	head   string
	detail string // text for a fenced block; empty when there is none
	lines  int    // of detail, kept when it was cut
	cut    bool
}

// Markdown prints the plan for a comment on a pull request, within 60 KiB: the longest details are cut, saying so.
func (v *PlanView) Markdown() error {
	_, err := fmt.Fprint(v.printer.Out, v.markdown(markdownLimit))
	return err
}

func (v *PlanView) markdown(limit int) string {
	plain := *v
	plain.printer = New(Streams{}) // no colours, no width
	parts := plain.markdownParts()
	total := 0
	for i := range parts {
		total += len(parts[i].String())
	}
	for _, i := range longestFirst(parts) {
		if total <= limit-markdownReserve {
			break
		}
		total -= len(parts[i].String())
		parts[i].cut, parts[i].lines, parts[i].detail = true, strings.Count(parts[i].detail, "\n"), ""
		total += len(parts[i].String())
	}
	var b strings.Builder
	for i, p := range parts {
		text := p.String()
		if b.Len()+len(text) > limit-markdownReserve {
			fmt.Fprintf(&b, "\n_…and %d more objects: see `vmplan plan`._\n", len(parts)-i)
			break
		}
		b.WriteString(text)
	}
	return b.String()
}

// longestFirst gives the indexes of the parts with a detail, the longest first; of equals the last.
func longestFirst(parts []markdownPart) []int {
	var order []int
	for i := range parts {
		if parts[i].detail != "" {
			order = append(order, i)
		}
	}
	slices.SortFunc(order, func(a, b int) int {
		if d := len(parts[b].detail) - len(parts[a].detail); d != 0 {
			return d
		}
		return b - a
	})
	return order
}

// String sets the part.
func (p markdownPart) String() string {
	switch {
	case p.cut:
		return p.head + fmt.Sprintf("\n  _%s cut: see `vmplan plan`._\n", plural(p.lines, "line"))
	case p.detail == "":
		return p.head
	}
	fence := "```"
	for strings.Contains(p.detail, fence) {
		fence += "`"
	}
	block := fmt.Sprintf("%sdiff\n%s%s\n\n", fence, p.detail, fence)
	if n := strings.Count(p.detail, "\n"); n > markdownOpen {
		block = fmt.Sprintf("<details><summary>%s</summary>\n\n%s</details>\n\n", plural(n, "line"), block)
	}
	return p.head + "\n" + block
}

func (v *PlanView) markdownParts() []markdownPart {
	head := "### Plan: " + escapeMarkdown(v.counts.String()) + "\n\n"
	switch {
	case v.plan.Refused():
		head = "### Plan refused\n\n" + escapeMarkdown(v.refusal()) + "\n\n"
	case v.plan.Empty() && len(v.groups) == 0:
		head = "### Plan: no changes\n\n"
	}
	parts := append([]markdownPart{{head: head}}, v.markdownFindings()...)
	if v.plan.Refused() {
		return parts
	}
	parts = append(parts, v.markdownDrift()...)
	list := v.fold()
	for i, g := range list {
		title := ""
		if s := g.section(); i == 0 || list[i-1].section() != s {
			title = "#### " + sectionTitles[s] + "\n\n"
		}
		parts = append(parts, v.markdownGroup(title, g))
	}
	return parts
}

func (v *PlanView) markdownFindings() []markdownPart {
	var parts []markdownPart
	for _, f := range v.plan.Findings {
		at := ""
		if !f.Addr.IsZero() {
			at = code(f.Addr.String()) + ": "
		}
		name := map[planner.Severity]string{planner.SeverityError: "Error", planner.SeverityWarning: "Warning"}[f.Severity]
		parts = append(parts, markdownPart{head: fmt.Sprintf("> **%s:** %s%s. %s\n\n", name, at, escapeMarkdown(f.Summary), escapeMarkdown(f.Detail))})
	}
	return parts
}

// markdownDrift is what is so already.
func (v *PlanView) markdownDrift() []markdownPart {
	var parts []markdownPart
	for _, p := range []struct {
		title   string
		changes []planner.Change
		style   changeStyle
	}{{driftTitle, v.plan.Drift, changeStyle{drift: true}}, {pendingTitle, v.plan.Pending, changeStyle{drift: true, pending: true}}} {
		if len(p.changes) == 0 {
			continue
		}
		var b strings.Builder
		for i := range p.changes {
			v.writeChange(&b, &p.changes[i], p.style)
		}
		parts = append(parts, markdownPart{head: "#### " + p.title + "\n\n", detail: outdent(b.String())})
	}
	return parts
}

// markdownGroup is one line for the block and its losses, and the fields as a diff.
func (v *PlanView) markdownGroup(title string, g folded) markdownPart {
	var head strings.Builder
	fmt.Fprintf(&head, "%s- **%s** %s", title, wordOf(g.action), code(g.addr.String()))
	if c := g.changes[0]; g.own {
		if c.Power != "" && c.Power != string(c.Action) {
			head.WriteString(" and " + c.Power)
		}
		if cause := tellingCause(c.Cause); cause != "" {
			head.WriteString(": " + escapeMarkdown(cause))
		}
		if c.Range != nil {
			head.WriteString(" (" + code(at(c.Range)) + ")")
		}
	}
	var lost []string
	var detail strings.Builder
	for _, c := range g.changes {
		for _, l := range c.Loses {
			if !slices.Contains(lost, l) {
				lost = append(lost, l)
			}
		}
		v.writeChange(&detail, c, changeStyle{})
	}
	if len(lost) > 0 {
		fmt.Fprintf(&head, " — **loses %s**", escapeMarkdown(strings.Join(lost, ", ")))
	}
	if len(g.more) > 0 {
		head.WriteString("\n  " + escapeMarkdown(g.moreText()))
	}
	return markdownPart{head: head.String() + "\n", detail: outdent(detail.String())}
}

// outdent moves the signs of a plan's text to the first column, where a diff block colours them: a change to "!".
func outdent(text string) string {
	var b strings.Builder
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		bare := strings.TrimLeft(line, " ")
		switch {
		case strings.HasPrefix(bare, "-/+ "), strings.HasPrefix(bare, "- "):
			line = "- " + strings.TrimPrefix(strings.TrimPrefix(bare, "-/+"), "-")[1:]
		case strings.HasPrefix(bare, "+ "):
			line = "+ " + bare[2:]
		case strings.HasPrefix(bare, "~ "), strings.HasPrefix(bare, "! "):
			line = "! " + bare[2:]
		case strings.HasPrefix(bare, "loses "):
			line = "- " + strings.TrimSuffix(line, bare) + bare
		case bare != "" && strings.IndexByte("+-@", bare[0]) >= 0:
			line = bare
		default:
			line = "  " + line
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return b.String()
}

// escapeMarkdown keeps text from being read as markup, HTML or a mention of somebody.
func escapeMarkdown(text string) string {
	var b strings.Builder
	for _, r := range strings.ReplaceAll(clean(text), "\n", " ") {
		if strings.ContainsRune("\\`*_[]<>#|~@", r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// code sets text as code: between more backticks than it has in a row.
func code(text string) string {
	text = strings.ReplaceAll(clean(text), "\n", " ")
	fence := "`"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	if len(fence) > 1 {
		text = " " + text + " "
	}
	return fence + text + fence
}
