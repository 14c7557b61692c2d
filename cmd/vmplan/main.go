// Command vmplan brings virtual machines to what HCL files declare. This package has the lists of what it is made of:
// drivers, image sources and state backends; and what a process needs: signals, streams, exit.
package main

import (
	"context"
	"io"
	"log/slog"
	"maps"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"syscall"

	"vmplan.dev/vmplan/cmd/internal/cli"
	"vmplan.dev/vmplan/cmd/internal/view"
	"vmplan.dev/vmplan/config"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/sim"
	"vmplan.dev/vmplan/state"
	"vmplan.dev/vmplan/state/local"
)

// version is set by the linker for releases.
var version = "0.1.0-dev"

// registry is the one list of drivers; files with build constraints add to it.
var registry = drivers.Registry{"sim": sim.Open}

// absent says of schemes that this build has no driver for why; files with build constraints add to it.
var absent = map[string]string{}

var backends = map[string]func(config.StateSettings) (state.Backend, error){
	"local": func(s config.StateSettings) (state.Backend, error) { return local.Open(s.Path) },
}

func main() { os.Exit(run()) }

// run is main with deferred calls.
func run() int {
	slog.SetDefault(slog.New(slog.NewTextHandler(io.Discard, nil)))
	// An apply allocates little and lives briefly: fewer collections are worth the memory.
	debug.SetGCPercent(200)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	app := &cli.App{
		Version:  version,
		Drivers:  registry,
		Absent:   absent,
		Defaults: sim.Defaults().HostDefaults,
		Example:  "qemu:///system",
		Backends: backends,
		Images:   images,
		Schemes:  slices.Sorted(maps.Keys(sources("."))),
		Registry: registries,
		Streams:  view.Terminal(os.Stdin, os.Stdout, os.Stderr, os.Environ()),
		Environ:  os.Environ(),
	}
	go interrupts(app.Interrupted, stop)
	return app.Run(ctx, os.Args[1:])
}

// interrupts lets the first signal end the run in good order, and the second at once.
func interrupts(say, stop func()) {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	<-signals
	say()
	stop()
	<-signals
	_, _ = os.Stderr.WriteString("\n") // leaves the line of a progress bar
	os.Exit(cli.ExitInterrupted)
}
