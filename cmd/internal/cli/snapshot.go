package cli

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"vmplan.dev/vmplan/cmd/internal/view"
	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/planner"
	"vmplan.dev/vmplan/planner/apply"
	"vmplan.dev/vmplan/planner/engine"
)

func (a *App) snapshotCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "snapshot",
		Short: "Create, list, restore and delete snapshots of vms",
		Long: `Snapshots are stored on the host, inside the vm's qcow2 disks, and are deleted with the vm. They are not part of the files. Restoring
one restores the disks, and the guest's memory if the snapshot has it; the vm's definition stays as the files say.`,
		Example: `  vmplan snapshot create vm.web before-upgrade
  vmplan snapshot list vm.web
  vmplan snapshot restore vm.web before-upgrade`,
	}
	c.AddCommand(a.snapshotCreateCommand(), a.snapshotListCommand(), a.snapshotRestoreCommand(), a.snapshotDeleteCommand())
	return c
}

func (a *App) snapshotCreateCommand() *cobra.Command {
	lock := lockOptions{operation: "snapshot create"}
	var memory, diskOnly bool
	c := &cobra.Command{
		Use:   "create ADDR [NAME]",
		Short: "Create a snapshot of a vm",
		Long: `Creates a snapshot of a vm's disks, and of the guest's memory if it is running: after a restore the guest continues from there. With
--disk-only, a running guest is not paused. If its agent answers, its file systems are frozen during the snapshot, and the snapshot records
whether they were. NAME defaults to the current time.`,
		Example: `  vmplan snapshot create vm.web
  vmplan snapshot create vm.web before-upgrade --disk-only`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(c *cobra.Command, args []string) error {
			name := time.Now().UTC().Format("20060102-150405")
			if len(args) == 2 {
				name = args[1]
			}
			if memory && diskOnly {
				return errors.New("--memory and --disk-only exclude one another")
			}
			return a.runSnapshotCreate(c.Context(), args[0], name, snapshotOptions{lock: lock, memory: memory, diskOnly: diskOnly})
		},
	}
	lock.addTo(c.Flags())
	c.Flags().BoolVar(&memory, "memory", false, "include the guest's memory; refused if the guest is off")
	c.Flags().BoolVar(&diskOnly, "disk-only", false, "leave out the guest's memory")
	return c
}

type snapshotOptions struct {
	lock             lockOptions
	memory, diskOnly bool
}

// goodSnapshotName is what every host takes for a name, and the shell leaves alone.
var goodSnapshotName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$`)

func (a *App) runSnapshotCreate(ctx context.Context, arg, name string, o snapshotOptions) error {
	if !goodSnapshotName.MatchString(name) {
		return fmt.Errorf("%q cannot be the name of a snapshot: it takes up to 100 letters, digits, and - _ . behind the first", name)
	}
	s, addr, err := a.openAside(ctx, arg, o.lock)
	if err != nil {
		return err
	}
	defer s.Close()
	if o.memory && !s.runs(addr) {
		return fmt.Errorf("%s does not run, so there is no memory to keep: leave --memory out", addr)
	}
	p, err := s.TakeSnapshot(addr, name, !o.diskOnly)
	if err != nil {
		return err
	}
	if err := s.runSteps(ctx, p); err != nil {
		return err
	}
	return s.tellSnapshot(ctx, addr, name)
}

// tellSnapshot says what became of a snapshot.
func (s *session) tellSnapshot(ctx context.Context, addr resource.Addr, name string) error {
	in, err := s.Observe(ctx, planner.Options{})
	if err != nil {
		return err
	}
	for _, snap := range s.snapshots(in, addr) {
		if snap.Name == name {
			s.app.printer().Note(fmt.Sprintf("Snapshot %s of %s: %s.", name, addr, view.SnapshotContent(snap)))
			return nil
		}
	}
	return fmt.Errorf("%s has no snapshot %s, although the host says that it was taken", addr, name)
}

// openAside opens the project for a command about one object, beside what the files say, and looks at the hosts.
func (a *App) openAside(ctx context.Context, arg string, lock lockOptions) (*session, resource.Addr, error) {
	addr, err := parseVMAddr(arg)
	if err != nil {
		return nil, addr, err
	}
	s, err := a.openRecorded(ctx, ".", projectOptions{}, lock)
	if err != nil {
		return nil, addr, err
	}
	s, _, err = s.surveyed(ctx)
	return s, addr, err
}

// liveOf is what the hosts have of the recorded object at addr; nil when there is nothing.
func (s *session) liveOf(addr resource.Addr) *drivers.Object {
	rec := s.State().Records[addr]
	if rec == nil {
		return nil
	}
	return s.Live(rec.Object)
}

func (s *session) runs(addr resource.Addr) bool {
	live := s.liveOf(addr)
	return live != nil && live.Power != drivers.PowerOff
}

func (s *session) snapshots(in planner.Input, addr resource.Addr) []drivers.SnapshotInfo {
	if live := s.liveOf(addr); live != nil {
		return live.Snapshots
	}
	return nil
}

func (a *App) snapshotListCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "list [ADDR]",
		Short: "List the snapshots of all vms, or of one",
		Long:  `Lists the snapshots of all vms of the project, or of the one at ADDR.`,
		Example: `  vmplan snapshot list
  vmplan snapshot list vm.web --json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return a.runSnapshotList(c.Context(), args, asJSON) },
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func (a *App) runSnapshotList(ctx context.Context, args []string, asJSON bool) error {
	s, err := a.openRecorded(ctx, ".", projectOptions{}, lockOptions{})
	if err != nil {
		return err
	}
	defer s.Close()
	var addrs []resource.Addr
	if len(args) == 1 {
		vms, err := s.recordedVMs(args)
		if err != nil {
			return err
		}
		for _, vm := range vms {
			addrs = append(addrs, vm.Addr)
		}
	} else {
		for _, rec := range s.State().Sorted() {
			if rec.Object.Kind() == resource.KindVM {
				addrs = append(addrs, rec.Object.Base().Addr)
			}
		}
	}
	in, err := s.Survey(ctx, planner.Options{})
	if err != nil {
		return err
	}
	var list []view.Snapshot
	for _, addr := range addrs {
		for _, snap := range s.snapshots(in, addr) {
			list = append(list, view.Snapshot{VM: addr, SnapshotInfo: snap})
		}
	}
	return a.printer().Snapshots(list, asJSON)
}

