package planner

import (
	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
)

// Touched is a live object that steps of a plan are about, as the plan saw it. Fields that are not set were not there.
type Touched struct {
	Addr    resource.Addr    `json:"addr"`
	Host    string           `json:"host"`
	Key     string           `json:"key"`
	Object  resource.Encoded `json:"object"` // null: it was not on the host
	Running resource.Encoded `json:"running"`
	Power   drivers.Power    `json:"power,omitempty"`
	Mark    *drivers.Mark    `json:"mark,omitempty"`
}

// touch notes the live objects at all places that the steps are about.
func (p *planner) touch() {
	for _, o := range p.sorted {
		if len(o.steps) == 0 {
			continue
		}
		if o.at != (place{}) {
			p.plan.Touched = append(p.plan.Touched, touched(o.addr, o.at, p.liveAt(o.at)))
		}
		if o.goal != o.at && o.goal != (place{}) {
			p.plan.Touched = append(p.plan.Touched, touched(o.addr, o.goal, p.liveAt(o.goal)))
		}
	}
}

func touched(addr resource.Addr, at place, live *drivers.Object) Touched {
	t := Touched{Addr: addr, Host: at.host, Key: at.key}
	if live != nil {
		t.Object.Resource, t.Running.Resource, t.Power, t.Mark = live.Resource, live.Running, live.Power, live.Mark
	}
	return t
}
