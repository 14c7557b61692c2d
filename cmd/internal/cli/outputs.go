package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"vmplan.dev/vmplan/config"
	"vmplan.dev/vmplan/planner"
	"vmplan.dev/vmplan/planner/engine"
)

// outputCommand prints outputs, which may hold what only running guests know.
func (a *App) outputCommand() *cobra.Command {
	var o projectOptions
	var asJSON, raw bool
	c := &cobra.Command{
		Use:   "output [NAME]",
		Short: "Print the project's outputs",
		Long:  `Prints all outputs, or the one called NAME, with the addresses that running guests have now.`,
		Example: `  vmplan output
  vmplan output url --raw
  vmplan output --json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if raw && len(args) == 0 {
				return errors.New("--raw prints one output: name it")
			}
			s, err := a.open(c.Context(), ".", o, lockOptions{})
			if err != nil {
				return err
			}
			defer s.Close()
			if err := s.read(c.Context()); err != nil {
				return err
			}
			outputs, err := s.outputs()
			if err != nil {
				return err
			}
			if len(args) == 0 {
				return a.printer().Outputs(outputs, asJSON)
			}
			for _, out := range outputs {
				if out.Name == args[0] {
					return a.printer().Output(out, asJSON, raw)
				}
			}
			if len(outputs) == 0 {
				return fmt.Errorf("there is no output %q: the project has none", args[0])
			}
			return fmt.Errorf("there is no output %q: there are %s", args[0], names(outputs))
		},
	}
	o.addTo(c.Flags())
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.Flags().BoolVar(&raw, "raw", false, "with NAME: print a text, number or bool without quotes, for scripts")
	return c
}

func names(outputs []config.Output) string {
	var out []string
	for _, o := range outputs {
		out = append(out, o.Name)
	}
	return strings.Join(out, ", ")
}

// read loads the files and observes the hosts, for commands that only look.
func (s *session) read(ctx context.Context) error {
	if err := s.Load(); err != nil {
		return err
	}
	_, err := s.Survey(ctx, planner.Options{})
	return err
}

// outputs evaluates the outputs with what was observed last, and prints what is wrong with them.
func (s *session) outputs() ([]config.Output, error) {
	outputs, diags := s.Outputs()
	if diags.HasErrors() {
		return nil, &engine.Mistakes{Diagnostics: diags, Files: s.Files()}
	}
	s.app.printer().Diagnostics(diags, s.Files().Files())
	return outputs, nil
}
