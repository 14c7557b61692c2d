package view

import "strings"

// span is a piece of text in one style.
type span struct {
	text  string
	paint func(string) string // nil: as it is
	whole bool                // never broken, though it has spaces
	near  bool                // one space is before it, not two
}

// flow sets spans into lines of at most limit columns, broken at spaces; 0 means no limit. The first line begins with in, the
// others with hang. A word that is wider than a line is left whole.
func flow(limit int, in, hang string, spans ...span) string {
	f := flowing{limit: limit, hang: hang, col: width(in), fresh: true}
	f.out.WriteString(in)
	for _, s := range spans {
		if s.text == "" {
			continue
		}
		words := []string{s.text}
		if !s.whole {
			words = strings.Split(s.text, " ")
		}
		gap := "  "
		if s.near {
			gap = " "
		}
		for _, w := range words {
			f.word(gap, w, s.paint)
			gap = " "
		}
		f.flush(s.paint)
	}
	return strings.TrimRight(f.out.String(), " ") + "\n"
}

type flowing struct {
	out   strings.Builder
	limit int
	hang  string
	col   int
	fresh bool   // nothing is in the line yet
	run   string // what of the span is in the line, not painted yet
}

func (f *flowing) word(gap, word string, paint func(string) string) {
	if f.fresh {
		gap = ""
	}
	if f.limit > 0 && !f.fresh && f.col+width(gap)+width(word) > f.limit {
		f.flush(paint)
		f.out.WriteString("\n" + f.hang)
		f.col, gap = width(f.hang), ""
	}
	if f.run == "" {
		f.out.WriteString(gap)
		f.run = word
	} else {
		f.run += gap + word
	}
	f.col += width(gap) + width(word)
	f.fresh = false
}

func (f *flowing) flush(paint func(string) string) {
	if paint != nil {
		f.run = paint(f.run)
	}
	f.out.WriteString(f.run)
	f.run = ""
}
