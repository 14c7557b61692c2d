package view

import (
	"fmt"
	"strconv"
	"strings"

	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/planner"
)

// Widths beyond which a column of fields is no longer aligned.
const (
	widestPath  = 36
	widestValue = 60
)

// fieldLine is a field ready to be set: its text, or the diff of a text of several lines.
type fieldLine struct {
	path   string
	value  string
	diff   []string
	impact string
	note   string
	place  string
}

func (v *PlanView) fieldLine(c *planner.Change, f *planner.FieldChange, s changeStyle) fieldLine {
	l := fieldLine{path: clean(f.Path), note: clean(f.Note)}
	l.value, l.diff = changeText(f)
	if s.drift || c.Action == planner.ActionCreate {
		return l
	}
	l.impact = impactText(f.Impact)
	if c.Kind != "vm" && f.Impact == drivers.ImpactLive {
		l.impact = "in place"
	}
	if at := v.place(c, f.Path); at != v.place(c, "") {
		l.place = at
	}
	return l
}

// changeText writes what becomes of a field: "new", "old → new", or a diff when either is a text of several lines.
func changeText(f *planner.FieldChange) (value string, diff []string) {
	if f.Sensitive {
		return sensitiveText(f), nil
	}
	oldText, newText := unquote(f.Old), unquote(f.New)
	if strings.Contains(oldText+newText, "\n") {
		return "", unified(oldText, newText, 3, "")
	}
	switch {
	case f.Old == "":
		return clean(f.New), nil
	case f.New == "":
		return clean(f.Old) + " → (not set)", nil
	}
	return clean(f.Old) + " → " + clean(f.New), nil
}

func sensitiveText(f *planner.FieldChange) string {
	switch {
	case f.Old == "":
		return "(sensitive)"
	case f.New == "":
		return "(sensitive) → (not set)"
	}
	return "(sensitive) → (sensitive, changed)"
}

// unquote gives a quoted text as it is; other values stay.
func unquote(text string) string {
	if strings.HasPrefix(text, `"`) {
		if plain, err := strconv.Unquote(text); err == nil {
			return plain
		}
	}
	return text
}

func (v *PlanView) writeFields(b *strings.Builder, c *planner.Change, in string, s changeStyle) {
	lines := make([]fieldLine, len(c.Fields))
	pathWidth, valueWidth := 0, 0
	for i := range c.Fields {
		lines[i] = v.fieldLine(c, &c.Fields[i], s)
		pathWidth = max(pathWidth, min(width(lines[i].path), widestPath))
		valueWidth = max(valueWidth, min(width(lines[i].value), widestValue))
	}
	for _, l := range lines {
		v.writeField(b, l, in, pathWidth, valueWidth)
	}
}

func (v *PlanView) writeField(b *strings.Builder, l fieldLine, in string, pathWidth, valueWidth int) {
	st := v.printer.style
	tail, plain := l.tail(st), l.tail(style{})
	value := l.value
	if w := v.printer.Width; w > 0 {
		value = cut(value, max(w-len(in)-pathWidth-2-width(plain)-2, 20))
	}
	if tail != "" && l.diff == nil {
		value = pad(value, valueWidth)
	}
	line := in + pad(l.path, pathWidth) + "  " + value
	if tail != "" {
		line = strings.TrimRight(line, " ") + strings.Repeat(" ", 2+max(width(line)-width(strings.TrimRight(line, " ")), 0)) + tail
	}
	b.WriteString(strings.TrimRight(line, " ") + "\n")
	for _, d := range l.diff {
		fmt.Fprintf(b, "%s  %s\n", in, paintDiff(st, clean(d)))
	}
}

// tail is what follows the value: impact, note, place.
func (l fieldLine) tail(st style) string {
	var parts []string
	switch l.impact {
	case "":
	case "restart", "replace", "destroy":
		parts = append(parts, st.red(l.impact))
	case "at next boot":
		parts = append(parts, st.yellow(l.impact))
	default:
		parts = append(parts, l.impact)
	}
	if l.note != "" {
		parts = append(parts, "("+l.note+")")
	}
	if l.place != "" {
		parts = append(parts, st.dim(l.place))
	}
	return strings.Join(parts, "  ")
}
