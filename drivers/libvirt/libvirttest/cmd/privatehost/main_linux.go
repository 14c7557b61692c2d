// Command privatehost runs a command within a private libvirt host: privatehost [-guest] -- COMMAND [ARG…].
//
// The command finds the host's URI in VMPLAN_DEMO_URI and, with -guest, the disk image of the tiny test guest in
// VMPLAN_DEMO_IMAGE. It runs in the host's network, so that it reaches the guests. The host and all that is on it is gone when
// the command ends, whose exit code is this one's.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"vmplan.dev/vmplan/drivers/libvirt/libvirttest"
)

func main() {
	guest := flag.Bool("guest", false, "build the tiny guest, or take it from the cache")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, *guest, flag.Args())
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && exit.ExitCode() > 0:
		os.Exit(exit.ExitCode())
	case err != nil:
		fmt.Fprintln(os.Stderr, "privatehost:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, guest bool, args []string) error {
	if len(args) == 0 {
		return errors.New("no command given")
	}
	var image libvirttest.Image
	if guest {
		var err error
		if image, err = libvirttest.BuildGuest(ctx); err != nil {
			return err
		}
	}
	host, err := libvirttest.New(ctx)
	if err != nil {
		return err
	}
	cmd := host.Command(args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), "VMPLAN_DEMO_URI="+host.URI)
	if guest {
		cmd.Env = append(cmd.Env, "VMPLAN_DEMO_IMAGE="+image.Disk)
	}
	err = cmd.Start()
	if err == nil {
		// A terminal interrupts the command itself as well; what ends it otherwise is passed on.
		end := context.AfterFunc(ctx, func() { _ = cmd.Process.Signal(syscall.SIGTERM) })
		err = cmd.Wait()
		end()
	}
	return errors.Join(err, host.Close())
}
