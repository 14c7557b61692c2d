// Command vmplan brings virtual machines to what HCL files declare. This package has the lists of what it is made of:
// drivers, image sources and state backends; and what a process needs: signals, streams, exit.
package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"vmplan.dev/vmplan/cmd/internal/cli"
	"vmplan.dev/vmplan/cmd/internal/view"
	"vmplan.dev/vmplan/planner/engine/standard"
)

// version is set by the linker for releases.
var version = "0.1.0-dev"

// parts is what vmplan is made of; files with build constraints add drivers.
var parts = standard.Parts()

// absent says of schemes that this build has no driver for why; files with build constraints add to it.
var absent = map[string]string{}

func main() { os.Exit(run()) }

// run is main with deferred calls.
func run() int {
	slog.SetDefault(slog.New(slog.NewTextHandler(io.Discard, nil)))
	// An apply allocates little and lives briefly: fewer collections are worth the memory.
	debug.SetGCPercent(200)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	app := &cli.App{
		Version: version,
		Parts:   parts,
		Absent:  absent,
		Streams: view.Terminal(os.Stdin, os.Stdout, os.Stderr, os.Environ()),
		Environ: os.Environ(),
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
