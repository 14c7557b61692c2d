package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"

	"vmplan.dev/vmplan/config"
	"vmplan.dev/vmplan/state"
)

// Open parses the project in dir, takes the state's lock if Options ask for it, and reads the state. Files that are wrong are
// *Mistakes; a lock that somebody else holds is a *state.LockedError; a state that cannot be read is a *StateError. The caller calls Close.
func Open(ctx context.Context, dir string, opts Options) (*Project, error) {
	p, err := OpenUnread(ctx, dir, opts)
	if err != nil {
		return nil, err
	}
	if err := p.readState(ctx); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// OpenUnread is Open without the reading of the state: it may be damaged, or of another project.
func OpenUnread(ctx context.Context, dir string, opts Options) (*Project, error) {
	p, err := Parse(dir, opts)
	if err != nil {
		return nil, err
	}
	if p.parsed.HasErrors() && (!opts.Recorded || !p.files.StateKnown()) {
		return nil, p.mistakes()
	}
	return p, p.openBackend(ctx)
}

// Parse parses the files and opens nothing: what is wrong with them Parsed tells. Close need not be called.
func Parse(dir string, opts Options) (*Project, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if opts.Trust.Untrusted {
		if err := checkLinks(dir); err != nil {
			return nil, err
		}
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	p := &Project{opts: opts, dir: dir}
	p.files, p.parsed = config.Open(dir, p.configOptions())
	return p, nil
}

// configOptions are what the files are parsed with.
func (p *Project) configOptions() config.Options {
	o := &p.opts
	return config.Options{
		VarFiles: o.VarFiles, Vars: o.Vars, Environ: o.Environ, Version: o.Version, Schemes: o.Schemes, AnyValue: o.AnyValue,
		Confined: o.Trust.Untrusted, Defaults: p.hostDefaults, ExampleURI: o.Example,
	}
}

// Parsed is what is wrong with the files before they are evaluated.
func (p *Project) Parsed() config.Diagnostics { return p.parsed }

// mistakes gives what is wrong with the files, also what only loading them finds.
func (p *Project) mistakes() error {
	_, more := p.files.Load(config.Prior{})
	return &Mistakes{Diagnostics: append(p.parsed, more...), Files: p.files}
}

// openBackend opens where the state is kept, and takes its lock if Options ask for it.
func (p *Project) openBackend(ctx context.Context) (err error) {
	settings := p.files.State()
	backend, ok := p.opts.Backends[settings.Type]
	if !ok {
		return fmt.Errorf("state %q: there is no such backend", settings.Type)
	}
	if p.backend, err = backend(settings); err != nil {
		return fmt.Errorf("state: %w", err)
	}
	if l := p.opts.Lock; l != nil {
		p.unlock, err = state.LockWait(ctx, p.backend, state.NewLockInfo(l.Operation), l.Timeout, func(holder *state.LockedError) {
			p.tell(Waiting{Timeout: l.Timeout, Holder: holder})
		})
	}
	return err
}

// readState reads the state; one that was never written gets the identity of the folder.
func (p *Project) readState(ctx context.Context) (err error) {
	if p.state, err = p.backend.Read(ctx); err != nil {
		return &StateError{Settings: p.files.State(), Err: err}
	}
	if p.state.Lineage == "" {
		if p.state.Lineage, err = identity(p.dir, p.opts.Log); err != nil {
			return err
		}
		p.state.Salt = state.Salt(p.state.Lineage)
	}
	return nil
}

// Close ends connections and gives the lock back.
func (p *Project) Close() error {
	var errs []error
	for _, d := range p.drivers {
		errs = append(errs, d.Close())
	}
	if p.unlock != nil {
		errs = append(errs, p.unlock())
	}
	return errors.Join(errs...)
}

// checkLinks refuses links out of a project that is not trusted, and what is neither a file nor a folder in it.
func checkLinks(dir string) error {
	root, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return err
	}
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || entry.Type().IsRegular() {
			return err
		}
		name, _ := filepath.Rel(root, path)
		if entry.Type() != fs.ModeSymlink {
			return fmt.Errorf("%s is neither a file nor a folder, which is not read in a project that is not trusted", name)
		}
		target, err := filepath.EvalSymlinks(path)
		if err != nil {
			return fmt.Errorf("%s leads nowhere, which is not followed in a project that is not trusted: %w", name, err)
		}
		if rel, err := filepath.Rel(root, target); err != nil || !filepath.IsLocal(rel) {
			return fmt.Errorf("%s leads out of the project's folder, where nothing is read in a project that is not trusted", name)
		}
		return nil
	})
}
