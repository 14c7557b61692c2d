package view

import (
	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/planner"
)

type planJSON struct {
	FormatVersion string           `json:"format_version"`
	Type          string           `json:"type"` // plan
	Lineage       string           `json:"lineage"`
	Serial        uint64           `json:"serial"`
	Empty         bool             `json:"empty"`
	Refused       bool             `json:"refused"`
	Summary       summaryJSON      `json:"summary"`
	Changes       []changeJSON     `json:"changes"`
	Drift         []changeJSON     `json:"drift"`
	Pending       []changeJSON     `json:"pending"`
	Steps         []stepJSON       `json:"steps"`
	Diagnostics   []diagnosticJSON `json:"diagnostics"`
}

type summaryJSON struct {
	Text          string                 `json:"text"`
	Actions       map[planner.Action]int `json:"actions"`
	Impacts       map[string]int         `json:"impacts"`
	Restarts      []string               `json:"restarts"`
	DisksLost     int                    `json:"disks_lost"`
	DownloadBytes int64                  `json:"download_bytes"`
	DownloadKnown bool                   `json:"download_known"`
}

type changeJSON struct {
	Addr   string         `json:"addr"`
	From   string         `json:"moved_from,omitempty"`
	Kind   string         `json:"kind"`
	Name   string         `json:"name"`
	Host   string         `json:"host,omitempty"`
	Action planner.Action `json:"action"`
	Impact drivers.Impact `json:"impact"`
	Power  string         `json:"power,omitempty"`
	Cause  string         `json:"cause"`
	Fields []fieldJSON    `json:"fields"`
	Loses  []string       `json:"loses"`
	Keeps  []string       `json:"keeps"`
	Range  *rangeJSON     `json:"range,omitempty"`
}

// fieldJSON is a field's change. Old and New are texts for people; those of a sensitive field are left out.
type fieldJSON struct {
	Path      string         `json:"path"`
	Old       string         `json:"old,omitempty"`
	New       string         `json:"new,omitempty"`
	Impact    drivers.Impact `json:"impact"`
	Note      string         `json:"note,omitempty"`
	Sensitive bool           `json:"sensitive,omitempty"`
	Range     *rangeJSON     `json:"range,omitempty"`
}

type stepJSON struct {
	ID        string         `json:"id"`
	Op        string         `json:"op"`
	Addr      string         `json:"addr"`
	Host      string         `json:"host,omitempty"`
	Cause     string         `json:"cause"`
	DependsOn []string       `json:"depends_on"`
	Rescue    []string       `json:"rescue,omitempty"`
	Impact    drivers.Impact `json:"impact"`
	Loses     []string       `json:"loses"`
}

// JSON prints the plan as one line of JSON.
func (v *PlanView) JSON() error {
	p := v.plan
	out := planJSON{
		FormatVersion: formatVersion, Type: "plan", Lineage: p.Lineage, Serial: p.Serial, Empty: p.Empty(), Refused: p.Refused(),
		Summary: v.summaryJSON(), Changes: v.changesJSON(p.Changes), Drift: v.changesJSON(p.Drift),
		Pending: v.changesJSON(p.Pending), Steps: []stepJSON{},
		Diagnostics: []diagnosticJSON{},
	}
	for _, s := range p.Steps {
		out.Steps = append(out.Steps, stepJSON{
			ID: s.ID, Op: s.Op.Verb(), Addr: s.Addr.String(), Host: s.Host, Cause: s.Cause,
			DependsOn: list(s.DependsOn), Rescue: s.Rescue, Impact: s.Impact, Loses: list(s.Loses),
		})
	}
	for i, d := range diagnosticList(FindingDiagnostics(p.Findings, v.src), nil) {
		d.Addr, d.Path = p.Findings[i].Addr.String(), p.Findings[i].Path
		out.Diagnostics = append(out.Diagnostics, d)
	}
	return v.printer.JSON(out)
}

func (v *PlanView) summaryJSON() summaryJSON {
	s := summaryJSON{
		Text: v.counts.String(), Actions: v.counts.actions, Impacts: map[string]int{}, Restarts: []string{},
		DisksLost: v.counts.lost, DownloadBytes: v.downloads.total, DownloadKnown: v.downloads.unknown == 0,
	}
	for i, n := range v.counts.impacts {
		s.Impacts[i.String()] = n
	}
	for _, a := range v.counts.restarts {
		s.Restarts = append(s.Restarts, a.String())
	}
	return s
}

func (v *PlanView) changesJSON(changes []planner.Change) []changeJSON {
	out := []changeJSON{}
	for i := range changes {
		c := &changes[i]
		j := changeJSON{
			Addr: c.Addr.String(), From: c.MovedFrom.String(), Kind: string(c.Kind), Name: c.Name, Host: c.Host, Action: c.Action, Impact: c.Impact,
			Power: c.Power, Cause: c.Cause, Fields: []fieldJSON{}, Loses: list(c.Loses), Keeps: list(c.Keeps),
		}
		if r, ok := rangeOf(v.src, c.Addr, ""); ok {
			j.Range = rangeForm(r)
		}
		for _, f := range c.Fields {
			fj := fieldJSON{Path: f.Path, Impact: f.Impact, Note: f.Note, Sensitive: f.Sensitive()}
			if !fj.Sensitive {
				fj.Old, fj.New = textOf(f.Old), textOf(f.New)
			}
			if r, ok := rangeOf(v.src, c.Addr, f.Path); ok {
				fj.Range = rangeForm(r)
			}
			j.Fields = append(j.Fields, fj)
		}
		out = append(out, j)
	}
	return out
}

// textOf is the value for people; empty when it is not set.
func textOf(v resource.Value) string {
	if v.IsZero() {
		return ""
	}
	return v.String()
}

// list gives an empty list for none, which is easier on readers than null.
func list(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}
