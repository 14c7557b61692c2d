package view

import (
	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/planner"
	"vmplan.dev/vmplan/state"
)

type explanationJSON struct {
	FormatVersion string             `json:"format_version"`
	Type          string             `json:"type"` // explanation
	Addr          string             `json:"addr"`
	Kind          string             `json:"kind"`
	Name          string             `json:"name"`
	Host          string             `json:"host,omitempty"`
	Desired       bool               `json:"desired"`
	Recorded      state.Status       `json:"recorded,omitempty"`
	Live          bool               `json:"live"`
	Power         drivers.Power      `json:"power,omitempty"`
	Place         string             `json:"place,omitempty"`
	Appliance     string             `json:"appliance,omitempty"`
	Change        *changeJSON        `json:"change"`
	Drift         *changeJSON        `json:"drift"`
	Pending       *changeJSON        `json:"pending"`
	Steps         []string           `json:"steps"`
	Fields        []fieldExplainJSON `json:"fields"`
	Diagnostics   []diagnosticJSON   `json:"diagnostics"`
}

// fieldExplainJSON is a field in all its versions, in the types of JSON; null when not set or sensitive.
type fieldExplainJSON struct {
	Path      string          `json:"path"`
	Desired   any             `json:"desired"`
	Recorded  any             `json:"recorded"`
	Defined   any             `json:"defined"`
	Running   any             `json:"running"`
	Sensitive bool            `json:"sensitive"`
	Local     bool            `json:"local"`
	Differs   bool            `json:"differs"`
	Impact    *drivers.Impact `json:"impact,omitempty"`
	Note      string          `json:"note,omitempty"`
	Call      string          `json:"call,omitempty"`
	Origin    string          `json:"origin,omitempty"`
}

// JSON prints the explanation as one object.
func (v *ExplanationView) JSON() error {
	e := v.e
	out := explanationJSON{
		FormatVersion: planFormat, Type: "explanation", Addr: e.Addr.String(), Kind: string(e.Kind), Name: e.Name, Host: e.Host,
		Desired: e.Desired, Recorded: e.Recorded, Live: e.Live, Power: e.Power, Place: v.place(), Appliance: v.appliance(),
		Change: changeForm(e.Change), Drift: changeForm(e.Drift), Pending: changeForm(e.Pending), Steps: []string{},
		Fields: make([]fieldExplainJSON, len(e.Fields)), Diagnostics: diagnosticList(FindingDiagnostics(e.Findings), nil),
	}
	for _, s := range e.Steps {
		out.Steps = append(out.Steps, s.ID)
	}
	for i, f := range e.Fields {
		out.Fields[i] = fieldExplainJSON{
			Path: f.Path, Desired: f.Desired.Plain(), Recorded: f.Recorded.Plain(), Defined: f.Defined.Plain(), Running: f.Running.Plain(),
			Sensitive: anySecret(f.Desired, f.Recorded, f.Defined, f.Running), Local: f.Local, Differs: f.Differs,
			Impact: f.Impact, Note: f.Note, Call: f.Call, Origin: v.origin(f),
		}
	}
	for i, f := range e.Findings {
		out.Diagnostics[i].Addr, out.Diagnostics[i].Path = f.Addr.String(), f.Path
	}
	return v.printer.JSON(out)
}

func changeForm(c *planner.Change) *changeJSON {
	if c == nil {
		return nil
	}
	j := formOfChange(c)
	return &j
}

func anySecret(values ...resource.Value) bool {
	for _, v := range values {
		if v.IsSecret() {
			return true
		}
	}
	return false
}
