package view

import (
	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/planner"
)

// planFormat is the version of a plan's JSON form.
const planFormat = "2.0"

type planJSON struct {
	FormatVersion string           `json:"format_version"`
	Type          string           `json:"type"` // plan
	Lineage       string           `json:"lineage"`
	Serial        uint64           `json:"serial"`
	Empty         bool             `json:"empty"`
	Refused       bool             `json:"refused"`
	Summary       summaryJSON      `json:"summary"`
	Objects       []planObjectJSON `json:"objects"`
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

// changeJSON is what differs in one object, and what is done about it.
type changeJSON struct {
	Addr    string          `json:"addr"`
	From    string          `json:"moved_from,omitempty"`
	Kind    string          `json:"kind"`
	Name    string          `json:"name"`
	Host    string          `json:"host,omitempty"`
	Actions []string        `json:"actions"` // in the order they are done in
	Impact  drivers.Impact  `json:"impact"`
	Cause   string          `json:"cause"`
	Fields  []fieldJSON     `json:"fields"`
	Range   *resource.Range `json:"range,omitempty"`
}

type planObjectJSON struct {
	changeJSON
	Loses           []string       `json:"loses"`
	Keeps           []string       `json:"keeps"`
	Before          map[string]any `json:"before"`
	After           map[string]any `json:"after"`
	BeforeSensitive []string       `json:"before_sensitive"` // paths
	AfterSensitive  []string       `json:"after_sensitive"`
}

// fieldJSON is a field's change, with values in the types of JSON; null when not set or sensitive.
type fieldJSON struct {
	Path      string          `json:"path"`
	Before    any             `json:"before"`
	After     any             `json:"after"`
	Sensitive bool            `json:"sensitive"`
	Impact    drivers.Impact  `json:"impact"`
	Note      string          `json:"note,omitempty"`
	Range     *resource.Range `json:"range,omitempty"`
}

type stepJSON struct {
	ID        string         `json:"id"`
	Verb      string         `json:"verb"`
	Addr      string         `json:"addr"`
	Host      string         `json:"host,omitempty"`
	Cause     string         `json:"cause"`
	DependsOn []string       `json:"depends_on"`
	Rescue    []string       `json:"rescue"`
	Impact    drivers.Impact `json:"impact"`
	Loses     []string       `json:"loses"`
}

// JSON prints the plan as one line of JSON.
func (v *PlanView) JSON() error {
	p := v.plan
	out := planJSON{
		FormatVersion: planFormat, Type: "plan", Lineage: p.Lineage, Serial: p.Serial, Empty: p.Empty(), Refused: p.Refused(),
		Summary: v.summaryJSON(), Objects: planObjects(p), Drift: changesJSON(p.Drift), Pending: changesJSON(p.Pending),
		Steps: make([]stepJSON, len(p.Steps)), Diagnostics: diagnosticList(FindingDiagnostics(p.Findings), v.files),
	}
	for i, s := range p.Steps {
		out.Steps[i] = stepJSON{
			ID: s.ID, Verb: s.Op.Verb(), Addr: s.Addr.String(), Host: s.Host, Cause: s.Cause,
			DependsOn: list(s.DependsOn), Rescue: list(s.Rescue), Impact: s.Impact, Loses: list(s.Loses),
		}
	}
	for i, f := range p.Findings {
		out.Diagnostics[i].Addr, out.Diagnostics[i].Path = f.Addr.String(), f.Path
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

// planObjects are the objects of the plan, those that it leaves alone behind those that change.
func planObjects(p *planner.Plan) []planObjectJSON {
	out := make([]planObjectJSON, 0, len(p.Changes)+len(p.Unchanged))
	for _, changes := range [][]planner.Change{p.Changes, p.Unchanged} {
		for i := range changes {
			c := &changes[i]
			o := planObjectJSON{changeJSON: formOfChange(c), Loses: list(c.Loses), Keeps: list(c.Keeps)}
			var before, after []string
			o.Before, before = resource.Plain(c.Before.Resource)
			o.After, after = resource.Plain(c.After.Resource)
			o.BeforeSensitive, o.AfterSensitive = list(before), list(after)
			out = append(out, o)
		}
	}
	return out
}

func changesJSON(changes []planner.Change) []changeJSON {
	out := make([]changeJSON, len(changes))
	for i := range changes {
		out[i] = formOfChange(&changes[i])
	}
	return out
}

func formOfChange(c *planner.Change) changeJSON {
	j := changeJSON{
		Addr: c.Addr.String(), From: c.MovedFrom.String(), Kind: string(c.Kind), Name: c.Name, Host: c.Host, Actions: actionsOf(c),
		Impact: c.Impact, Cause: c.Cause, Fields: make([]fieldJSON, len(c.Fields)), Range: c.Range,
	}
	for i, f := range c.Fields {
		j.Fields[i] = fieldJSON{
			Path: f.Path, Before: f.Old.Plain(), After: f.New.Plain(), Sensitive: f.Sensitive(), Impact: f.Impact, Note: f.Note, Range: f.Range,
		}
	}
	return j
}

// actionsOf is what is done to an object as a whole and to its power.
func actionsOf(c *planner.Change) []string {
	action := string(c.Action)
	switch {
	case c.Power == "" || c.Power == action:
		return []string{action}
	case c.Power == "stop" && c.Action == planner.ActionDelete:
		return []string{c.Power, action}
	}
	return []string{action, c.Power}
}

// list gives an empty list for none, which is easier on readers than null.
func list(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}
