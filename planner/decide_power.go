package planner

import (
	"slices"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/state"
)

// decidePower decides whether a vm is stopped, started and waited for, once all changes and what they do to others are known.
func (p *planner) decidePower(o *object) {
	if o.kind != resource.KindVM {
		return
	}
	defer o.decideSecondDowntime()
	switch o.action {
	case ActionDelete:
		o.stop = o.isOn()
	case ActionCreate:
		running := o.planned.(*resource.VM).Running
		keptOff := running == nil && o.recordedPower() == state.PowerOff &&
			(o.record.Status == state.StatusDeleting || o.record.Status == state.StatusCreating)
		o.start = !isFalse(running) && !keptOff
	case ActionReplace:
		o.stop = o.isOn()
		running := o.planned.(*resource.VM).Running
		o.start = running != nil && *running || running == nil && (o.isOn() || o.recordedPower() == state.PowerStarting)
	case ActionUpdate:
		p.decideKeptPower(o)
	}
	if vm, ok := o.planned.(*resource.VM); ok && vm.Ready != nil {
		unready := o.action == ActionUpdate && o.isOn() && !o.stop && o.recordedPower() == state.PowerStarting
		o.wait = o.start || unready
		if unready {
			o.powerCause, o.powerUnrecorded = "was started, but not seen ready", false
		}
	}
}

func (p *planner) decideKeptPower(o *object) {
	running := o.powerRule()
	o.restartCause = o.restartReason
	if (len(o.pending) > 0 || o.impact == drivers.ImpactNextBoot) && p.in.RestartPending && o.restartCause == "" {
		o.restartCause = "takes up its pending changes"
	}
	restart := o.isOn() && (o.impact == drivers.ImpactRestart || o.restartCause != "")
	o.stop = o.isOn() && (isFalse(running) || restart)
	switch {
	case isFalse(running):
	case o.stop:
		o.start = true
	case !o.isOn():
		o.start = running != nil || o.recordedPower() == state.PowerStarting
	}
	if !o.stop && !o.start && o.record != nil && o.record.Power != "" && o.record.Power != o.livePower() {
		o.powerUnrecorded = running != nil || o.isOn() && o.record.Power == state.PowerStarting
	}
	if !o.stop && !o.start {
		o.ruleChange = o.powerRuleChange()
	}
	o.powerCause = p.whyPower(o)
	if p.powerChangedByOthers(o) {
		was, now := state.PowerOn, state.PowerOff
		if o.isOn() {
			was, now = now, was
		}
		p.drift(o, Change{Action: ActionUpdate, Cause: o.powerCause, Fields: []FieldChange{
			fieldChange("power", resource.Word(was), resource.Word(now), drivers.ImpactRecord, ""),
		}})
	}
}

// powerChangedByOthers tells whether the files rule the vm's power, and did so when vmplan left it otherwise.
func (p *planner) powerChangedByOthers(o *object) bool {
	if o.powerRule() == nil || o.record == nil || o.record.Status != state.StatusReady {
		return false
	}
	if old, ok := o.record.Object.(*resource.VM); !ok || old.Running == nil {
		return false // it was left to people
	}
	was := o.recordedPower()
	return was == state.PowerOn && o.start && !o.stop || was == state.PowerOff && o.isOn() && o.stop && !o.start
}

// powerRule is what the files say of the power of a vm that is there; nothing when they leave it to people, or have its changes ignored.
func (o *object) powerRule() *bool {
	if slices.Contains(ignoredPaths(o), "running") {
		return nil
	}
	return o.planned.(*resource.VM).Running
}

// powerRuleChange tells what is to be recorded when the files say otherwise of the power than they did, and it already is as they
// say: what people do to a power that is left to them is their own business, and to one that is not, it is drift.
func (o *object) powerRuleChange() *FieldChange {
	was, ok := o.recorded.(*resource.VM)
	if !ok {
		return nil
	}
	before, after := orNil(was.Running), orNil(o.toRecord.(*resource.VM).Running)
	if before == after {
		return nil
	}
	c := fieldChange("running", before, after, drivers.ImpactRecord, "")
	return &c
}

func (p *planner) whyPower(o *object) string {
	was := o.recordedPower()
	switch {
	case o.restartCause != "":
		return o.restartCause
	case o.powerUnrecorded && o.isOn():
		return "was started already, which is not recorded"
	case o.powerUnrecorded:
		return "was stopped already, which is not recorded"
	case o.stop && o.start:
		return o.cause
	case o.stop && was == state.PowerOff:
		return "was started outside of vmplan"
	case o.stop:
		return "running = false in the files"
	case o.start && was == state.PowerOn:
		return "was stopped outside of vmplan"
	case o.start && was == state.PowerOff:
		return "was stopped by vmplan"
	case o.start && was == state.PowerStarting:
		return "is to be started, which was not finished"
	}
	return "is off, and running = true in the files"
}
