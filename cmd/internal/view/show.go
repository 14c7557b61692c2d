package view

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/state"
)

// property is a line of an object's description.
type property struct{ name, value string }

// Objects prints objects at length: what is recorded, and what differs on the host.
func (p *Printer) Objects(objects []Object, asJSON bool) error {
	if asJSON {
		forms := []objectJSON{}
		for _, o := range objects {
			forms = append(forms, o.json())
		}
		return p.JSON(forms)
	}
	if len(objects) == 0 {
		fmt.Fprintln(p.Err, "Nothing is recorded.")
		return nil
	}
	var b strings.Builder
	for i, o := range objects {
		if i > 0 {
			b.WriteString("\n")
		}
		p.describe(&b, o.Record, append(o.liveProperties(), recordedProperties(o.Record)...))
	}
	_, err := fmt.Fprint(p.Out, b.String())
	return err
}

// RecordDetails prints recorded objects at length.
func (p *Printer) RecordDetails(records []*state.Record, asJSON bool) error {
	if asJSON {
		return p.recordList(records)
	}
	var b strings.Builder
	for i, r := range records {
		if i > 0 {
			b.WriteString("\n")
		}
		p.describe(&b, r, recordedProperties(r))
	}
	_, err := fmt.Fprint(p.Out, b.String())
	return err
}

func (p *Printer) describe(b *strings.Builder, r *state.Record, props []property) {
	m := r.Object.Base()
	head := fmt.Sprintf("%s %q", r.Object.Kind(), nameOf(r.Object))
	if m.Host != "" {
		head += " on " + m.Host
	}
	if r.Status != state.StatusReady {
		head += ", " + string(r.Status)
	}
	fmt.Fprintf(b, "%s: %s\n", p.style.bold(clean(m.Addr.String())), clean(head))
	w := 0
	for _, pr := range props {
		if n := width(pr.name); n <= widestPath && (p.Width <= 0 || n <= p.Width/3) {
			w = max(w, n)
		}
	}
	for _, pr := range props {
		in := "  " + pad(pr.name, w) + "  "
		b.WriteString(flow(p.Width, in, strings.Repeat(" ", w+4), span{text: clean(pr.value)}))
	}
}

// recordedProperties are the recorded fields, less what the head says.
func recordedProperties(r *state.Record) []property {
	var out []property
	for _, f := range resource.Fields(r.Object) {
		if f.Path != "name" && f.Path != "host" {
			out = append(out, property{f.Path, resource.Format(f.Value)})
		}
	}
	if len(r.DependsOn) > 0 {
		out = append(out, property{"made after", resource.Format(r.DependsOn)})
	}
	return out
}

// liveProperties are what only the host knows, and the fields that differ from the record.
func (o Object) liveProperties() []property {
	l := o.Live
	if l == nil {
		return []property{{"on the host", "absent"}}
	}
	var out []property
	switch o.Record.Object.Kind() {
	case resource.KindVM:
		out = append(out, property{"power", string(l.Power)})
	case resource.KindPool, resource.KindNetwork:
		out = append(out, property{"active", fmt.Sprint(l.Power == drivers.PowerOn)})
	}
	for _, nic := range slices.Sorted(maps.Keys(l.Addresses)) {
		out = append(out, property{"address on " + nic, strings.Join(l.Addresses[nic], ", ")})
	}
	if l.Path != "" {
		out = append(out, property{"path", l.Path})
	}
	if l.Capacity > 0 {
		out = append(out, property{"capacity", fmt.Sprintf("%s, %s free", l.Capacity, l.Free)})
	}
	if len(l.Users) > 0 {
		out = append(out, property{"used by", strings.Join(userNames(l.Users), ", ")})
	}
	return append(out, differences(o.Record.Object, l)...)
}

// differences lists the recorded host fields that are something else now.
func differences(recorded resource.Resource, l *drivers.Object) []property {
	var out []property
	before, after := resource.Overlay(recorded, recorded, l.Resource)
	for _, c := range resource.Diff(before, after) {
		out = append(out, property{"now " + c.Path, resource.Format(c.Old)})
	}
	return out
}

// userNames are keys of objects ("vm/web", "volume/default/web.qcow2") as people read them.
func userNames(keys []string) []string {
	var out []string
	for _, key := range keys {
		out = append(out, strings.Replace(key, "/", " ", 1))
	}
	return out
}
