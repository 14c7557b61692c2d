package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/guest"
)

type sshOptions struct {
	user     string
	identity string
	port     int
	nic      string
}

// sshCommand runs the system's ssh client.
func (a *App) sshCommand() *cobra.Command {
	var o sshOptions
	var command []string
	c := &cobra.Command{
		Use:   "ssh ADDR [COMMAND…]",
		Short: "Log in to a guest, or run a command in it",
		Long: `Runs the system's ssh with the guest's fixed address, or the address that the host has leased to it. Host keys are stored per vm in
.vmplan/known_hosts in the project's folder. The exit code is that of ssh.`,
		Example: `  vmplan ssh vm.web --user debian
  vmplan ssh vm.web --user debian -- systemctl is-active nginx`,
		Args: func(c *cobra.Command, args []string) error {
			if err := cobra.MinimumNArgs(1)(c, args); err != nil {
				return err
			}
			// As with ssh, flags may follow the guest, but what follows the command is the command's.
			if err := c.Flags().Parse(args[1:]); err != nil {
				return c.FlagErrorFunc()(c, err)
			}
			command = c.Flags().Args()
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			if help, _ := c.Flags().GetBool("help"); help {
				return c.Help()
			}
			return a.runSSH(c.Context(), args[0], command, o)
		},
	}
	c.Flags().SetInterspersed(false)
	c.Flags().StringVarP(&o.user, "user", "l", "", "log in as `USER` (default from your ssh configuration)")
	c.Flags().StringVarP(&o.identity, "identity", "i", "", "use the private key in `FILE`")
	c.Flags().IntVarP(&o.port, "port", "p", 0, "TCP `PORT` (default 22)")
	c.Flags().StringVar(&o.nic, "nic", "", "use the address of this `NIC`; by default the first that has one")
	return c
}

func (a *App) runSSH(ctx context.Context, addr string, command []string, o sshOptions) error {
	s, vm, err := a.oneVM(ctx, addr)
	if err != nil {
		return err
	}
	defer s.Close()
	host, err := s.GuestAddress(ctx, vm, o.nic)
	if err != nil {
		return err
	}
	argv, err := guest.SSHCommand(guest.SSH{
		UUID: vm.UUID, Host: host, Port: o.port, User: o.user, Identity: o.identity,
		KnownHosts: guest.KnownHostsFile(s.Dir()), Command: command,
	})
	if err != nil {
		return err
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = a.Streams.In, a.Streams.Out, a.Streams.Err
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exitError{exit.ExitCode()}
	}
	return err
}

// oneVM opens the project and finds the one vm that addr names.
func (a *App) oneVM(ctx context.Context, addr string) (*session, *resource.VM, error) {
	s, err := a.openRecorded(ctx, ".", projectOptions{}, lockOptions{})
	if err != nil {
		return nil, nil, err
	}
	vms, err := s.recordedVMs([]string{addr})
	if err == nil && len(vms) > 1 {
		err = fmt.Errorf("%s names %d vms: say which, for example %s", addr, len(vms), vms[0].Addr)
	}
	if err == nil {
		err = s.Connect()
	}
	if err != nil {
		return nil, nil, errors.Join(err, s.Close())
	}
	return s, vms[0], nil
}

// consoleCommand connects the terminal to a guest's serial console.
func (a *App) consoleCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "console ADDR",
		Short:   "Connect to a guest's serial console",
		Long:    `Connects the terminal to the guest's serial console. Press Ctrl-] to leave it.`,
		Example: `  vmplan console vm.web`,
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.runConsole(c.Context(), args[0])
		},
	}
}

func (a *App) runConsole(ctx context.Context, addr string) error {
	s, vm, err := a.oneVM(ctx, addr)
	if err != nil {
		return err
	}
	defer s.Close()
	con, err := s.Able(vm.Host, drivers.AbilityConsole)
	if err != nil {
		return err
	}
	a.printer().Note(fmt.Sprintf("Connected to %s. Ctrl-] leaves.", vm.Addr))
	if in, ok := a.Streams.In.(*os.File); ok && term.IsTerminal(int(in.Fd())) {
		old, err := term.MakeRaw(int(in.Fd()))
		if err != nil {
			return err
		}
		defer func() {
			_ = term.Restore(int(in.Fd()), old)
			a.printer().Note(fmt.Sprintf("\nLeft %s.", vm.Addr))
		}()
	}
	ctx, leave := context.WithCancel(ctx)
	defer leave()
	err = con.Console(ctx, vm, &escapeReader{in: a.Streams.In, leave: leave}, a.Streams.Out)
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
