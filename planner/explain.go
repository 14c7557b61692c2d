package planner

import (
	"slices"
	"strings"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/state"
)

// Explanation is all that a plan and what it was made from tell of one object.
type Explanation struct {
	Addr     resource.Addr
	Kind     resource.Kind
	Name     string // on the host
	Host     string
	Desired  bool         // it is in the files
	Recorded state.Status // empty when it is not
	Live     bool         // it is on the host
	Power    drivers.Power
	Change   *Change // nil when there is nothing to do
	Drift    *Change
	Pending  *Change
	Steps    []Step // those of the plan that are about it
	Findings []Finding
	Fields   []FieldExplain
}

// FieldExplain is a field of the object in all its versions; zero where it is not set.
type FieldExplain struct {
	Path     string
	Desired  resource.Value
	Recorded resource.Value
	Defined  resource.Value  // on the host, persistently
	Running  resource.Value  // what a running guest has, where it can differ from its definition
	Local    bool            // only vmplan uses it; hosts have no place for it
	Differs  bool            // the plan, or the next start of the guest, changes it
	Impact   *drivers.Impact // of what differs
	Note     string
	Call     string // what is called on the host
}

// Explain tells of the object at a in the plan made from in: of its field path, or of the block path, or with the empty path
// of all that is set. ok is false when neither the files nor the state have the object.
func Explain(in Input, p *Plan, a resource.Addr, path string) (e Explanation, ok bool) {
	v := versionsOf(in, a)
	model := v.desired
	if model == nil {
		model = v.recorded
	}
	if model == nil {
		return e, false
	}
	e = Explanation{
		Addr: a, Kind: model.Kind(), Name: nameOf(model), Host: model.Base().Host, Desired: v.desired != nil, Recorded: v.status,
		Change: changeOf(p.Changes, a), Drift: changeOf(p.Drift, a), Pending: changeOf(p.Pending, a),
	}
	if v.live != nil {
		e.Live, e.Power = true, v.live.Power
	}
	for _, s := range p.Steps {
		if s.Addr == a {
			e.Steps = append(e.Steps, s)
		}
	}
	for _, f := range p.Findings {
		if f.Addr == a && (path == "" || f.Path == path) {
			e.Findings = append(e.Findings, f)
		}
	}
	e.Fields = v.fields(path)
	for i := range e.Fields {
		e.Fields[i].weigh(v, &e)
	}
	return e, true
}

func changeOf(list []Change, a resource.Addr) *Change {
	if i := slices.IndexFunc(list, func(c Change) bool { return c.Addr == a }); i >= 0 {
		return &list[i]
	}
	return nil
}

// versions are what is wanted of an object, what was applied and what there is.
type versions struct {
	desired, recorded resource.Resource // normalised; nil when there is none
	status            state.Status
	live              *drivers.Object
	impacts           map[string]drivers.FieldImpact // of what differs from live
}

func versionsOf(in Input, a resource.Addr) versions {
	var v versions
	normal := func(r resource.Resource) resource.Resource {
		h, ok := in.Hosts[r.Base().Host]
		if !ok {
			return r
		}
		if n, err := h.Rules.Normalize(r); err == nil {
			return n
		}
		return r
	}
	at := a
	for _, m := range in.Moves {
		if m.To == a.Owner() && in.State.Records[m.From] != nil {
			at = m.From.WithPart(a.Part)
		}
	}
	if r := in.Desired.Get(a); r != nil {
		v.desired = normal(r)
	}
	if rec := in.State.Records[at]; rec != nil {
		v.recorded, v.status = normal(rec.Object), rec.Status
	}
	for _, r := range []resource.Resource{v.recorded, v.desired} {
		if r == nil || v.live != nil {
			continue
		}
		if h, ok := in.Hosts[r.Base().Host]; ok {
			v.live = h.Observed.Objects[resource.Key(r)]
		}
	}
	if v.live != nil && v.live.Resource.Kind() != v.model().Kind() {
		v.live = nil
	}
	if v.live != nil && v.desired != nil {
		before, after := resource.Overlay(v.desired, v.recorded, v.live.Resource)
		v.impacts = impactsByPath(in.Hosts[v.desired.Base().Host].Rules.Impact(before, after))
	}
	return v
}

func (v *versions) model() resource.Resource {
	if v.desired != nil {
		return v.desired
	}
	return v.recorded
}

// fields lists the fields that path selects, of all versions, in schema order of the first that has them.
func (v *versions) fields(path string) []FieldExplain {
	out := []FieldExplain{}
	add := func(r resource.Resource, to func(*FieldExplain) *resource.Value, new bool) {
		if r == nil {
			return
		}
		for _, f := range resource.Fields(r) {
			if path != "" && f.Path != path && !strings.HasPrefix(f.Path, path+".") || f.Class == resource.ClassInput {
				continue
			}
			i := slices.IndexFunc(out, func(e FieldExplain) bool { return e.Path == f.Path })
			if i < 0 {
				if !new {
					continue
				}
				i = len(out)
				out = append(out, FieldExplain{Path: f.Path, Local: f.Class == resource.ClassLocal})
			}
			*to(&out[i]) = resource.ValueOf(f.Value)
		}
	}
	add(v.desired, func(e *FieldExplain) *resource.Value { return &e.Desired }, true)
	add(v.recorded, func(e *FieldExplain) *resource.Value { return &e.Recorded }, true)
	if v.live != nil {
		add(v.live.Resource, func(e *FieldExplain) *resource.Value { return &e.Defined }, path != "")
		add(v.live.Running, func(e *FieldExplain) *resource.Value { return &e.Running }, path != "")
	}
	return out
}

// weigh says what the plan does about the field: what it says itself counts first, then what the host's rules say.
func (f *FieldExplain) weigh(v versions, e *Explanation) {
	within := func(outer string) bool { return f.Path == outer || strings.HasPrefix(f.Path, outer+".") }
	for _, c := range []*Change{e.Pending, e.Change} {
		if c == nil || c.Action == ActionCreate || c.Action == ActionDelete {
			continue
		}
		for _, fc := range c.Fields {
			if within(fc.Path) {
				f.Differs, f.Impact, f.Note = true, &fc.Impact, fc.Note
			}
		}
	}
	for path, i := range v.impacts {
		if !within(path) || !f.Differs {
			continue
		}
		f.Call = i.Call
		if f.Note == "" {
			f.Note = i.Note
		}
	}
}
