package view

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"vmplan.dev/vmplan/config"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/planner"
)

// ExplanationView is an explanation about to be printed.
type ExplanationView struct {
	printer *Printer
	e       planner.Explanation
	path    string // of the field asked for; empty: the whole object
	config  *config.Config
}

// Explanation prepares e for printing. path is the field that was asked for, empty for the object.
func (p *Printer) Explanation(e planner.Explanation, path string, c *config.Config) *ExplanationView {
	return &ExplanationView{p, e, path, c}
}

// placeText is "main.hcl:12"; empty for no place.
func placeText(r hcl.Range) string {
	if r.Empty() {
		return ""
	}
	return r.Filename + ":" + strconv.Itoa(r.Start.Line)
}

// origin says where the field's desired value comes from: a place in the files, or a default and its place.
func (v *ExplanationView) origin(f planner.FieldExplain) string {
	if f.Desired.IsZero() {
		return ""
	}
	text, at := v.config.Origin(v.e.Addr, f.Path)
	if text == "" {
		at, _ = v.config.Sources.Range(v.e.Addr, f.Path)
		return placeText(at)
	}
	return strings.TrimSpace(text + " " + placeText(at))
}

// place is where the object is in the files.
func (v *ExplanationView) place() string {
	if !v.e.Desired {
		return ""
	}
	r, _ := v.config.Sources.Range(v.e.Addr, "")
	return placeText(r)
}

// appliance says by which appliance the object is described, and for which instance of it.
func (v *ExplanationView) appliance() string {
	u, ok := v.config.Usage(v.e.Addr)
	switch {
	case !ok || !v.e.Desired:
		return ""
	case u.Instance == "":
		return fmt.Sprintf("%s %s, shared by its instances", u.Appliance, placeText(u.ApplianceAt))
	}
	return fmt.Sprintf("%s %s, for %s %s", u.Appliance, placeText(u.ApplianceAt), u.Instance, placeText(u.InstanceAt))
}

// Text prints it for people.
func (v *ExplanationView) Text() error {
	var b strings.Builder
	if v.path == "" {
		v.writeObject(&b)
	} else {
		for i, f := range v.e.Fields {
			if i > 0 {
				b.WriteString("\n")
			}
			v.writeField(&b, f)
		}
	}
	for _, f := range v.e.Findings {
		fmt.Fprintf(&b, "  %s: %s: %s\n", f.Severity, f.Summary, clean(f.Detail))
	}
	_, err := fmt.Fprint(v.printer.Out, b.String())
	return err
}

func (v *ExplanationView) head(b *strings.Builder, text, place string) {
	b.WriteString(v.printer.style.bold(clean(text)))
	if place != "" {
		b.WriteString("  " + v.printer.style.dim(clean(place)))
	}
	b.WriteString("\n")
}

func (v *ExplanationView) writeObject(b *strings.Builder) {
	v.head(b, v.e.Addr.String(), v.place())
	rows := []property{{"object", v.whereabouts()}}
	if from := v.appliance(); from != "" {
		rows = append(rows, property{"from", from})
	}
	switch c := v.e.Change; {
	case c == nil && v.e.Pending == nil:
		rows = append(rows, property{"plan", "nothing to do"})
	case c != nil:
		rows = append(rows, property{"plan", v.action(c)}, property{"cause", c.Cause})
		for _, l := range c.Loses {
			rows = append(rows, property{"loses", l})
		}
		for _, k := range c.Keeps {
			rows = append(rows, property{"keeps", k})
		}
	}
	for _, s := range v.e.Steps {
		text := s.ID
		if len(s.DependsOn) > 0 {
			text += "  (after " + strings.Join(s.DependsOn, ", ") + ")"
		}
		rows = append(rows, property{"step", text})
	}
	v.writeProperties(b, rows)
	for _, f := range v.e.Fields {
		if f.Differs {
			b.WriteString("\n")
			v.writeField(b, f)
		}
	}
	if d := v.e.Drift; d != nil {
		b.WriteString("\n")
		v.writeProperties(b, []property{{"drift", clean(d.Cause)}})
		for _, f := range d.Fields {
			v.writeProperties(b, []property{{"", fmt.Sprintf("%s: %s → %s", f.Path, f.Old, f.New)}})
		}
	}
}

// whereabouts says what the object is and where it is known.
func (v *ExplanationView) whereabouts() string {
	text := fmt.Sprintf("%s %q", v.e.Kind, v.e.Name)
	if v.e.Host != "" {
		text += " on " + v.e.Host
	}
	var known []string
	if !v.e.Desired {
		known = append(known, "not in the files")
	}
	if v.e.Recorded == "" {
		known = append(known, "not recorded")
	} else if v.e.Recorded != "ready" {
		known = append(known, "recorded as "+string(v.e.Recorded))
	}
	switch {
	case !v.e.Live:
		known = append(known, "not on the host")
	case v.e.Kind == "vm":
		known = append(known, "power "+string(v.e.Power))
	}
	if len(known) > 0 {
		text += ": " + strings.Join(known, ", ")
	}
	return text
}

func (v *ExplanationView) action(c *planner.Change) string {
	text := wordOf(c.Action)
	if c.Power != "" && c.Power != string(c.Action) {
		text += " and " + c.Power
	}
	return fmt.Sprintf("%s (%s)", text, impactText(c.Impact))
}

func (v *ExplanationView) writeField(b *strings.Builder, f planner.FieldExplain) {
	v.head(b, v.e.Addr.String()+"."+f.Path, "")
	files := f.Desired.String()
	if at := v.origin(f); at != "" {
		files += "  (" + at + ")"
	}
	rows := []property{{"files", files}, {"recorded", f.Recorded.String()}}
	if !f.Local && v.e.Live {
		rows = append(rows, property{"defined", f.Defined.String()})
		if v.e.Power == drivers.PowerOn || v.e.Power == drivers.PowerPaused {
			rows = append(rows, property{"running", f.Running.String()})
		}
	}
	if f.Impact != nil {
		text := impactText(*f.Impact)
		if f.Note != "" {
			text += ": " + f.Note
		}
		rows = append(rows, property{"impact", text})
	}
	if f.Call != "" {
		rows = append(rows, property{"call", f.Call})
	}
	if !f.Differs {
		rows = append(rows, property{"plan", "nothing to do"})
	}
	v.writeProperties(b, rows)
}

// propertyWidth is that of the widest name of an explanation's properties.
const propertyWidth = 8

func (v *ExplanationView) writeProperties(b *strings.Builder, rows []property) {
	for _, r := range rows {
		b.WriteString(flow(v.printer.Width, "  "+pad(r.name, propertyWidth)+"  ", strings.Repeat(" ", propertyWidth+4), span{text: clean(r.value)}))
	}
}
