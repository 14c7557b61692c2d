package view

import (
	"fmt"
	"strings"

	"github.com/sergi/go-diff/diffmatchpatch"
)

// Diff prints how a file would change, as a unified diff, to Out.
func (p *Printer) Diff(path, before, after string) {
	for _, line := range unified(before, after, 3, path) {
		fmt.Fprintln(p.Out, paintDiff(p.style, line))
	}
}

func paintDiff(st style, line string) string {
	switch {
	case strings.HasPrefix(line, "+"):
		return st.green(line)
	case strings.HasPrefix(line, "-"):
		return st.red(line)
	case strings.HasPrefix(line, "@@"):
		return st.cyan(line)
	}
	return line
}

// diffLine is a line with what became of it: ' ', '-' or '+'.
type diffLine struct {
	op   byte
	text string
}

func diffLines(before, after string) []diffLine {
	dmp := diffmatchpatch.New()
	dmp.DiffTimeout = 0 // the same texts give the same diff on every machine
	a, b, index := dmp.DiffLinesToRunes(before, after)
	var out []diffLine
	for _, d := range dmp.DiffCharsToLines(dmp.DiffMainRunes(a, b, false), index) {
		op := map[diffmatchpatch.Operation]byte{diffmatchpatch.DiffEqual: ' ', diffmatchpatch.DiffDelete: '-', diffmatchpatch.DiffInsert: '+'}[d.Type]
		for line := range strings.SplitSeq(strings.TrimSuffix(d.Text, "\n"), "\n") {
			out = append(out, diffLine{op, line})
		}
	}
	return out
}

// unified gives the lines of a unified diff with as many unchanged lines around each change. With a path it begins with the
// two lines that name the file.
func unified(before, after string, context int, path string) []string {
	lines := diffLines(before, after)
	var out []string
	if path != "" {
		out = append(out, "--- "+path, "+++ "+path)
	}
	oldNo, newNo := 1, 1 // of lines[i]
	for i := 0; i < len(lines); {
		if lines[i].op == ' ' {
			i, oldNo, newNo = i+1, oldNo+1, newNo+1
			continue
		}
		start := max(i-context, 0)
		end := hunkEnd(lines, i, context)
		back := i - start
		hunk, o, n := lines[start:end], 0, 0
		for _, l := range hunk {
			if l.op != '+' {
				o++
			}
			if l.op != '-' {
				n++
			}
		}
		out = append(out, fmt.Sprintf("@@ -%d,%d +%d,%d @@", oldNo-back, o, newNo-back, n))
		for _, l := range hunk {
			out = append(out, string(l.op)+l.text)
		}
		i, oldNo, newNo = end, oldNo-back+o, newNo-back+n
	}
	return out
}

// hunkEnd finds where the hunk that begins with the change at i ends, context included: changes closer than twice the
// context share one.
func hunkEnd(lines []diffLine, i, context int) int {
	last := i
	for j := i; j < len(lines) && j-last <= 2*context; j++ {
		if lines[j].op != ' ' {
			last = j
		}
	}
	return min(last+1+context, len(lines))
}
