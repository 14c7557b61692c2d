package cli

import (
	"context"

	"github.com/spf13/cobra"
)

func (a *App) graphCommand() *cobra.Command {
	var o planOptions
	var objects bool
	c := &cobra.Command{
		Use:   "graph [DIR]",
		Short: "Print the steps of the plan as a graph",
		Long: `Prints the steps of the plan and their order in the DOT language of Graphviz. With --objects, prints the objects in the files
and their references instead.`,
		Example: `  vmplan graph | dot -Tsvg > plan.svg
  vmplan graph --objects`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if objects {
				return a.runObjectGraph(c.Context(), dirArg(args), o.projectOptions)
			}
			return a.runStepGraph(c.Context(), dirArg(args), o)
		},
	}
	o.projectOptions.addTo(c.Flags())
	c.Flags().StringArrayVar(&o.targets, "target", nil, "plan only `ADDR` and what it depends on (may be repeated)")
	c.Flags().BoolVar(&o.destroy, "destroy", false, "show the plan that deletes everything")
	c.Flags().BoolVar(&objects, "objects", false, "print the objects in the files, not the steps of the plan")
	return c
}

func (a *App) runStepGraph(ctx context.Context, dir string, o planOptions) error {
	s, p, err := a.draft(ctx, dir, o)
	if err != nil {
		return err
	}
	defer s.Close()
	return a.printer().StepGraph(p)
}

func (a *App) runObjectGraph(ctx context.Context, dir string, o projectOptions) error {
	s, err := a.open(ctx, dir, o, lockOptions{})
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.Load(); err != nil {
		return err
	}
	return a.printer().ObjectGraph(s.Config().Set)
}
