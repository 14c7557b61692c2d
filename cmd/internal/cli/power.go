package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/planner"
	"vmplan.dev/vmplan/planner/apply"
	"vmplan.dev/vmplan/state"
)

// powerAction is a command that changes the power of vms.
type powerAction struct {
	use, short, long string
	op               func(*resource.VM) drivers.Op
	leaves           drivers.Power // what is recorded
}

func (a *App) powerCommands() []*cobra.Command {
	actions := []powerAction{
		{
			"start", "Start vms", "Starts the vms named, and waits for what their ready blocks ask.",
			func(vm *resource.VM) drivers.Op { return drivers.NewStart(vm) }, drivers.PowerOn,
		},
		{
			"stop", "Shut vms down", "Shuts the vms named down gracefully, and switches them off when they have not stopped within their shutdown_timeout.",
			func(vm *resource.VM) drivers.Op { return drivers.NewStop(vm, false) }, drivers.PowerOff,
		},
		{
			"kill", "Switch vms off", "Switches the vms named off at once, as if the plug were pulled.",
			func(vm *resource.VM) drivers.Op { return drivers.NewStop(vm, true) }, drivers.PowerOff,
		},
		{
			"reboot", "Reboot vms", "Asks the guests of the vms named to reboot.",
			func(vm *resource.VM) drivers.Op { return drivers.NewReboot(vm, false) }, drivers.PowerOn,
		},
	}
	cmds := make([]*cobra.Command, len(actions))
	for i, act := range actions {
		cmds[i] = a.powerCommand(act)
	}
	return cmds
}

func (a *App) powerCommand(act powerAction) *cobra.Command {
	lock := lockOptions{operation: act.use}
	c := &cobra.Command{
		Use:   act.use + " ADDR…",
		Short: act.short,
		Long:  act.long + "\nThe next plan knows that this was done by vmplan; what the files say of running still counts at the next apply.",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.runPower(c.Context(), args, lock, act)
		},
	}
	lock.addTo(c.Flags())
	return c
}

func (a *App) runPower(ctx context.Context, args []string, lock lockOptions, act powerAction) error {
	s, err := a.openRecorded(ctx, ".", projectOptions{}, lock)
	if err != nil {
		return err
	}
	defer s.Close()
	vms, err := s.recordedVMs(args)
	if err != nil {
		return err
	}
	if act.leaves == drivers.PowerOn {
		if err := s.checkBases(vms); err != nil {
			return err
		}
	}
	if err := s.connect(); err != nil {
		return err
	}
	p := &planner.Plan{Lineage: s.state.Lineage, Serial: s.state.Serial}
	for _, vm := range vms {
		rec := s.state.Records[vm.Addr]
		if err := planner.CheckWhole(rec); err != nil && act.leaves == drivers.PowerOn {
			return err
		}
		p.Steps = append(p.Steps, powerSteps(vm, rec, act)...)
	}
	return s.runSteps(ctx, p)
}

// checkBases refuses to start vms that would write to what other disks stand on.
func (s *session) checkBases(vms []*resource.VM) error {
	for _, rec := range s.state.Sorted() {
		v, ok := rec.Object.(*resource.Volume)
		if !ok || v.Backing == "" {
			continue
		}
		for _, vm := range vms {
			for _, d := range vm.Disks {
				if d.Source == v.Backing && vm.Host == v.Host && (d.ReadOnly == nil || !*d.ReadOnly) {
					return fmt.Errorf("%s stays off: %s stands on its disk %s, and what the guest would write there ruins that. To cut it loose first: vmplan flatten '%s'", vm.Addr, v.Addr, d.Label, v.Addr)
				}
			}
		}
	}
	return nil
}

// runSteps carries out steps that a command has put together itself.
func (s *session) runSteps(ctx context.Context, p *planner.Plan) error {
	return s.execute(ctx, p, apply.DefaultParallelism, false)
}

// powerSteps is the action as steps of a plan: one, or two when a started guest is waited for.
func powerSteps(vm *resource.VM, old *state.Record, act powerAction) []planner.Step {
	rec := *old
	rec.Power = string(act.leaves)
	step := planner.Step{
		ID: act.use + " " + vm.Addr.String(), Op: drivers.Encoded{Op: act.op(vm)}, Addr: vm.Addr, Host: vm.Host,
		Group: vm.Addr, Cause: "vmplan " + act.use, Record: &rec,
	}
	if act.use != "start" || vm.Ready == nil {
		return []planner.Step{step}
	}
	wait := step
	wait.ID, wait.Op = "wait "+vm.Addr.String(), drivers.Encoded{Op: drivers.NewWaitReady(vm)}
	wait.DependsOn, wait.KeepRecord, wait.Record = []string{step.ID}, true, nil
	return []planner.Step{step, wait}
}

// recordedVMs finds the vms that the addresses name in the state; a bare name stands for vm.NAME.
func (s *session) recordedVMs(args []string) ([]*resource.VM, error) {
	var out []*resource.VM
	for _, arg := range args {
		sel, err := parseVMAddr(arg)
		if err != nil {
			return nil, err
		}
		found := false
		for _, rec := range s.state.Sorted() {
			vm, ok := rec.Object.(*resource.VM)
			switch {
			case !ok || !sel.Contains(vm.Addr):
			case rec.Status == state.StatusReleased:
				return nil, fmt.Errorf("%s was released: vmplan leaves it alone until its block is in the files again and applied", vm.Addr)
			default:
				out, found = append(out, vm), true
			}
		}
		if !found {
			return nil, fmt.Errorf("%s is not in the state: see vmplan state list, or create it with vmplan apply", arg)
		}
	}
	return out, nil
}

func parseVMAddr(text string) (resource.Addr, error) {
	if a, err := resource.ParseAddr(text); err == nil {
		return a, nil
	}
	return resource.ParseAddr("vm." + text)
}
