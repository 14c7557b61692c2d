package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"vmplan.dev/vmplan/planner"
	"vmplan.dev/vmplan/planner/apply"
)

// ApplyOptions say how a plan is carried out.
type ApplyOptions struct {
	Parallelism int // operations at once; 0: apply.DefaultParallelism
	// Grace is how long operations that run may go on once ctx is cancelled; then they are cancelled too, and what they had begun
	// is finished or undone by the next apply. 0: they are let finish.
	Grace time.Duration
}

// ErrRefused is the error of Apply for a plan with refusals, or one that goes beyond its limit.
var ErrRefused = errors.New("the plan is refused")

// Apply carries out a plan that p has made, once; each step's beginning, progress and end is a Step event. Steps that fail are in the summary, and no
// error. When ctx is cancelled, nothing more is begun. The error is about the plan or the state; it is *Broken when all steps were done and
// the hosts are not what was promised.
func (p *Project) Apply(ctx context.Context, plan *Plan, o ApplyOptions) (apply.Summary, error) {
	switch {
	case plan.of != p:
		return apply.Summary{}, errors.New("apply: the plan was not made by this project")
	case plan.Serial != p.state.Serial:
		return apply.Summary{}, errors.New("apply: the state has changed since the plan was made")
	case plan.Refused() || len(plan.Beyond()) > 0:
		return apply.Summary{}, ErrRefused
	case p.opts.Trust.Untrusted:
		return apply.Summary{}, errors.New("apply: the project is not trusted")
	case p.unlock == nil:
		return apply.Summary{}, errors.New("apply: the project was opened without a lock")
	}
	if plan.files {
		if err := p.forgetHostKeys(plan.Plan); err != nil {
			return apply.Summary{}, err
		}
	}
	summary, err := apply.Run(ctx, plan.Plan, p.state, apply.Env{
		Drivers: p.drivers, Backend: p.backend, Parallelism: o.Parallelism, Grace: o.Grace, Events: p.step,
	})
	if !plan.files {
		return summary, err
	}
	// What was imported is pinned also when something else failed.
	if err = errors.Join(err, p.Pin()); err != nil || !summary.OK() || ctx.Err() != nil {
		return summary, err
	}
	return summary, p.readBack(ctx, plan.Options)
}

// step tells of a step, and logs all but its progress.
func (p *Project) step(e apply.Event) {
	names := map[apply.EventKind]string{
		apply.EventStarted: "step started", apply.EventDone: "step done", apply.EventFailed: "step failed", apply.EventSkipped: "step skipped",
	}
	if name, ok := names[e.Kind]; ok {
		p.opts.Log.Debug(name, "step", e.Step, "took", e.Elapsed, "error", e.Err)
	}
	p.tell(Step{e})
}

// readBack observes again and plans again: whatever is left to do was promised and did not come true.
func (p *Project) readBack(ctx context.Context, opts planner.Options) error {
	opts.Replace = nil
	if len(p.config.Imports) > 0 {
		// Only now is it recorded what the imported objects are: their files stand for these, and for no new ones.
		if cfg, diags := p.files.Load(p.prior()); !diags.HasErrors() {
			p.config = cfg
		}
	}
	in, err := p.Observe(ctx, opts)
	if err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	rest, err := planner.New(in)
	if err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	if rest.Empty() {
		return nil
	}
	return &Broken{Residue: residue(rest)}
}

// residue lists what a plan would still do, a line for each field.
func residue(p *planner.Plan) []string {
	var out []string
	for _, c := range p.Changes {
		if len(c.Fields) == 0 || c.Action != planner.ActionUpdate {
			out = append(out, fmt.Sprintf("%s: %s: %s", c.Addr, c.Action, c.Cause))
			continue
		}
		for _, f := range c.Fields {
			out = append(out, fmt.Sprintf("%s: %s is %s, not %s", c.Addr, f.Path, f.Old, f.New))
		}
	}
	return out
}
