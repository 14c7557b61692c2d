package planner

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"vmplan.dev/vmplan/config/resource"
)

// Differences tells where a saved plan is not the plan that New makes again of the same inputs: in options, changes, steps, or in
// what must have been said before it is carried out. Nothing: who looked at the saved plan knows what the other one does. Only
// the plan that was made again may be carried out, for it alone has the texts of secrets.
//
// Drift and pending restarts are not compared: they tell of the hosts and do nothing. Verify comes first, and says what
// has moved.
func Differences(saved, again *Plan) []string {
	if out := otherSecrets(saved, again); len(out) > 0 {
		return out // the rest follows from that
	}
	var out []string
	if where := unequal(saved.Options, again.Options); where != "" {
		out = append(out, "options differ: "+where)
	}
	out = append(out, differ("change", saved.Changes, again.Changes, func(c Change) string { return c.Addr.String() }, unequalChange)...)
	out = append(out, differ("step", saved.Steps, again.Steps, func(s Step) string { return s.ID }, func(a, b Step) string { return unequal(a, b) })...)
	for _, f := range again.Findings {
		if !slices.ContainsFunc(saved.Findings, f.same) {
			out = append(out, fmt.Sprintf("%s: the file does not say: %s", f.Addr, f.Summary))
		}
	}
	return out
}

// same tells whether o says the same of the same. How much memory or space is free, which a detail may tell, changes by itself.
func (f Finding) same(o Finding) bool {
	return f.Severity == o.Severity && f.Addr == o.Addr && f.Path == o.Path && f.Summary == o.Summary && (f.Measured || f.Detail == o.Detail)
}

// differ compares two lists whose items have names.
func differ[T any](what string, saved, again []T, name func(T) string, unequal func(a, b T) string) []string {
	var out []string
	index := make(map[string]T, len(again))
	for _, item := range again {
		index[name(item)] = item
	}
	for _, item := range saved {
		want, ok := index[name(item)]
		if !ok {
			out = append(out, fmt.Sprintf("%s %s is in the file, but is not planned now", what, name(item)))
			continue
		}
		if where := unequal(item, want); where != "" {
			out = append(out, fmt.Sprintf("%s %s differs from what is planned now: %s", what, name(item), where))
		}
		delete(index, name(item))
	}
	for _, missing := range slices.Sorted(maps.Keys(index)) {
		out = append(out, fmt.Sprintf("%s %s is planned now, but is not in the file", what, missing))
	}
	if len(out) == 0 && !slices.EqualFunc(saved, again, func(a, b T) bool { return name(a) == name(b) }) {
		out = append(out, what+"s of the file are in another order, or are there twice")
	}
	return out
}

// unequalChange is unequal, and names the field of the object where that is what differs. Where things are written in the
// files does not count.
func unequalChange(a, b Change) string {
	a, b = a.unlocated(), b.unlocated()
	for _, f := range a.Fields {
		i := slices.IndexFunc(b.Fields, func(o FieldChange) bool { return o.Path == f.Path })
		if i >= 0 && unequal(f, b.Fields[i]) != "" {
			return f.Path
		}
	}
	return unequal(a, b)
}

// unequal gives the first path at which two values differ as JSON; empty when they do not.
func unequal(a, b any) string {
	return firstDifference(asJSON(a), asJSON(b))
}

func asJSON(v any) (out any) {
	text, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("planner: a plan cannot be encoded: %v", err)) // Encode has done it
	}
	_ = json.Unmarshal(text, &out) // what Marshal wrote can be read
	return out
}

func firstDifference(a, b any) string {
	switch a := a.(type) {
	case map[string]any:
		if b, ok := b.(map[string]any); ok {
			for _, key := range keysOf(a, b) {
				if where := firstDifference(a[key], b[key]); where != "" {
					return joinPath(key, where)
				}
			}
			return ""
		}
	case []any:
		if b, ok := b.([]any); ok && len(a) == len(b) {
			for i := range a {
				if where := firstDifference(a[i], b[i]); where != "" {
					return joinPath(fmt.Sprint(i), where)
				}
			}
			return ""
		}
	}
	if reflect.DeepEqual(a, b) {
		return ""
	}
	return "."
}

func keysOf(a, b map[string]any) []string {
	keys := slices.AppendSeq(slices.Collect(maps.Keys(a)), maps.Keys(b))
	slices.Sort(keys)
	return slices.Compact(keys)
}

// otherSecrets says what to do where steps differ because a secret does.
func otherSecrets(saved, again *Plan) []string {
	texts := map[string]string{}
	for _, s := range again.Steps {
		resource.Secrets(s.Op.Target(), texts)
	}
	var out []string
	for _, s := range saved.Steps {
		if target := resource.Clone(s.Op.Target()); len(resource.Reveal(target, texts)) > 0 && hasClearSecret(again, s.ID) {
			out = append(out, fmt.Sprintf("%s: its secrets are not those that the plan was made with: give the sensitive variables the values they had, and images the same URLs; of an image with a checksum only the signature may be another", s.Addr))
		}
	}
	return slices.Compact(out)
}

// hasClearSecret tells whether the files give a step a secret: what is only recorded has none in clear.
func hasClearSecret(p *Plan, id string) bool {
	texts := map[string]string{}
	for _, s := range p.Steps {
		if s.ID == id {
			resource.Secrets(s.Op.Target(), texts)
		}
	}
	return len(texts) > 0
}

func joinPath(key, rest string) string {
	if rest == "." {
		return key
	}
	return key + "." + rest
}
