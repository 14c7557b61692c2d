package planner

import (
	"fmt"
	"slices"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/state"
)

// PowerAction is what Power does to vms.
type PowerAction string

// The power actions.
const (
	PowerStart  PowerAction = "start"  // and wait for what the vm's ready block asks
	PowerStop   PowerAction = "stop"   // gracefully, and off after shutdown_timeout
	PowerKill   PowerAction = "kill"   // off at once
	PowerReboot PowerAction = "reboot" // asks the guest
)

// Power makes the plan that does act to the recorded vms that the addresses select. Of in it looks at the state alone: hosts need
// not be observed. The error is about an address that selects no vm, or a vm that must not be started.
func Power(in Input, addrs []resource.Addr, act PowerAction) (*Plan, error) {
	vms, err := RecordedVMs(in.State, addrs)
	if err != nil {
		return nil, err
	}
	a := newActionPlan(in)
	for _, vm := range vms {
		rec := in.State.Records[vm.Addr]
		if act == PowerStart || act == PowerReboot {
			if err := checkStart(in.State, rec); err != nil {
				return nil, err
			}
		}
		a.power(rec, act)
	}
	return a.finish(), nil
}

// power adds what act does to one vm.
func (a *actionPlan) power(rec *state.Record, act PowerAction) {
	vm := rec.Object.(*resource.VM)
	after := *rec
	var op drivers.Op
	impact := drivers.ImpactRestart
	switch after.Power = state.PowerOn; act {
	case PowerStart:
		op, impact = drivers.NewStart(vm), drivers.ImpactLive
	case PowerReboot:
		op = drivers.NewReboot(vm, false)
	default:
		op, after.Power = drivers.NewStop(vm, act == PowerKill), state.PowerOff
	}
	cause := "vmplan " + string(act)
	a.step(about(vm, cause), op, impact).Record = &after
	if act == PowerStart && vm.Ready != nil {
		a.step(about(vm, cause), drivers.NewWaitReady(vm), impact).KeepRecord = true
	}
}

// RecordedVMs gives the recorded vms that the addresses select, each once. The error is about an address that selects none, or
// one that was released.
func RecordedVMs(snap *state.Snapshot, addrs []resource.Addr) ([]*resource.VM, error) {
	var out []*resource.VM
	for _, sel := range addrs {
		found := false
		for _, rec := range snap.Sorted() {
			vm, ok := rec.Object.(*resource.VM)
			switch {
			case !ok || !sel.Contains(vm.Addr):
				continue
			case rec.Status == state.StatusReleased:
				return nil, fmt.Errorf("%s was released: vmplan leaves it alone until its block is in the files again and applied", vm.Addr)
			case !slices.Contains(out, vm):
				out = append(out, vm)
			}
			found = true
		}
		if !found {
			return nil, fmt.Errorf("%s is not in the state: see vmplan state list, or create it with vmplan apply", sel)
		}
	}
	return out, nil
}

// checkStart refuses to start a vm whose disks may be half restored, or that would write to a disk with overlays.
func checkStart(snap *state.Snapshot, rec *state.Record) error {
	if err := CheckWhole(rec); err != nil {
		return err
	}
	vm := rec.Object.(*resource.VM)
	for _, other := range snap.Sorted() {
		v, ok := other.Object.(*resource.Volume)
		if !ok || v.Backing == "" || v.Host != vm.Host || !writes(vm, volumeKey(v.Backing)) {
			continue
		}
		i := slices.IndexFunc(vm.Disks, func(d resource.Disk) bool { return d.Source == v.Backing })
		return fmt.Errorf("%s is not started: %s is an overlay of its disk %s, and any write to that disk would corrupt it. To make it independent first: vmplan flatten '%s'",
			vm.Addr, v.Addr, vm.Disks[i].Label, v.Addr)
	}
	return nil
}
