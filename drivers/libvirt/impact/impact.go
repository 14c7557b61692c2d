// Package impact owns what each change of an object does to running guests on a libvirt host, and which of libvirt's calls
// makes it: one table, from which the driver answers, and from which the reference pages are written.
//
// It must not talk to libvirt, nor link its library: the pages are written on machines without it.
package impact

import (
	"strings"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
)

// Rule says what the change of one field does. Of several rules for a field the first whose When holds is right.
type Rule struct {
	Kind resource.Kind
	// Path is a field's as in resource.Change: "*" stands for one step, such as a label, and a last "**" for all that follows.
	// A path that ends in a label is about blocks that come or go.
	Path   string
	Impact drivers.Impact
	When   string // the condition, for people: "up to max_memory"; empty: always, or else
	Note   string // as in drivers.FieldImpact
	Call   string // as in drivers.FieldImpact

	holds func(change) bool // nil: always
}

// change is one difference and what it is a difference of.
type change struct {
	resource.Change
	before, after resource.Resource
}

// Of says for each change from before to after that hosts know of what it does.
func Of(before, after resource.Resource) []drivers.FieldImpact {
	var out []drivers.FieldImpact
	for _, c := range resource.Diff(before, after) {
		if c.Class == resource.ClassHost {
			out = append(out, of(change{c, before, after}))
		}
	}
	return out
}

func of(c change) drivers.FieldImpact {
	for i := range rules {
		r := &rules[i]
		if r.Kind == c.before.Kind() && covers(r.Path, c.Path) && (r.holds == nil || r.holds(c)) {
			return drivers.FieldImpact{Path: c.Path, Impact: r.Impact, Note: r.Note, Call: r.Call}
		}
	}
	return drivers.FieldImpact{Path: c.Path, Impact: drivers.ImpactReplace}
}

// covers tells whether a rule's path is about the field at path.
func covers(pattern, path string) bool {
	if pattern == "**" {
		return true
	}
	want, wantRest, wantMore := strings.Cut(pattern, ".")
	have, haveRest, haveMore := strings.Cut(path, ".")
	if want != "*" && want != have || wantMore != haveMore {
		return false
	}
	return !wantMore || covers(wantRest, haveRest)
}

// Rules gives the rules for a field as the reference pages list them: of a vm "memory", "disk.*.bus", and "disk.*" for the
// block itself. The first that always holds is the last. There are none for what is only vmplan's own affair.
func Rules(kind resource.Kind, path string, class resource.Class) []Rule {
	table := rules
	if class != resource.ClassHost {
		table = follows
	}
	var out []Rule
	for _, r := range table {
		if r.Kind != kind || !covers(r.Path, path) {
			continue
		}
		out = append(out, r)
		if r.holds == nil {
			break
		}
	}
	return out
}
