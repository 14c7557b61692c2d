package engine

import (
	"context"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/planner"
)

// action makes a plan of what a user asks for directly.
func (p *Project) action(plan *planner.Plan, err error) (*Plan, error) {
	if err != nil {
		return nil, err
	}
	return &Plan{Plan: plan, of: p}, nil
}

// Power plans what act does to the recorded vms that the addresses select. Hosts are not looked at.
func (p *Project) Power(addrs []resource.Addr, act planner.PowerAction) (*Plan, error) {
	plan, err := planner.Power(planner.Input{State: p.state, Version: p.opts.Version}, addrs, act)
	if err != nil {
		return nil, err
	}
	return &Plan{Plan: plan, of: p}, p.Connect()
}

// TakeSnapshot plans a snapshot of a vm that was seen, with its guest's memory if it runs.
func (p *Project) TakeSnapshot(addr resource.Addr, name string, memory bool) (*Plan, error) {
	return p.action(planner.TakeSnapshot(p.seen, addr, name, memory))
}

// DropSnapshot plans the deletion of a snapshot of a vm that was seen.
func (p *Project) DropSnapshot(addr resource.Addr, name string) (*Plan, error) {
	return p.action(planner.DropSnapshot(p.seen, addr, name))
}

// RestoreSnapshot plans to bring the disks of a vm that was seen back to a snapshot. Settle plans what the files say of it then.
func (p *Project) RestoreSnapshot(ctx context.Context, addr resource.Addr, name string) (*Plan, error) {
	plan, err := planner.RestoreSnapshot(p.seen, addr, name)
	if err != nil {
		return nil, err
	}
	return p.complete(ctx, plan, false)
}

// Flatten plans to make a volume that was seen, or the disks of a vm, independent of their backing volumes.
func (p *Project) Flatten(ctx context.Context, addr resource.Addr) (*Plan, error) {
	plan, err := planner.Flatten(p.seen, addr)
	if err != nil {
		return nil, err
	}
	return p.complete(ctx, plan, false)
}

// PruneImages plans the deletion of recorded images that nothing uses. Hosts must have been observed whole.
func (p *Project) PruneImages() (*Plan, []planner.ImageUse) {
	uses := planner.ImageUses(p.seen)
	return &Plan{Plan: planner.PruneImages(p.seen, uses), of: p}, uses
}
