package cli

import (
	"context"

	"github.com/spf13/cobra"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/planner"
	"vmplan.dev/vmplan/planner/apply"
	"vmplan.dev/vmplan/planner/engine"
)

// powerAction is a command that changes the power of vms.
type powerAction struct {
	action      planner.PowerAction
	short, long string
}

func (a *App) powerCommands() []*cobra.Command {
	actions := []powerAction{
		{planner.PowerStart, "Start vms", "Starts the vms named, and waits for what their ready blocks ask."},
		{planner.PowerStop, "Shut vms down", "Shuts the vms named down gracefully, and switches them off when they have not stopped within their shutdown_timeout."},
		{planner.PowerKill, "Switch vms off", "Switches the vms named off at once, as if the plug were pulled."},
		{planner.PowerReboot, "Reboot vms", "Asks the guests of the vms named to reboot."},
	}
	cmds := make([]*cobra.Command, len(actions))
	for i, act := range actions {
		cmds[i] = a.powerCommand(act)
	}
	return cmds
}

func (a *App) powerCommand(act powerAction) *cobra.Command {
	lock := lockOptions{operation: string(act.action)}
	c := &cobra.Command{
		Use:   string(act.action) + " ADDR…",
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
	addrs, err := parseVMAddrs(args)
	if err != nil {
		return err
	}
	p, err := s.Power(addrs, act.action)
	if err != nil {
		return err
	}
	return s.runSteps(ctx, p)
}

// runSteps carries out steps that a command has put together itself.
func (s *session) runSteps(ctx context.Context, p *engine.Plan) error {
	return s.execute(ctx, p, apply.DefaultParallelism, false)
}

// recordedVMs finds the vms that the addresses name in the state; a bare name stands for vm.NAME.
func (s *session) recordedVMs(args []string) ([]*resource.VM, error) {
	addrs, err := parseVMAddrs(args)
	if err != nil {
		return nil, err
	}
	return planner.RecordedVMs(s.State(), addrs)
}

func parseVMAddrs(args []string) ([]resource.Addr, error) {
	out := make([]resource.Addr, len(args))
	for i, arg := range args {
		var err error
		if out[i], err = parseVMAddr(arg); err != nil {
			return nil, err
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
