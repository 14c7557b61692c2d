package view

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"vmplan.dev/vmplan/config"
)

type outputJSON struct {
	Sensitive bool   `json:"sensitive"`
	Type      string `json:"type"`
	Known     bool   `json:"known"`
	Value     any    `json:"value"` // null for a sensitive one
}

// Outputs prints outputs as "name = value", or with asJSON as one object by name. Sensitive values are hidden.
func (p *Printer) Outputs(outputs []config.Output, asJSON bool) error {
	if asJSON {
		return p.JSON(outputForms(outputs))
	}
	var b strings.Builder
	for _, o := range outputs {
		text := "(sensitive)"
		if !o.Sensitive {
			text = valueText(o.Value, o.Known, "")
		}
		fmt.Fprintf(&b, "%s = %s\n", o.Name, text)
	}
	_, err := fmt.Fprint(p.Out, b.String())
	return err
}

func outputForms(outputs []config.Output) map[string]outputJSON {
	out := map[string]outputJSON{}
	for _, o := range outputs {
		j := outputJSON{Sensitive: o.Sensitive, Type: o.Type, Known: o.Known}
		if !o.Sensitive {
			j.Value = o.Value
		}
		out[o.Name] = j
	}
	return out
}

type outputsLine struct {
	Type    string                `json:"type"` // outputs
	Outputs map[string]outputJSON `json:"outputs"`
}

// ResultingOutputs prints outputs as the end of an apply: under a heading, or with asJSON as the last of its lines.
func (p *Printer) ResultingOutputs(outputs []config.Output, asJSON bool) error {
	if asJSON {
		return p.JSON(outputsLine{Type: "outputs", Outputs: outputForms(outputs)})
	}
	fmt.Fprintf(p.Out, "\n%s\n\n", p.style.bold("Outputs:"))
	return p.Outputs(outputs, false)
}

// Output prints the value of one output. A sensitive one is printed only with asJSON or raw, as then it is asked for.
func (p *Printer) Output(o config.Output, asJSON, raw bool) error {
	switch {
	case asJSON:
		return p.JSON(o.Value)
	case raw:
		switch o.Value.(type) {
		case string, json.Number, bool:
			_, err := fmt.Fprint(p.Out, o.Value)
			return err
		case nil:
			return fmt.Errorf("output %s: it has no value now", o.Name)
		}
		return fmt.Errorf("output %s: --raw prints texts, numbers and bools; this is of type %s: use --json", o.Name, o.Type)
	case o.Sensitive:
		return fmt.Errorf("output %s is sensitive: print it with --raw or --json", o.Name)
	}
	_, err := fmt.Fprintln(p.Out, valueText(o.Value, o.Known, ""))
	return err
}

// valueText writes a value as the language would. What is nil is null, or not known when part of the value is.
func valueText(v any, known bool, indent string) string {
	in := indent + "  "
	var b strings.Builder
	switch v := v.(type) {
	case nil:
		if known {
			return "null"
		}
		return "(not known)"
	case string:
		if lines := strings.TrimSuffix(v, "\n"); strings.Contains(lines, "\n") {
			return "<<-EOT\n" + in + strings.ReplaceAll(clean(lines), "\n", "\n"+in) + "\n" + indent + "EOT"
		}
		return fmt.Sprintf("%q", v)
	case []any:
		if len(v) == 0 {
			return "[]"
		}
		b.WriteString("[\n")
		for _, e := range v {
			fmt.Fprintf(&b, "%s%s,\n", in, valueText(e, known, in))
		}
		b.WriteString(indent + "]")
		return b.String()
	case map[string]any:
		if len(v) == 0 {
			return "{}"
		}
		b.WriteString("{\n")
		for _, k := range slices.Sorted(maps.Keys(v)) {
			fmt.Fprintf(&b, "%s%q = %s\n", in, k, valueText(v[k], known, in))
		}
		b.WriteString(indent + "}")
		return b.String()
	}
	return fmt.Sprint(v)
}
