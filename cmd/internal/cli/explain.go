package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/planner"
)

func (a *App) explainCommand() *cobra.Command {
	var o projectOptions
	var asJSON bool
	c := &cobra.Command{
		Use:   "explain ADDR[.FIELD]",
		Short: "Explain what the plan does to an object or field, and why",
		Long: `For an object, shows what the plan does to it, why, in which steps, and which line of the files causes it.

For a field, such as vm.web.memory, vm.web.disk.root.size or vm.web.nic.lan.mac, shows the value in the files or the default,
the recorded value, the value in the host's definition and the value in the running guest. If they differ, it also shows what the
change does to the guest and which call makes it.`,
		Example: `  vmplan explain vm.web
  vmplan explain vm.web.memory
  vmplan explain vm.web.disk.root.size --json`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return a.runExplain(c.Context(), args[0], o, asJSON) },
	}
	o.addTo(c.Flags())
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func (a *App) runExplain(ctx context.Context, text string, o projectOptions, asJSON bool) error {
	what, err := resource.ParseAddr(text)
	if err != nil {
		return err
	}
	s, p, err := a.draft(ctx, ".", planOptions{projectOptions: o})
	if err != nil {
		return err
	}
	defer s.Close()
	e, path, err := explain(s.Seen(), p, what)
	if err != nil {
		return err
	}
	v := a.printer().Explanation(e, path, s.Config())
	if asJSON {
		return v.JSON()
	}
	return v.Text()
}

// explain finds out which object the address is about, and which field of it: vm.web.disk.root is a volume, and
// vm.web.disk.root.bus a field of vm.web.
func explain(in planner.Input, p *planner.Plan, what resource.Addr) (planner.Explanation, string, error) {
	for _, c := range candidates(what) {
		e, ok := planner.Explain(in, p, c.addr, c.path)
		if ok && (c.path == "" || len(e.Fields) > 0) {
			return e, c.path, nil
		}
	}
	owner := what.Owner()
	if _, ok := planner.Explain(in, p, owner, ""); ok {
		return planner.Explanation{}, "", fmt.Errorf("%s has no field %s that is set anywhere: vmplan explain --json %s shows those that are", owner, what.Part, owner)
	}
	for addr := range in.Desired.All() {
		if owner.Contains(addr) {
			return planner.Explanation{}, "", fmt.Errorf("%s names several objects: say which, for example %s", owner, addr.Owner())
		}
	}
	return planner.Explanation{}, "", fmt.Errorf("%s is neither in the files nor in the state", owner)
}

type candidate struct {
	addr resource.Addr
	path string
}

// candidates are the ways to divide an address into object and field, the longest object first.
func candidates(what resource.Addr) []candidate {
	if what.Part == "" {
		return []candidate{{what, ""}}
	}
	var out []candidate
	names := strings.Split(what.Part, ".")
	for n := len(names); n >= 0; n-- {
		out = append(out, candidate{what.WithPart(strings.Join(names[:n], ".")), strings.Join(names[n:], ".")})
	}
	if names[0] == "cloud_init" {
		out = append(out, candidate{what.WithPart("seed"), strings.Join(names[1:], ".")})
	}
	return out
}
