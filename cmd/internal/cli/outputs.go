package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"vmplan.dev/vmplan/config"
	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/planner"
)

// outputCommand prints outputs, which may hold what only running guests know.
func (a *App) outputCommand() *cobra.Command {
	var o projectOptions
	var asJSON, raw bool
	c := &cobra.Command{
		Use:   "output [NAME]",
		Short: "Print the project's outputs",
		Long:  "Prints the outputs, or the one called NAME, with what running guests say now (their addresses).",
		Args:  cobra.MaximumNArgs(1),
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

// outputs evaluates the outputs with what was observed last.
func (s *session) outputs() ([]config.Output, error) {
	outputs, diags := s.Config().Outputs(addresses(s.Seen()))
	s.app.printer().Diagnostics(diags, s.Files().Files())
	if diags.HasErrors() {
		return nil, exitError{ExitError}
	}
	return outputs, nil
}

// addresses collects what running guests are known to have.
func addresses(in planner.Input) map[resource.Addr]map[string][]string {
	live := map[resource.Addr]map[string][]string{}
	for vm := range resource.Of[*resource.VM](in.Desired) {
		if o := liveObject(in, vm); o != nil && o.Addresses != nil {
			live[vm.Addr] = o.Addresses
		}
	}
	return live
}

// liveObject is what the host has under r's key, or nil.
func liveObject(in planner.Input, r resource.Resource) *drivers.Object {
	host, ok := in.Hosts[r.Base().Host]
	if !ok {
		return nil
	}
	return host.Observed.Objects[resource.Key(r)]
}
