// Package impact owns what each change of an object does to running guests on a libvirt host, and which of libvirt's calls
// makes it, from which the driver answers and the reference pages are written. The rules of vms, networks and pools are in the
// table of package definition.
//
// It must not talk to libvirt, nor link its library: the pages are written on machines without it.
package impact

import (
	"strings"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/libvirt/internal/definition"
)

// Rule says what the change of one field does.
type Rule = definition.Rule

// Of says for each change from before to after that hosts know of what it does.
func Of(before, after resource.Resource) []drivers.FieldImpact {
	var out []drivers.FieldImpact
	for _, c := range resource.Diff(before, after) {
		if c.Class == resource.ClassHost {
			out = append(out, of(definition.Change{Change: c, Before: before, After: after}))
		}
	}
	return out
}

func of(c definition.Change) drivers.FieldImpact {
	for i := range rules {
		r := &rules[i]
		if r.Kind == c.Before.Kind() && covers(r.Path, c.Path) && (r.Holds == nil || r.Holds(c)) {
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
	switch {
	case want != "*" && want != have:
		return false
	case !wantMore || !haveMore:
		return wantMore == haveMore || wantRest == "**"
	}
	return covers(wantRest, haveRest)
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
		if r.Holds == nil {
			break
		}
	}
	return out
}
