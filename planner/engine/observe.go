package engine

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/planner"
	"vmplan.dev/vmplan/state"
)

// Survey connects to the hosts and looks at what they have of the project. Where import blocks take vms over, it loads the files
// once more.
func (p *Project) Survey(ctx context.Context, opts planner.Options) (planner.Input, error) {
	return p.survey(ctx, opts, false)
}

// SurveyWhole is Survey, and looks at all that the hosts have.
func (p *Project) SurveyWhole(ctx context.Context) (planner.Input, error) {
	return p.survey(ctx, planner.Options{}, true)
}

// Observe looks at the hosts again.
func (p *Project) Observe(ctx context.Context, opts planner.Options) (planner.Input, error) {
	return p.observe(ctx, opts, false)
}

func (p *Project) survey(ctx context.Context, opts planner.Options, whole bool) (planner.Input, error) {
	if err := p.Connect(); err != nil {
		return planner.Input{}, err
	}
	in, err := p.observe(ctx, opts, whole)
	if err != nil {
		return in, err
	}
	return in, p.loadFound(&in)
}

// loadFound loads the files once more where import blocks take vms over: now that their UUIDs and MACs are known, which their
// cloud-init seeds hold too.
func (p *Project) loadFound(in *planner.Input) error {
	prior := p.prior()
	prior.Found = map[resource.Addr]*resource.VM{}
	for _, i := range in.Imports {
		want, ok := in.Desired.Get(i.To).(*resource.VM)
		if !ok || p.state.Records[i.To] != nil || in.Hosts[want.Host].Observed == nil {
			continue
		}
		if live := in.Hosts[want.Host].Observed.Objects[resource.Key(want)]; live != nil {
			prior.Found[i.To] = live.Resource.(*resource.VM)
		}
	}
	if len(prior.Found) == 0 {
		return nil
	}
	cfg, diags := p.files.Load(prior)
	if diags.HasErrors() {
		return &Mistakes{Diagnostics: diags, Files: p.files}
	}
	p.config = cfg
	p.desire(in)
	p.seen = *in
	return nil
}

// desire puts what the files say into a plan's input.
func (p *Project) desire(in *planner.Input) {
	in.Desired, in.ConfigHash, in.Variables = p.config.Set, p.config.Hash, p.shownVariables()
	in.Moves, in.Removed, in.Imports = p.config.Moves, p.config.Removed, p.config.Imports
}

// shownVariables are the values that a saved plan may hold: none that is part of what is not shown of an image's URL.
func (p *Project) shownVariables() map[string]string {
	values := p.config.Variables()
	maps.DeleteFunc(values, func(_, text string) bool { return p.Hides(strings.Trim(text, `"`)) })
	return values
}

// observe reads every host once, in parallel.
func (p *Project) observe(ctx context.Context, opts planner.Options, whole bool) (planner.Input, error) {
	in := planner.Input{Desired: resource.NewSet(), State: p.state, Hosts: map[string]planner.Host{}, Version: p.opts.Version, Options: opts}
	if p.config != nil {
		p.desire(&in)
	}
	want := p.wanted(in.Desired)
	labels := slices.Sorted(maps.Keys(p.drivers))
	observed := make([]*drivers.Observed, len(labels))
	group, ctx := errgroup.WithContext(ctx)
	for i, label := range labels {
		group.Go(func() (err error) {
			begun := time.Now()
			observed[i], err = p.drivers[label].Observe(ctx, drivers.Selection{
				Lineage: p.state.Lineage, Want: want[label], All: whole || p.imports(in.Imports), Unfinished: p.unfinished(label),
			})
			if err != nil {
				return fmt.Errorf("host.%s: %w", label, err)
			}
			p.opts.Log.Debug("host observed", "host", label, "asked", len(want[label]), "found", len(observed[i].Objects), "took", time.Since(begun))
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return in, err
	}
	for i, label := range labels {
		in.Hosts[label] = planner.Host{Rules: p.drivers[label], Observed: observed[i]}
	}
	p.seen = in
	return in, nil
}

// imports tells whether something is still to be imported: its disks can be any volumes of its host.
func (p *Project) imports(list []resource.Import) bool {
	return slices.ContainsFunc(list, func(i resource.Import) bool { return p.state.Records[i.To] == nil })
}

// unfinished names the pools of a host that an earlier run was making or removing when it was cut short.
func (p *Project) unfinished(host string) map[string]bool {
	out := map[string]bool{}
	for _, rec := range p.state.Records {
		if base := rec.Object.Base(); rec.Object.Kind() == resource.KindPool && base.Host == host && rec.Status != state.StatusReady {
			out[base.Name] = rec.Status != state.StatusReleased
		}
	}
	return out
}

// wanted lists by host what to look for: all that is desired or recorded, once per key, as the host's driver would name it.
// What a host can never have is the planner's to report.
func (p *Project) wanted(desired *resource.Set) map[string][]resource.Resource {
	want, seen := map[string][]resource.Resource{}, map[string]bool{}
	add := func(r resource.Resource) {
		label := r.Base().Host
		d := p.drivers[label]
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
	for _, addr := range slices.SortedFunc(maps.Keys(p.state.Records), resource.Compare) {
		add(p.state.Records[addr].Object)
	}
	return want
}
