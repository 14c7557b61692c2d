package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/planner"
	"vmplan.dev/vmplan/state"
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
	f.StringArrayVar(&o.targets, "target", nil, "plan only for `ADDR` and what it depends on (may be repeated)")
	f.StringArrayVar(&o.exclude, "exclude", nil, "leave `ADDR` out, and what depends on it (may be repeated)")
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

// plan is the one way through the house: files, state, hosts, plan.
func (a *App) plan(ctx context.Context, dir string, o planOptions) (*session, *planner.Plan, error) {
	opts, err := o.parse()
	if err != nil {
		return nil, nil, err
	}
	open := a.open
	if o.destroy {
		open = a.openRecorded
	}
	s, err := open(ctx, dir, o.projectOptions, o.lock)
	if err != nil {
		return nil, nil, err
	}
	p, err := s.plan(ctx, opts)
	if err != nil {
		return nil, nil, errors.Join(err, s.Close())
	}
	return s, p, nil
}

func (s *session) plan(ctx context.Context, opts planner.Options) (*planner.Plan, error) {
	if err := s.loadFor(opts); err != nil {
		return nil, err
	}
	in, err := s.survey(ctx, opts)
	if err != nil {
		return nil, err
	}
	return planner.New(in)
}

// survey connects to the hosts and observes them.
func (s *session) survey(ctx context.Context, opts planner.Options) (planner.Input, error) {
	if err := s.connect(); err != nil {
		return planner.Input{}, err
	}
	in, err := s.observe(ctx, opts)
	if err != nil {
		return in, err
	}
	return in, s.loadFound(&in)
}

// loadFound loads the files once more where import blocks take vms over: now that their UUIDs and MACs are known, which their
// cloud-init seeds hold too.
func (s *session) loadFound(in *planner.Input) error {
	prior := s.prior()
	prior.Found = map[resource.Addr]*resource.VM{}
	for _, i := range in.Imports {
		want, ok := in.Desired.Get(i.To).(*resource.VM)
		if !ok || s.state.Records[i.To] != nil || in.Hosts[want.Host].Observed == nil {
			continue
		}
		if live := in.Hosts[want.Host].Observed.Objects[resource.Key(want)]; live != nil {
			prior.Found[i.To] = live.Resource.(*resource.VM)
		}
	}
	if len(prior.Found) == 0 {
		return nil
	}
	cfg, diags := s.project.Load(prior)
	if diags.HasErrors() {
		s.app.printer().Diagnostics(diags, s.project.Files())
		return exitError{ExitError}
	}
	s.config = cfg
	s.desire(in)
	s.live = *in
	return nil
}

// desire puts what the files say into a plan's input.
func (s *session) desire(in *planner.Input) {
	in.Desired, in.ConfigHash, in.Variables = s.config.Set, s.config.Hash, s.shownVariables()
	in.Moves, in.Removed, in.Imports = s.config.Moves, s.config.Removed, s.config.Imports
}

// shownVariables are the values that a saved plan may hold: none that is part of what is not shown of an image's URL.
func (s *session) shownVariables() map[string]string {
	values := s.config.Variables()
	maps.DeleteFunc(values, func(_, text string) bool { return s.isHidden(strings.Trim(text, `"`)) })
	return values
}

// observe reads every host once, in parallel.
func (s *session) observe(ctx context.Context, opts planner.Options) (planner.Input, error) {
	in := planner.Input{Desired: resource.NewSet(), State: s.state, Hosts: map[string]planner.Host{}, Version: s.app.Version, Options: opts}
	if s.config != nil {
		s.desire(&in)
	}
	want := s.wanted(in.Desired)
	labels := slices.Sorted(maps.Keys(s.drivers))
	observed := make([]*drivers.Observed, len(labels))
	group, ctx := errgroup.WithContext(ctx)
	for i, label := range labels {
		group.Go(func() (err error) {
			begun := time.Now()
			observed[i], err = s.drivers[label].Observe(ctx, drivers.Selection{
				Lineage: s.state.Lineage, Want: want[label], All: s.all || s.imports(in.Imports), Unfinished: s.unfinished(label),
			})
			if err != nil {
				return fmt.Errorf("host.%s: %w", label, err)
			}
			slog.Debug("host observed", "host", label, "asked", len(want[label]), "found", len(observed[i].Objects), "took", time.Since(begun))
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return in, err
	}
	for i, label := range labels {
		in.Hosts[label] = planner.Host{Rules: s.drivers[label], Observed: observed[i]}
	}
	s.live = in
	return in, nil
}

// imports tells whether something is still to be imported: its disks can be any volumes of its host.
func (s *session) imports(list []resource.Import) bool {
	return slices.ContainsFunc(list, func(i resource.Import) bool { return s.state.Records[i.To] == nil })
}

// unfinished names the pools of a host that an earlier run was making or removing when it was cut short.
func (s *session) unfinished(host string) map[string]bool {
	out := map[string]bool{}
	for _, rec := range s.state.Records {
		if base := rec.Object.Base(); rec.Object.Kind() == resource.KindPool && base.Host == host && rec.Status != state.StatusReady {
			out[base.Name] = rec.Status != state.StatusReleased
		}
	}
	return out
}

// wanted lists by host what to look for: all that is desired or recorded, once per key, as the host's driver would name it.
// What a host can never have is the planner's to report.
func (s *session) wanted(desired *resource.Set) map[string][]resource.Resource {
	want, seen := map[string][]resource.Resource{}, map[string]bool{}
	add := func(r resource.Resource) {
		label := r.Base().Host
		d := s.drivers[label]
		if d == nil || r.Kind() == resource.KindHost {
			return
		}
		if n, err := d.Normalize(r); err == nil {
			r = n
		}
		if key := label + " " + resource.Key(r); !seen[key] {
			seen[key] = true
			want[label] = append(want[label], r)
		}
	}
	for _, r := range desired.All() {
		add(r)
	}
	for _, addr := range slices.SortedFunc(maps.Keys(s.state.Records), resource.Compare) {
		add(s.state.Records[addr].Object)
	}
	return want
}
