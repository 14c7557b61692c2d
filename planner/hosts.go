package planner

import (
	"fmt"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/state"
)

// collectHosts joins host blocks and host records with the hosts in use, and checks that each is the machine it was.
func (p *planner) collectHosts(blocks []*resource.Host, records []*state.Record) {
	for _, b := range blocks {
		if h := p.hosts[b.Label()]; h != nil {
			h.desired = b
		}
	}
	for _, rec := range records {
		was := rec.Object.(*resource.Host)
		h := p.hosts[was.Label()]
		if h == nil { // nothing lives on it any more
			h = &host{label: was.Label()}
			p.hosts[h.label] = h
		}
		h.record = rec
		if h.desired != nil && h.Observed != nil {
			p.checkMachine(h, was)
		}
	}
}

// checkMachine refuses to go on with another machine than the one that the recorded objects are on.
func (p *planner) checkMachine(h *host, was *resource.Host) {
	now := h.Observed.Facts.UUID
	switch {
	case !h.hasObjects || was.Machine == now && now != "":
	case was.URI != h.desired.URI:
		p.addFinding(Finding{
			Severity: SeverityError, Addr: h.desired.Addr, Path: "uri", Summary: "the host is another machine now",
			Detail: fmt.Sprintf(
				"%s led to %s (machine %s), where this project has objects; now it leads to %s (machine %s). They would be left behind there. Set uri back and destroy them first, or give the new machine a host block of its own.",
				h.desired.Addr, was.URI, orUnknown(was.Machine), h.desired.URI, orUnknown(now)),
		})
	case was.Machine != "" && now != "":
		p.addFinding(Finding{
			Severity: SeverityWarning, Addr: h.desired.Addr, Path: "uri", Summary: "the host is another machine now",
			Detail: fmt.Sprintf("%s led to machine %s when it was last used, and leads to machine %s now. What is not there is created anew.",
				h.desired.URI, was.Machine, now),
		})
	}
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

// emitHosts records the hosts that objects are recorded on, and forgets those that have none any more.
func (p *planner) emitHosts() {
	lives := map[string]bool{}
	for _, o := range p.sorted {
		switch o.action {
		case ActionCreate, ActionUpdate, ActionReplace:
			lives[o.destination.host] = true
		case ActionRelease:
			if o.desired == nil && !o.retain {
				lives[o.location.host] = true
			}
		case ActionNone:
			if o.record != nil {
				lives[o.location.host] = true
			}
		}
	}
	for _, h := range p.sortedHosts() {
		switch {
		case lives[h.label] && h.desired != nil:
			p.emitHost(h)
		case !lives[h.label] && h.record != nil:
			s := p.hostStep(h, drivers.NewForget(h.record.Object), "nothing is on it any more")
			s.last = true
		}
	}
}

func (p *planner) emitHost(h *host) {
	want := resource.Clone(h.desired)
	want.Machine = h.Observed.Facts.UUID
	cause := "objects of this project are on it"
	if h.record != nil {
		fields := resource.Diff(h.record.Object, want)
		if len(fields) == 0 && h.record.Status == state.StatusReady {
			return
		}
		cause = "changed in the files"
		c := Change{
			Addr: want.Addr, Kind: resource.KindHost, Name: h.label, Host: h.label, Action: ActionUpdate, Impact: drivers.ImpactRecord,
			Cause: cause, Before: resource.Encoded{Resource: h.record.Object}, After: resource.Encoded{Resource: want},
		}
		for _, f := range fields {
			c.Fields = append(c.Fields, fieldChanges(f, drivers.ImpactRecord, "")...)
		}
		p.plan.Changes = append(p.plan.Changes, c)
	}
	h.recordStep = p.hostStep(h, drivers.NewRecord(want), cause)
	h.recordStep.Record = &state.Record{Object: want, Status: state.StatusReady}
}

func (p *planner) hostStep(h *host, op drivers.Op, cause string) *step {
	return p.add(subject{addr: op.Target().Base().Addr, host: h.label, cause: cause}, op, drivers.ImpactRecord)
}
