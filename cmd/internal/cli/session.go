package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/spf13/pflag"

	"vmplan.dev/vmplan/cmd/internal/view"
	"vmplan.dev/vmplan/planner"
	"vmplan.dev/vmplan/planner/apply"
	"vmplan.dev/vmplan/planner/engine"
	"vmplan.dev/vmplan/state"
)

// session is a project that a command works with, and how it shows what happens meanwhile.
type session struct {
	*engine.Project
	app      *App
	vars     map[string]string // --var
	steps    func(apply.Event) // shows steps while a plan is applied; nil otherwise
	later    []func()          // what is said once the display of steps is gone
	transfer *view.Transfer    // under way; nil: none
}

// projectOptions are the flags of commands that read the files.
type projectOptions struct {
	vars     []string
	varFiles []string
	anyValue bool // variables may lack a value
}

func (o *projectOptions) addTo(f *pflag.FlagSet) {
	f.StringArrayVar(&o.vars, "var", nil, "set a variable: `NAME=VALUE` (may be repeated)")
	f.StringArrayVar(&o.varFiles, "var-file", nil, "read variables from `FILE` (may be repeated)")
}

// opener opens a project: engine.Open, or one that does less.
type opener func(ctx context.Context, dir string, opts engine.Options) (*engine.Project, error)

// openAs opens the project in dir.
func (a *App) openAs(ctx context.Context, open opener, dir string, o projectOptions, lock lockOptions, recorded bool) (*session, error) {
	s := &session{app: a, vars: make(map[string]string, len(o.vars))}
	for _, v := range o.vars {
		name, value, ok := strings.Cut(v, "=")
		if !ok {
			return nil, fmt.Errorf("--var %s: write it as NAME=VALUE", v)
		}
		s.vars[name] = value
	}
	opts := a.engineOptions()
	opts.Vars, opts.VarFiles, opts.AnyValue, opts.Recorded, opts.Events = s.vars, o.varFiles, o.anyValue, recorded, s.event
	if lock.operation != "" {
		opts.Lock = &engine.Lock{Operation: lock.operation, Timeout: lock.timeout}
	}
	var err error
	s.Project, err = open(ctx, dir, opts)
	var held *state.LockedError
	switch {
	case errors.As(err, &held):
		return nil, advise(err, "With --lock-timeout 5m it would wait until the lock is free, for five minutes at most.")
	case err != nil:
		return nil, err
	}
	return s, nil
}

// engineOptions are what all projects are opened with.
func (a *App) engineOptions() engine.Options {
	return engine.Options{
		Parts:   a.Parts,
		Trust:   engine.Trust{Programs: a.trust.programs, Untrusted: a.trust.untrusted, Hosts: a.trust.hosts},
		Version: a.Version, Environ: a.Environ, Log: slog.Default(),
	}
}

// event shows what happens while the engine works.
func (s *session) event(e engine.Event) {
	pr := s.app.printer()
	switch e := e.(type) {
	case engine.Step:
		if s.steps != nil {
			s.steps(e.Event)
		}
	case engine.Warnings:
		pr.Diagnostics(e.Diagnostics, s.Files().Files())
	case engine.Ignored:
		pr.Warn("The files have mistakes", "What goes is decided by what is recorded. To see the mistakes: vmplan validate.")
	case engine.Waiting:
		pr.Aside(fmt.Sprintf("Waiting up to %s: %v.", e.Timeout, e.Holder))
	case engine.Note:
		pr.Note(e.Text)
	case engine.MarkPending:
		pr.Warn("The mark on the host still has the old address", fmt.Sprintf("%s: %v. The next apply writes it.", e.Addr, e.Err))
	case engine.Transfer:
		s.showTransfer(e)
	case engine.LockWritten:
		say := func() { pr.Aside(fmt.Sprintf("Wrote %s: keep it with the files.", e.Name)) }
		if s.steps == nil {
			say()
		} else {
			s.later = append(s.later, say)
		}
	}
}

// showTransfer shows one transfer after the other.
func (s *session) showTransfer(e engine.Transfer) {
	if s.transfer == nil {
		s.transfer = s.app.printer().Transfer(e.What)
	}
	if e.Done {
		s.transfer.Close()
		s.transfer = nil
		return
	}
	s.transfer.Report(e.Progress)
}

// open opens the project for a command that needs what the files say.
func (a *App) open(ctx context.Context, dir string, o projectOptions, lock lockOptions) (*session, error) {
	return a.openAs(ctx, engine.Open, dir, o, lock, false)
}

// openRecorded opens the project for a command that works on what is recorded: it may be looked at and taken away while the
// files are being edited, as long as they say where the state is.
func (a *App) openRecorded(ctx context.Context, dir string, o projectOptions, lock lockOptions) (*session, error) {
	return a.openAs(ctx, engine.Open, dir, o, lock, true)
}

// parse parses the files and opens nothing.
func (a *App) parse(dir string, o projectOptions) (*session, error) {
	parse := func(_ context.Context, dir string, opts engine.Options) (*engine.Project, error) {
		return engine.Parse(dir, opts)
	}
	return a.openAs(context.Background(), parse, dir, o, lockOptions{}, false)
}

// openLoaded opens the project and evaluates its files.
func (a *App) openLoaded(ctx context.Context, o projectOptions, lock lockOptions) (*session, error) {
	s, err := a.open(ctx, ".", o, lock)
	if err != nil {
		return nil, err
	}
	if err := s.Load(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// openLive opens the project, evaluates its files and looks at what the hosts have of it.
func (a *App) openLive(ctx context.Context, o projectOptions, lock lockOptions) (*session, planner.Input, error) {
	s, err := a.openLoaded(ctx, o, lock)
	if err != nil {
		return nil, planner.Input{}, err
	}
	return s.surveyed(ctx)
}

// openWhole is openLive, and looks at all that the hosts have.
func (a *App) openWhole(ctx context.Context, o projectOptions, lock lockOptions) (*session, error) {
	s, err := a.openLoaded(ctx, o, lock)
	if err != nil {
		return nil, err
	}
	if _, err := s.SurveyWhole(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// surveyed ends the opening of a session with a look at the hosts. The session is closed on errors.
func (s *session) surveyed(ctx context.Context) (*session, planner.Input, error) {
	in, err := s.Survey(ctx, planner.Options{})
	if err != nil {
		return nil, in, errors.Join(err, s.Close())
	}
	return s, in, nil
}
