package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/agext/levenshtein"
	"github.com/hashicorp/hcl/v2"

	"vmplan.dev/vmplan/config/resource"
)

// mistake is an error at rng: summary is short and constant, the detail says what is wrong, why, and how to fix it.
func mistake(rng hcl.Range, summary, format string, args ...any) *hcl.Diagnostic {
	return &hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: fmt.Sprintf(format, args...), Subject: &rng}
}

func warning(rng hcl.Range, summary, format string, args ...any) *hcl.Diagnostic {
	d := mistake(rng, summary, format, args...)
	d.Severity = hcl.DiagWarning
	return d
}

// reporter collects diagnostics.
type reporter struct {
	diags hcl.Diagnostics
	seen  map[reported]bool
}

type reported struct {
	rng             hcl.Range
	summary, detail string
}

// add takes each mistake once.
func (r *reporter) add(diags ...*hcl.Diagnostic) {
	for _, d := range diags {
		r.once(d, d.Detail)
	}
}

// addFirst takes the first mistake of its kind at its place: what is written once and evaluated for a thousand instances
// must not be complained of a thousand times.
func (r *reporter) addFirst(d *hcl.Diagnostic) { r.once(d, "") }

func (r *reporter) once(d *hcl.Diagnostic, detail string) {
	key := reported{summary: d.Summary, detail: detail}
	if d.Subject != nil {
		key.rng = *d.Subject
	}
	if r.seen == nil {
		r.seen = map[reported]bool{}
	}
	if !r.seen[key] {
		r.seen[key] = true
		r.diags = append(r.diags, d)
	}
}

// failed tells whether there was a mistake.
func (r *reporter) failed() bool { return r.diags.HasErrors() }

// sorted gives what was collected in the order of the files: errors and warnings as a reader meets them.
func (r *reporter) sorted() hcl.Diagnostics {
	slices.SortStableFunc(r.diags, func(a, b *hcl.Diagnostic) int {
		if a.Subject == nil || b.Subject == nil {
			return 0
		}
		if c := strings.Compare(a.Subject.Filename, b.Subject.Filename); c != 0 {
			return c
		}
		return a.Subject.Start.Byte - b.Subject.Start.Byte
	})
	return r.diags
}

// didYouMean is " Did you mean …?" for the candidate nearest to what was written, or nothing when none is near.
func didYouMean(written string, candidates []string) string {
	best, distance := "", 3
	for _, c := range candidates {
		if d := levenshtein.Distance(written, c, nil); d < distance && d < len(c) {
			best, distance = c, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" Did you mean %s?", best)
}

// oneOf lists texts for a message: "a", "b" or "c".
func oneOf(texts []string) string {
	quoted := make([]string, len(texts))
	for i, t := range texts {
		quoted[i] = fmt.Sprintf("%q", t)
	}
	if len(quoted) < 2 {
		return strings.Join(quoted, "")
	}
	return strings.Join(quoted[:len(quoted)-1], ", ") + " or " + quoted[len(quoted)-1]
}

// article puts a or an before a kind.
func article[K ~string](kind K) string {
	return resource.Kind(kind).WithArticle()
}

// sentence begins a sentence with the words.
func sentence(words string) string { return strings.ToUpper(words[:1]) + words[1:] }