func (a *App) snapshotDeleteCommand() *cobra.Command {
	lock := lockOptions{operation: "snapshot delete"}
	c := &cobra.Command{
		Use:     "delete ADDR NAME",
		Short:   "Delete a snapshot",
		Long:    `Deletes one snapshot of a vm. The guest may keep running.`,
		Example: `  vmplan snapshot delete vm.web before-upgrade`,
		Args:    cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			s, addr, err := a.openAside(c.Context(), args[0], lock)
			if err != nil {
				return err
			}
			defer s.Close()
			p, err := s.DropSnapshot(addr, args[1])
			if err != nil {
				return err
			}
			return s.runSteps(c.Context(), p)
		},
	}
	lock.addTo(c.Flags())
	return c
}

func (a *App) snapshotRestoreCommand() *cobra.Command {
	o := asideOptions{lock: lockOptions{operation: "snapshot restore"}}
	c := &cobra.Command{
		Use:   "restore ADDR NAME",
		Short: "Restore the disks of a vm from a snapshot",
		Long: `Shows what will be lost, asks, shuts the guest down, and restores the vm's disks. If the snapshot has memory, the guest continues from
there. Then the vm's definition and power state are brought in line with the files, so that the next plan is empty.

If a restore is interrupted, run the same command again to finish it. Until then some disks may be restored and others not, and vmplan does not
start the guest.`,
		Example: `  vmplan snapshot restore vm.web before-upgrade`,
		Args:    cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			plan := func(s *session, addr resource.Addr) (*engine.Plan, error) {
				return s.RestoreSnapshot(c.Context(), addr, args[1])
			}
			return a.runAside(c.Context(), args[0], o, plan)
		},
	}
	o.addTo(c.Flags())
	return c
}

// asideOptions are the flags of commands that plan something beside what the files say, and ask.
type asideOptions struct {
	projectOptions
	lock        lockOptions
	autoApprove bool
}

func (o *asideOptions) addTo(f *pflag.FlagSet) {
	o.projectOptions.addTo(f)
	o.lock.addTo(f)
	f.BoolVar(&o.autoApprove, "auto-approve", false, "do not ask")
}

// runAside carries out a plan beside what the files say, and then what they say of the same object.
func (a *App) runAside(ctx context.Context, arg string, o asideOptions, make func(*session, resource.Addr) (*engine.Plan, error)) error {
	addr, err := parseVMAddr(arg)
	if err != nil {
		return err
	}
	s, _, err := a.openLive(ctx, o.projectOptions, o.lock)
	if err != nil {
		return err
	}
	defer s.Close()
	p, err := make(s, addr)
	if err != nil {
		return err
	}
	if err := a.showPlan(s, p, "text", true); err != nil || p.Empty() {
		return err
	}
	if p.Refused() {
		return exitError{ExitError}
	}
	if !o.autoApprove {
		if err := a.approve(ctx, false); err != nil {
			return err
		}
	}
	if err := s.runSteps(ctx, p); err != nil {
		return err
	}
	return s.settle(ctx, addr)
}

// settle brings what was changed aside in line with the files.
func (s *session) settle(ctx context.Context, addr resource.Addr) error {
	p, err := s.Settle(ctx, planner.Options{Targets: []resource.Addr{addr}})
	if err != nil || p.Empty() {
		return err
	}
	if err := s.app.showPlan(s, p, "text", true); err != nil {
		return err
	}
	if p.Refused() {
		return exitError{ExitError}
	}
	return s.carryOut(ctx, p, applyOptions{parallelism: apply.DefaultParallelism})
}
