package view

import (
	"fmt"
	"strings"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/planner"
)

// Widths beyond which columns of fields are no longer aligned.
const (
	widestPath  = 36
	widestValue = 60
)

// fieldLine is a field ready to be set: its text, or the diff of a text of several lines. A block of a new object is one
// line too.
type fieldLine struct {
	path   string
	block  bool
	old    string // empty: only new counts
	new    string
	diff   []string
	impact string
	note   string
	place  string
}

func (v *PlanView) fieldLine(c *planner.Change, f *planner.FieldChange, s changeStyle) fieldLine {
	l := fieldLine{path: clean(f.Path), note: clean(f.Note)}
	l.old, l.new, l.diff = changeText(f)
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
	if f.Range != nil && (c.Range == nil || at(f.Range) != at(c.Range)) {
		l.place = at(f.Range)
	}
	return l
}

// seedSource is the field of a vm by which it gets another seed; the seed's own change says what is new in it.
const seedSource = "disk.seed.source"

// changeText writes what becomes of a field: from old to what is new; for texts of several lines the text, or how it differs.
func changeText(f *planner.FieldChange) (before, after string, diff []string) {
	if f.Sensitive() {
		before, after = sensitiveText(f)
		return before, after, nil
	}
	oldText, _ := f.Old.Text()
	newText, _ := f.New.Text()
	if strings.Contains(oldText+newText, "\n") {
		return "", "", textLines(f, oldText, newText)
	}
	if f.Old.IsZero() {
		return "", clean(f.New.String()), nil
	}
	return clean(f.Old.String()), clean(f.New.String()), nil
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

func sensitiveText(f *planner.FieldChange) (before, after string) {
	switch {
	case f.Old.IsZero():
		return "", f.New.String()
	case f.New.IsZero():
		return f.Old.String(), f.New.String()
	}
	return "", "(sensitive, changed)"
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
				lines[k].new += ", " + l.new
			} else {
				lines = append(lines, l)
			}
			i += n
			continue
		}
		l := v.fieldLine(c, &fields[i], s)
		if c.Kind == resource.KindVM && c.Action == planner.ActionUpdate && fields[i].Path == seedSource {
			l.path, l.old, l.new = "cloud_init", "", "new seed"
		}
		lines = append(lines, l)
		i++
	}
	if text := reservationText(c); text != "" && !s.drift {
		lines = append(lines, fieldLine{path: "reservations", new: text, impact: "in place"})
	}
	return lines
}

// reservationText counts what happens to the reservations of a network that changes: the nics that they are made for say the
// rest.
func reservationText(c *planner.Change) string {
	if c.Action != planner.ActionUpdate {
		return ""
	}
	kinds, seen := map[string]int{}, map[string]bool{}
	for _, f := range c.Fields {
		mac, _ := blockOf(f.Path)
		if !isReservation(f) || seen[mac] {
			continue
		}
		seen[mac] = true
		switch {
		case f.Old.IsZero():
			kinds["new"]++
		case f.New.IsZero():
			kinds["gone"]++
		default:
			kinds["changed"]++
		}
	}
	var parts []string
	for _, k := range []string{"new", "changed", "gone"} {
		if n := kinds[k]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, k))
		}
	}
	return strings.Join(parts, ", ")
}

func isReservation(f planner.FieldChange) bool { return strings.HasPrefix(f.Path, "reservation.") }

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
	all := strings.Join(values, ", ")
	switch {
	case fields[0].New.IsZero():
		l.old, l.new = all, resource.ValueOf(nil).String()
	case all == "":
		l.old, l.new = "", "(new)"
	default:
		l.old, l.new = "", all
	}
	return l
}

func (v *PlanView) writeFields(b *strings.Builder, c *planner.Change, in string, s changeStyle) {
	lines := v.fieldLines(c, s)
	var col fieldColumns
	col.in, col.limit = in, v.printer.Width
	for _, l := range lines {
		if w := width(l.path); w <= widestPath && (col.limit <= 0 || w <= col.limit/3) { // else it would push all others away
			col.path = max(col.path, w)
		}
	}
	for _, l := range lines {
		if l.diff == nil && l.fits(col) {
			col.value = max(col.value, min(width(l.value()), widestValue))
		}
	}
	for _, l := range lines {
		l.write(b, v.printer.style, col)
	}
}

// fieldColumns are where the columns of an object's fields stand. limit is the width of the terminal; 0 means no limit.
type fieldColumns struct {
	in          string
	path, value int
	limit       int
}

// under is where what belongs to a field begins when it does not fit beside its path.
func (col fieldColumns) under() string { return col.in + "    " }

// fits tells whether the field with all that follows its value has room in one line.
func (l fieldLine) fits(col fieldColumns) bool {
	need := len(col.in) + max(width(l.path), col.path) + 2 + width(l.value())
	if tail := l.tail(); tail != "" {
		need += 2 + width(tail)
	}
	return col.limit <= 0 || need <= col.limit
}

// write sets the field: in one line; or, where that has no room, old and new in lines of their own under path, impact and
// place, and lists of a block's attributes broken between them.
func (l fieldLine) write(b *strings.Builder, st style, col fieldColumns) {
	tail := []span{{text: l.impact, paint: l.paint(st)}, {text: l.place, paint: st.dim, whole: true}}
	beside := col.in + pad(l.path, col.path) + "  "
	switch under := col.under(); {
	case l.diff != nil:
		b.WriteString(flow(col.limit, col.in, under, append([]span{{text: l.path, whole: true}}, tail...)...))
		for _, d := range l.diff {
			fmt.Fprintf(b, "%s%s\n", under[:len(under)-2], paintDiff(st, clean(d)))
		}
	case l.fits(col):
		value := l.value()
		if l.tail() != "" && width(value) < col.value && (col.limit <= 0 || width(beside)+col.value+2+width(l.tail()) <= col.limit) {
			value = pad(value, col.value)
		}
		b.WriteString(flow(0, beside, "", append([]span{{text: value, whole: true}}, tail...)...))
	case l.old == "" && l.tail() == "" && width(beside) <= col.limit/2 && width(beside)+widestWord(l.new) <= col.limit:
		hang := strings.Repeat(" ", width(beside))
		b.WriteString(flow(col.limit, beside, hang, span{text: l.new}))
	default:
		b.WriteString(flow(col.limit, col.in, under, append([]span{{text: l.path, whole: true}}, tail...)...))
		if l.old != "" && width(under)+width(l.value()) > col.limit {
			b.WriteString(flow(col.limit, under+"  ", under+"    ", span{text: l.old}))
			b.WriteString(flow(col.limit, under+"→ ", under+"    ", span{text: l.new}))
		} else {
			b.WriteString(flow(col.limit, under, under+"  ", span{text: l.value()}))
		}
	}
	if l.note != "" {
		b.WriteString(flow(col.limit, col.under(), col.under()+" ", span{text: "(" + l.note + ")", paint: st.dim}))
	}
}

func widestWord(text string) int {
	widest := 0
	for word := range strings.SplitSeq(text, " ") {
		widest = max(widest, width(word))
	}
	return widest
}

// value is old and new in one line.
func (l fieldLine) value() string {
	if l.old == "" {
		return l.new
	}
	return l.old + " → " + l.new
}

func (l fieldLine) paint(st style) func(string) string {
	switch l.impact {
	case "restart", "replace", "destroy":
		return st.red
	case "at next boot":
		return st.yellow
	}
	return nil
}

// tail is what follows the value: impact and place.
func (l fieldLine) tail() string {
	return strings.TrimSpace(l.impact + "  " + l.place)
}
