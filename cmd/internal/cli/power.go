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
		{planner.PowerStart, "Start vms", "Starts the given vms and waits for their ready conditions."},
		{planner.PowerStop, "Shut down vms", "Shuts the given vms down gracefully. Those that are still running after their shutdown_timeout are powered off."},
		{planner.PowerKill, "Power off vms", "Powers off the given vms at once. Guests may lose data that they have not written yet."},
		{planner.PowerReboot, "Reboot vms", "Asks the guests of the given vms to reboot."},
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
		Use:     string(act.action) + " ADDR…",
		Short:   act.short,
		Long:    act.long + "\n\nThe next plan shows that vmplan did this. If the files set running differently, the next apply changes it back.",
		Example: "  vmplan " + string(act.action) + " vm.web\n  vmplan " + string(act.action) + " vm.web vm.db",
		Args:    cobra.MinimumNArgs(1),
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
