package planner

import (
	"slices"
	"strings"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
)

// fieldChanges lists the fields of a change: a block that comes or goes as those that are set in it.
func fieldChanges(c resource.Change, impact drivers.Impact, note string) []FieldChange {
	inner := func(block any) []resource.Field {
		if block == nil {
			return nil
		}
		return resource.BlockFields(block)
	}
	if !isBlock(c.Old) && !isBlock(c.New) {
		return []FieldChange{fieldChange(c.Path, c.Old, c.New, impact, note)}
	}
	var out []FieldChange
	for _, f := range inner(c.Old) {
		out = append(out, fieldChange(c.Path+"."+f.Path, f.Value, nil, impact, note))
	}
	for _, f := range inner(c.New) {
		out = append(out, fieldChange(c.Path+"."+f.Path, nil, f.Value, impact, note))
	}
	if len(out) == 0 {
		out = append(out, fieldChange(c.Path, c.Old, c.New, impact, note))
	}
	return out
}

func isBlock(v any) bool {
	switch v.(type) {
	case nil, string, bool, int, resource.Size, resource.Duration, resource.Secret, resource.Addr, []string, []resource.Addr:
		return false
	}
	return true
}

func fieldChange(path string, before, after any, impact drivers.Impact, note string) FieldChange {
	return FieldChange{Path: path, Old: resource.ValueOf(before), New: resource.ValueOf(after), Impact: impact, Note: note}
}

// allFields lists what an object that comes or goes is set to, for people.
func allFields(r resource.Resource, impact drivers.Impact, going bool) []FieldChange {
	fields := slices.DeleteFunc(resource.Fields(r), func(f resource.Field) bool {
		return f.Class == resource.ClassInput || f.Path == "host" || f.Path == "managed" || strings.HasPrefix(f.Path, "lifecycle.")
	})
	out := make([]FieldChange, len(fields))
	for i, f := range fields {
		if going {
			out[i] = fieldChange(f.Path, f.Value, nil, impact, "")
		} else {
			out[i] = fieldChange(f.Path, nil, f.Value, impact, "")
		}
	}
	return out
}

func hostChanges(list []resource.Change) []resource.Change {
	return slices.DeleteFunc(list, func(c resource.Change) bool { return c.Class != resource.ClassHost })
}

func impactsByPath(list []drivers.FieldImpact) map[string]drivers.FieldImpact {
	out := make(map[string]drivers.FieldImpact, len(list))
	for _, i := range list {
		out[i.Path] = i
	}
	return out
}

func ignoredPaths(o *object) []string {
	if l := o.planned.Base().Lifecycle; l != nil {
		return l.IgnoreChanges
	}
	return nil
}
