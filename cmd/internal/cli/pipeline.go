package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/pflag"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/planner"
	"vmplan.dev/vmplan/planner/engine"
)

// planOptions are the flags that shape a plan.
type planOptions struct {
	projectOptions
	lock    lockOptions
	targets []string
	exclude []string
	replace []string
	destroy bool
	orphan  bool
	restart bool
	full    bool
	limit   limitOptions
}

func (o *planOptions) addTo(f *pflag.FlagSet) {
	o.projectOptions.addTo(f)
	o.lock.addTo(f)
	f.StringArrayVar(&o.targets, "target", nil, "plan only `ADDR` and what it depends on (may be repeated)")
	f.StringArrayVar(&o.exclude, "exclude", nil, "leave out `ADDR` and everything that depends on it (may be repeated)")
	f.BoolVar(&o.full, "full", false, "show each instance of a block, also those to which the same happens")
}

func (o *planOptions) parse() (opts planner.Options, err error) {
	opts.Destroy, opts.Orphan, opts.RestartPending = o.destroy, o.orphan, o.restart
	if opts.Limit, err = o.limit.parse(); err != nil {
		return opts, err
	}
	if opts.Targets, err = parseAddrs("--target", o.targets); err != nil {
		return opts, err
	}
	if opts.Exclude, err = parseAddrs("--exclude", o.exclude); err != nil {
		return opts, err
	}
	opts.Replace, err = parseAddrs("--replace", o.replace)
	return opts, err
}

func parseAddrs(what string, texts []string) ([]resource.Addr, error) {
	var out []resource.Addr
	for _, t := range texts {
		a, err := resource.ParseAddr(t)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", what, err)
		}
		out = append(out, a)
	}
	return out, nil
}

// plan opens the project and plans.
func (a *App) plan(ctx context.Context, dir string, o planOptions) (*session, *engine.Plan, error) {
	return planWith(ctx, a, dir, o, (*session).Plan)
}

// draft is plan without asking where images come from: for commands that only look.
func (a *App) draft(ctx context.Context, dir string, o planOptions) (*session, *planner.Plan, error) {
	return planWith(ctx, a, dir, o, (*session).Draft)
}

func planWith[P any](ctx context.Context, a *App, dir string, o planOptions, plan func(*session, context.Context, planner.Options) (P, error)) (*session, P, error) {
	var none P
	opts, err := o.parse()
	if err != nil {
		return nil, none, err
	}
	open := a.open
	if o.destroy {
		open = a.openRecorded
	}
	s, err := open(ctx, dir, o.projectOptions, o.lock)
	if err != nil {
		return nil, none, err
	}
	p, err := plan(s, ctx, opts)
	if err != nil {
		return nil, none, errors.Join(err, s.Close())
	}
	return s, p, nil
}
