// Command embed plans and applies a project, as another program would that has vmplan in it: on simulated hosts, without libvirt.
package main

import (
	"context"
	"fmt"
	"os"

	"vmplan.dev/vmplan/planner"
	"vmplan.dev/vmplan/planner/engine"
	"vmplan.dev/vmplan/planner/engine/standard"
)

func main() {
	if err := apply(context.Background(), os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// apply makes the hosts what the files in dir say.
func apply(ctx context.Context, dir string) error {
	project, err := engine.Open(ctx, dir, engine.Options{Parts: standard.Parts(), Lock: &engine.Lock{Operation: "embed"}})
	if err != nil {
		return err
	}
	defer project.Close()
	plan, err := project.Plan(ctx, planner.Options{})
	if err != nil {
		return err
	}
	summary, err := project.Apply(ctx, plan, engine.ApplyOptions{})
	fmt.Printf("%d changes, %d steps done\n", len(plan.Changes), summary.Done)
	return err
}
