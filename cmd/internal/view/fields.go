package view

import (
	"fmt"
	"strings"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/planner"
)

// Widths beyond which a column of fields is no longer aligned.
const (
	widestPath  = 36
	widestValue = 60
)

// fieldLine is a field ready to be set: its text, or the diff of a text of several lines. A block of a new object is one
// line too.
type fieldLine struct {
	path   string
	block  bool
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
	switch {
	case c.Kind == resource.KindSeed: // its vm says when the guest sees it
		l.impact = ""
	case c.Kind != resource.KindVM && f.Impact == drivers.ImpactLive:
		l.impact = "in place"
	}
	if f.Range != nil && (c.Range == nil || f.Range.String() != c.Range.String()) {
		l.place = f.Range.String()
	}
	return l
}

// changeText writes what becomes of a field: "new" or "old → new"; for texts of several lines the text, or how it differs.
func changeText(f *planner.FieldChange) (value string, diff []string) {
	if f.Sensitive() {
		return sensitiveText(f), nil
	}
	oldText, _ := f.Old.Text()
	newText, _ := f.New.Text()
	if strings.Contains(oldText+newText, "\n") {
		return "", textLines(f, oldText, newText)
	}
	switch {
	case f.Old.IsZero():
		return clean(f.New.String()), nil
	case f.New.IsZero():
		return clean(f.Old.String()) + " → (not set)", nil
	}
	return clean(f.Old.String()) + " → " + clean(f.New.String()), nil
}

func textLines(f *planner.FieldChange, oldText, newText string) []string {
	switch {
	case f.Old.IsZero():
		return strings.Split("| "+strings.ReplaceAll(strings.TrimSuffix(newText, "\n"), "\n", "\n| "), "\n")
	case f.New.IsZero():
		return strings.Split("- "+strings.ReplaceAll(strings.TrimSuffix(oldText, "\n"), "\n", "\n- "), "\n")
	}
	return unified(oldText, newText, 3, "")
}

func sensitiveText(f *planner.FieldChange) string {
	switch {
	case f.Old.IsZero():
		return "(sensitive)"
	case f.New.IsZero():
		return "(sensitive) → (not set)"
	}
	return "(sensitive) → (sensitive, changed)"
}

// set is the value of a field that comes or goes.
func set(f planner.FieldChange) resource.Value {
	if f.New.IsZero() {
		return f.Old
	}
	return f.New
}

// fieldLines are the lines of c. The attributes of a block that is new, or goes, share one.
func (v *PlanView) fieldLines(c *planner.Change, s changeStyle) []fieldLine {
	var lines []fieldLine
	fields := telling(c, s)
	for i := 0; i < len(fields); {
		if n := wholeBlock(fields[i:]); n > 0 || c.Action == planner.ActionCreate && !s.drift && strings.Contains(fields[i].Path, ".") {
			n = max(n, 1)
			l := v.blockLine(c, fields[i:i+n], s)
			if k := len(lines) - 1; l.impact == "" && k >= 0 && lines[k].block && lines[k].path == l.path {
				lines[k].value += ", " + l.value
			} else {
				lines = append(lines, l)
			}
			i += n
			continue
		}
		lines = append(lines, v.fieldLine(c, &fields[i], s))
		i++
	}
	return lines
}

// wholeBlock gives how many fields, from the first on, are all of a labelled block ("disk.data.bus") that comes or goes as
// a whole: several of them, of one impact, that were all not set, or are not any more.
func wholeBlock(fields []planner.FieldChange) int {
	block, ok := blockOf(fields[0].Path)
	if !ok {
		return 0
	}
	first, n := fields[0], 0
	for _, f := range fields {
		if b, _ := blockOf(f.Path); b != block || f.Impact != first.Impact || (f.Old.IsZero()) != (first.Old.IsZero()) || (f.New.IsZero()) != (first.New.IsZero()) {
			break
		}
		n++
	}
	if n < 2 || !first.Old.IsZero() && !first.New.IsZero() {
		return 0
	}
	return n
}

// blockOf is "disk.data" for "disk.data.bus".
func blockOf(path string) (string, bool) {
	dot := strings.LastIndexByte(path, '.')
	return path[:max(dot, 0)], strings.Contains(path[:max(dot, 0)], ".")
}

// blockLine sets fields of one block in a line: of a new or former block not what is usual.
func (v *PlanView) blockLine(c *planner.Change, fields []planner.FieldChange, s changeStyle) fieldLine {
	l := v.fieldLine(c, &fields[0], s)
	l.block, l.path, l.diff = true, l.path[:strings.LastIndexByte(l.path, '.')], nil
	var values []string
	for _, f := range fields {
		attr, value := f.Path[len(l.path)+1:], clean(set(f).String())
		switch {
		case f.Sensitive():
			value = "(sensitive)"
		case isUsual(c, f):
			continue
		}
		if !strings.HasPrefix(value, attr+".") { // "network network.lan" says it twice
			value = attr + " " + value
		}
		values = append(values, value)
	}
	l.value = strings.Join(values, ", ")
	if fields[0].New.IsZero() {
		l.value = strings.TrimSpace(l.value + " → (not set)")
	} else if l.value == "" {
		l.value = "(new)"
	}
	return l
}

func (v *PlanView) writeFields(b *strings.Builder, c *planner.Change, in string, s changeStyle) {
	lines := v.fieldLines(c, s)
	pathWidth, valueWidth, tailWidth := 0, 0, 0
	for _, l := range lines {
		pathWidth = max(pathWidth, min(width(l.path), widestPath))
		valueWidth = max(valueWidth, min(width(l.value), widestValue))
		tailWidth = max(tailWidth, width(l.tail(style{})))
	}
	limit := 0
	if w := v.printer.Width; w > 0 {
		limit = max(w-len(in)-pathWidth-2-tailWidth-2, 20)
		valueWidth = min(valueWidth, limit)
	}
	for _, l := range lines {
		l.write(b, v.printer.style, fieldColumns{in, pathWidth, valueWidth, limit})
	}
}

// fieldColumns are where the columns of an object's fields stand. limit is the widest a value may be; 0 means no limit.
type fieldColumns struct {
	in                 string
	path, value, limit int
}

func (l fieldLine) write(b *strings.Builder, st style, col fieldColumns) {
	line, under := col.in+pad(l.path, col.path)+"  ", col.in+pad("", col.path)+"  "
	switch {
	case l.diff != nil:
		line += l.tail(st)
	case l.block && l.tail(style{}) == "":
		line += strings.Join(wrap(l.value, col.limit), "\n"+under)
	default:
		line += pad(cut(l.value, col.limit), col.value) + "  " + l.tail(st)
	}
	b.WriteString(strings.TrimRight(line, " ") + "\n")
	if l.note != "" {
		fmt.Fprintf(b, "%s%s\n", under, st.dim("("+l.note+")"))
	}
	for _, d := range l.diff {
		fmt.Fprintf(b, "%s  %s\n", col.in, paintDiff(st, clean(d)))
	}
}

// tail is what follows the value: impact and place.
func (l fieldLine) tail(st style) string {
	text := l.impact
	switch l.impact {
	case "restart", "replace", "destroy":
		text = st.red(text)
	case "at next boot":
		text = st.yellow(text)
	}
	if l.place == "" {
		return text
	}
	return strings.TrimLeft(text+"  "+st.dim(l.place), " ")
}
