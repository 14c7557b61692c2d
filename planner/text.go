package planner

import (
	"fmt"
	"strings"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
)

// String writes the plan compactly, for tests: changes, drift, pending, steps with what they wait for, findings.
func (p *Plan) String() string {
	var b strings.Builder
	for _, c := range p.Changes {
		writeChange(&b, "", c)
	}
	for _, c := range p.Drift {
		writeChange(&b, "drift: ", c)
	}
	for _, c := range p.Pending {
		writeChange(&b, "pending: ", c)
	}
	if len(p.Steps) > 0 {
		b.WriteString("steps:\n")
	}
	for _, s := range p.Steps {
		fmt.Fprintf(&b, "  %s", s.ID)
		if u, ok := s.Op.Op.(*drivers.Update); ok && u.Live {
			b.WriteString(" live")
		}
		fmt.Fprintf(&b, " [%s]", s.Impact)
		if len(s.DependsOn) > 0 {
			fmt.Fprintf(&b, " <- %s", strings.Join(s.DependsOn, ", "))
		}
		if len(s.Rescue) > 0 {
			fmt.Fprintf(&b, " if it fails: %s", strings.Join(s.Rescue, ", "))
		}
		b.WriteByte('\n')
	}
	for _, f := range p.Findings {
		fmt.Fprintf(&b, "%s: %s", f.Severity, f.Addr)
		if f.Path != "" {
			fmt.Fprintf(&b, ": %s", f.Path)
		}
		fmt.Fprintf(&b, ": %s\n  %s\n", f.Summary, f.Detail)
	}
	if b.Len() == 0 {
		return "nothing to do\n"
	}
	return b.String()
}

func writeChange(b *strings.Builder, prefix string, c Change) {
	fmt.Fprintf(b, "%s%s %s [%s] %s", prefix, c.Action, c.Addr, c.Impact, c.Cause)
	if c.Power != "" {
		fmt.Fprintf(b, "; power: %s", c.Power)
	}
	b.WriteByte('\n')
	if c.Action != ActionCreate && c.Action != ActionDelete {
		for _, f := range c.Fields {
			writeField(b, f)
		}
	}
	for _, l := range c.Loses {
		fmt.Fprintf(b, "  loses %s\n", l)
	}
	for _, k := range c.Keeps {
		fmt.Fprintf(b, "  keeps %s\n", k)
	}
}

func writeField(b *strings.Builder, f FieldChange) {
	orDash := func(v resource.Value) string {
		if v.IsZero() {
			return "-"
		}
		return v.String()
	}
	fmt.Fprintf(b, "  %s: %s -> %s [%s]", f.Path, orDash(f.Old), orDash(f.New), f.Impact)
	if f.Note != "" {
		fmt.Fprintf(b, " (%s)", f.Note)
	}
	b.WriteByte('\n')
}
