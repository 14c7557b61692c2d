package planner

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
)

// Verify tells what in has changed since p was made: the state, the files, or a live object that a step is about.
// Nothing means that New makes the same plan again, unless the file was edited: see Differences.
func Verify(p *Plan, in Input) []string {
	var changed []string
	if in.State.Lineage != p.Lineage {
		return []string{fmt.Sprintf("the plan is of another project (lineage %s, not %s)", p.Lineage, in.State.Lineage)}
	}
	if in.State.Serial != p.Serial {
		changed = append(changed, fmt.Sprintf("the state was changed since the plan (serial %d → %d)", p.Serial, in.State.Serial))
	}
	if in.Version != p.Version {
		changed = append(changed, fmt.Sprintf("the plan was made by vmplan %s, and this is %s", p.Version, in.Version))
	}
	if in.ConfigHash != p.Config {
		changed = append(changed, "the files were changed since the plan")
	}
	for _, name := range slices.Sorted(maps.Keys(in.Variables)) {
		if p.Options.Destroy {
			break // what goes is in the state, whatever the files say
		}
		if was := cmp.Or(p.Variables[name], "not set"); was != in.Variables[name] {
			changed = append(changed, fmt.Sprintf("var.%s is %s, and was %s when the plan was made", name, in.Variables[name], was))
		}
	}
	for _, t := range p.Touched {
		h, ok := in.Hosts[t.Host]
		if !ok || h.Observed == nil {
			changed = append(changed, fmt.Sprintf("%s: host %q is not there since the plan", t.Addr, t.Host))
			continue
		}
		live := h.Observed.Objects[t.Key]
		now := touched(t.Addr, location{t.Host, t.Key}, live)
		if live != nil {
			now.Snapshots = live.Snapshots
		}
		changed = append(changed, t.changed(now)...)
	}
	return changed
}

// changed tells how the object differs from what it was when the plan was made.
func (t *Touched) changed(now Touched) []string {
	was, is := t.Object.Resource, now.Object.Resource
	switch {
	case was == nil && is == nil:
		return nil
	case was == nil:
		return []string{fmt.Sprintf("%s: %s was created since the plan", t.Addr, t.Key)}
	case is == nil:
		return []string{fmt.Sprintf("%s: %s was deleted since the plan", t.Addr, t.Key)}
	case was.Kind() != is.Kind():
		return []string{fmt.Sprintf("%s: %s is a %s and was a %s when the plan was made", t.Addr, t.Key, is.Kind(), was.Kind())}
	}
	defined := hostChanges(resource.Diff(was, is))
	out := changedFields(t.Addr, "", defined)
	if was, is := t.Running.Resource, now.Running.Resource; was != nil && is != nil && was.Kind() == is.Kind() {
		guest := slices.DeleteFunc(hostChanges(resource.Diff(was, is)), func(c resource.Change) bool {
			return slices.ContainsFunc(defined, func(d resource.Change) bool { return d.Path == c.Path })
		})
		out = append(out, changedFields(t.Addr, " of the running guest", guest)...)
	}
	if t.Power != now.Power {
		out = append(out, fmt.Sprintf("%s: power %s → %s since the plan", t.Addr, t.Power, now.Power))
	}
	if !sameMark(t.Mark, now.Mark) {
		out = append(out, fmt.Sprintf("%s: its ownership mark was changed since the plan", t.Addr))
	}
	return append(out, t.changedSnapshots(now)...)
}

// changedSnapshots tells which snapshots came and went, of a vm whose snapshots the plan is about.
func (t *Touched) changedSnapshots(now Touched) []string {
	if t.Snapshots == nil {
		return nil
	}
	var out []string
	report := func(list, other []drivers.SnapshotInfo, how string) {
		for _, s := range list {
			same := func(o drivers.SnapshotInfo) bool { return o.Name == s.Name && o.Created.Equal(s.Created) }
			if !slices.ContainsFunc(other, same) {
				out = append(out, fmt.Sprintf("%s: snapshot %s was %s since the plan", t.Addr, s.Name, how))
			}
		}
	}
	report(t.Snapshots, now.Snapshots, "deleted")
	report(now.Snapshots, t.Snapshots, "taken")
	return out
}

func changedFields(addr resource.Addr, of string, changes []resource.Change) []string {
	var out []string
	for _, c := range changes {
		for _, f := range fieldChanges(c, drivers.ImpactRecord, "") {
			out = append(out, fmt.Sprintf("%s: %s%s %s → %s since the plan", addr, f.Path, of, f.Old, f.New))
		}
	}
	return out
}

func sameMark(a, b *drivers.Mark) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}
