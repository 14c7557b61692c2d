package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"

	"vmplan.dev/vmplan/config"
	"vmplan.dev/vmplan/config/catalogue"
	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/planner"
	"vmplan.dev/vmplan/state"
)

// session is one run's way through the house: the project's files, its state, its hosts.
type session struct {
	app     *App
	dir     string
	vars    map[string]string // --var
	project *config.Project
	parsed  config.Diagnostics // what is wrong with the files before they are evaluated
	config  *config.Config     // nil until load
	backend state.Backend
	state   *state.Snapshot
	drivers map[string]drivers.Driver // by host label
	images  ImageStore
	live    planner.Input // what the last observe saw
	all     bool          // observe whole hosts
	unlock  state.Unlock  // nil when not locked
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

// open opens the project for a command that needs what the files say: mistakes are printed and end the run.
func (a *App) open(ctx context.Context, dir string, o projectOptions, lock lockOptions) (*session, error) {
	s, err := a.parse(dir, o)
	if err != nil {
		return nil, err
	}
	if s.parsed.HasErrors() {
		return nil, s.mistakes()
	}
	return s, s.openState(ctx, lock)
}

// openLoaded opens the project and evaluates its files.
func (a *App) openLoaded(ctx context.Context, o projectOptions, lock lockOptions) (*session, error) {
	s, err := a.open(ctx, ".", o, lock)
	if err != nil {
		return nil, err
	}
	if err := s.load(); err != nil {
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
func (a *App) openWhole(ctx context.Context, o projectOptions, lock lockOptions) (*session, planner.Input, error) {
	s, err := a.openLoaded(ctx, o, lock)
	if err != nil {
		return nil, planner.Input{}, err
	}
	s.all = true
	return s.surveyed(ctx)
}

// surveyed ends the opening of a session with a look at the hosts. The session is closed on errors.
func (s *session) surveyed(ctx context.Context) (*session, planner.Input, error) {
	in, err := s.survey(ctx, planner.Options{})
	if err != nil {
		return nil, in, errors.Join(err, s.Close())
	}
	return s, in, nil
}

// openRecorded opens the project for a command that works on what is recorded: it may be looked at and taken away while the
// files are being edited, as long as they say where the state is.
func (a *App) openRecorded(ctx context.Context, dir string, o projectOptions, lock lockOptions) (*session, error) {
	s, err := a.parseRecorded(dir, o)
	if err != nil {
		return nil, err
	}
	return s, s.openState(ctx, lock)
}

// parseRecorded reads the files for openRecorded, and opens nothing.
func (a *App) parseRecorded(dir string, o projectOptions) (*session, error) {
	s, err := a.parse(dir, o)
	if err != nil {
		return nil, err
	}
	if s.parsed.HasErrors() && !s.project.StateKnown() {
		return nil, s.mistakes()
	}
	return s, nil
}

// mistakes prints what is wrong with the files, also what only loading them finds.
func (s *session) mistakes() error {
	_, more := s.project.Load(config.Prior{})
	s.app.printer().Diagnostics(append(s.parsed, more...), s.project.Files())
	return exitError{ExitError}
}

func (a *App) parse(dir string, o projectOptions) (*session, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := a.trust.checkLinks(dir); err != nil {
		return nil, err
	}
	vars := make(map[string]string, len(o.vars))
	for _, v := range o.vars {
		name, value, ok := strings.Cut(v, "=")
		if !ok {
			return nil, fmt.Errorf("--var %s: write it as NAME=VALUE", v)
		}
		vars[name] = value
	}
	project, diags := config.Open(dir, config.Options{VarFiles: o.varFiles, Vars: vars, Environ: a.Environ, Version: a.Version, Schemes: a.Schemes, AnyValue: o.anyValue, Confined: a.trust.untrusted, Defaults: a.hostDefaults, ExampleURI: a.Example})
	return &session{app: a, dir: dir, vars: vars, project: project, parsed: diags}, nil
}

// openState reads the state, which is locked first when the lock has an operation. The session is closed on errors.
func (s *session) openState(ctx context.Context, lock lockOptions) (err error) {
	if err := s.openBackend(ctx, lock); err != nil {
		return err
	}
	if s.state, err = s.backend.Read(ctx); err != nil {
		return errors.Join(s.unreadable(err), s.Close())
	}
	if s.state.Lineage == "" {
		if s.state.Lineage, err = identity(s.dir); err != nil {
			return errors.Join(err, s.Close())
		}
		s.state.Salt = state.Salt(s.state.Lineage)
	}
	return nil
}

// openBackend is openState without the reading.
func (s *session) openBackend(ctx context.Context, lock lockOptions) (err error) {
	settings := s.project.State()
	backend, ok := s.app.Backends[settings.Type]
	if !ok {
		return fmt.Errorf("state %q: there is no such backend", settings.Type)
	}
	if s.backend, err = backend(settings); err != nil {
		return fmt.Errorf("state: %w", err)
	}
	if lock.operation != "" {
		return s.lock(ctx, lock)
	}
	return nil
}

// load evaluates the files against what the state has fixed already. Warnings are printed; mistakes end the run.
func (s *session) load() error {
	cfg, diags := s.project.Load(s.prior())
	s.app.printer().Diagnostics(diags, s.project.Files())
	if diags.HasErrors() {
		return exitError{ExitError}
	}
	s.config = cfg
	return nil
}

// loadFor loads the files for a plan. To destroy, what is recorded is enough: files with mistakes, or without a value for
// a variable, do not stand in the way.
func (s *session) loadFor(opts planner.Options) error {
	if !opts.Destroy {
		return s.load()
	}
	cfg, diags := s.project.Load(s.prior())
	if s.parsed.HasErrors() || diags.HasErrors() {
		s.app.printer().Warn("The files have mistakes", "What goes is decided by what is recorded. To see the mistakes: vmplan validate.")
		cfg = &config.Config{Set: resource.NewSet(), Sources: cfg.Sources, Hash: cfg.Hash}
	}
	s.config = cfg
	return nil
}

// unreadable says what to do about a state that cannot be read.
func (s *session) unreadable(err error) error {
	switch {
	case errors.Is(err, state.ErrNewer):
		return advise(err, "It was left as it is. Use a vmplan that is at least as new as the one that wrote it.")
	case errors.Is(err, state.ErrCorrupt):
		backup := s.project.State().Path + ".backup"
		if _, statErr := os.Stat(backup); statErr == nil {
			return advise(err, "It was left as it is. The one before it can take its place: vmplan state push --force "+backup)
		}
		return advise(err, "It was left as it is. Put a copy of it in its place (vmplan state push --force FILE), or move it away: vmplan state rebuild makes one of what is on the hosts.")
	}
	return err
}

func (s *session) prior() config.Prior {
	p := config.Prior{Lineage: s.state.Lineage, Salt: s.state.Salt, Objects: make(map[resource.Addr]resource.Resource, len(s.state.Records))}
	for addr, rec := range s.state.Records {
		p.Objects[addr] = rec.Object
	}
	return p
}

// connect makes the drivers of all hosts that the files or the state name. The files' word on a host counts.
func (s *session) connect() error {
	s.drivers = map[string]drivers.Driver{}
	images, err := s.app.openImages(ImageSettings{Dir: s.dir, Named: s.named})
	if err != nil {
		return fmt.Errorf("images: %w", err)
	}
	s.images = images
	hosts := map[string]*resource.Host{}
	for _, rec := range s.state.Records {
		if h, ok := rec.Object.(*resource.Host); ok {
			hosts[h.Label()] = h
		}
	}
	if s.config != nil {
		for h := range resource.Of[*resource.Host](s.config.Set) {
			hosts[h.Label()] = h
		}
	}
	for label, h := range hosts {
		d, err := s.app.openHost(h, s.writes(h), drivers.Env{Dir: s.dir, Trust: drivers.Trust{Hosts: s.app.trust.hosts}, Images: images, Log: slog.Default()})
		if err != nil {
			return fmt.Errorf("host.%s: %w", label, err)
		}
		s.drivers[label] = d
	}
	return nil
}

// able gives the driver of a host that can do something.
func (s *session) able(host string, a drivers.Ability) (drivers.Driver, error) {
	d := s.drivers[host]
	if d == nil {
		return nil, fmt.Errorf("host.%s: %w: it is neither in the files nor in the state", host, drivers.ErrUnavailable)
	}
	if err := d.Can(a); err != nil {
		return nil, fmt.Errorf("host.%s %w", host, err)
	}
	return d, nil
}

// named gives what a name of the catalogue stands for.
func (s *session) named(name string) (location, checksum string, ok bool) {
	if !catalogue.IsName(name) {
		return "", "", false
	}
	build, err := s.project.Catalogue().Find(name)
	return build.URL, build.Checksum, err == nil
}

// Close ends connections and gives the lock back.
func (s *session) Close() error {
	var errs []error
	for _, d := range s.drivers {
		errs = append(errs, d.Close())
	}
	if s.unlock != nil {
		errs = append(errs, s.unlock())
	}
	return errors.Join(errs...)
}
