package engine

import (
	"context"

	"vmplan.dev/vmplan/planner"
)

// Plan is a plan of the project, to be looked at and to be given to Apply.
type Plan struct {
	*planner.Plan
	Downloads Downloads

	of    *Project // that made it, and alone may apply it
	files bool     // it makes the hosts what the files say
}

// Plan loads the files, looks at the hosts and plans what makes them what the files say. Every refusal and warning is a finding of
// the plan, with its place in the files; only what keeps it from being made is an error. It asks the sources of images.
func (p *Project) Plan(ctx context.Context, opts planner.Options) (*Plan, error) {
	draft, err := p.Draft(ctx, opts)
	if err != nil {
		return nil, err
	}
	return p.complete(ctx, draft, true)
}

// Draft is Plan without what the sources of images tell: to look at, and not to be applied.
func (p *Project) Draft(ctx context.Context, opts planner.Options) (*planner.Plan, error) {
	if err := p.loadFor(opts); err != nil {
		return nil, err
	}
	in, err := p.Survey(ctx, opts)
	if err != nil {
		return nil, err
	}
	return planner.New(in)
}

// Settle plans what makes one block's objects what the files say, after a plan that was about them alone.
func (p *Project) Settle(ctx context.Context, opts planner.Options) (*Plan, error) {
	if err := p.Load(); err != nil { // against what is recorded now
		return nil, err
	}
	in, err := p.Observe(ctx, opts)
	if err != nil {
		return nil, err
	}
	draft, err := planner.New(in)
	if err != nil {
		return nil, err
	}
	return p.complete(ctx, draft, true)
}

// complete adds to a plan what the planner does not know: images, and places in the files.
// It fails when ctx ends, since a plan without what the sources of images say would say less than apply does.
func (p *Project) complete(ctx context.Context, draft *planner.Plan, files bool) (*Plan, error) {
	plan := &Plan{Plan: draft, of: p, files: files}
	p.checkImages(ctx, plan)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if p.config != nil {
		plan.Locate(p.config.Sources.Locate)
	}
	return plan, nil
}

// PlanAgain makes a saved plan once more, of the files, the state and the hosts as they are now. The error is *Stale when these
// have moved, or when what was saved is not what they give: somebody has edited it. What it gives is to be applied, and no step
// that was read from a file.
func (p *Project) PlanAgain(ctx context.Context, saved *planner.Plan) (*Plan, error) {
	if err := p.loadFor(saved.Options); err != nil {
		return nil, err
	}
	in, err := p.Survey(ctx, saved.Options)
	if err != nil {
		return nil, err
	}
	if moved := planner.Verify(saved, in); len(moved) > 0 {
		return nil, &Stale{Moved: moved}
	}
	again, err := planner.New(in)
	if err != nil {
		return nil, err
	}
	if edited := planner.Differences(saved, again); len(edited) > 0 {
		return nil, &Stale{Edited: edited}
	}
	return &Plan{Plan: again, of: p, files: true}, nil
}
