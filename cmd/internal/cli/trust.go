package cli

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"vmplan.dev/vmplan/cmd/internal/view"
	"vmplan.dev/vmplan/config"
	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/planner"
)

// The flags by which the operator says what a project may do on this machine.
const (
	allowURIPrograms = "allow-uri-programs"
	allowHost        = "allow-host"
	untrusted        = "untrusted"
)

// trustOptions are what these flags say.
type trustOptions struct {
	programs  bool
	untrusted bool     // the files come from anybody
	hosts     []string // URIs; nil: all
}

func (o *trustOptions) addTo(f *pflag.FlagSet) {
	f.BoolVar(&o.programs, allowURIPrograms, false, "allow host URIs in the files to run programs (transport ext, command=, netcat=, …)")
	f.BoolVar(&o.untrusted, untrusted, false, "only look at a project that may come from anybody: run no program, read nothing outside of its folder, connect to no host but those of --"+allowHost)
	f.StringArrayVar(&o.hosts, allowHost, nil, "connect to hosts with this `URI`, and to no others (may be repeated)")
}

// fromEnvironment adds what the environment says.
func (o *trustOptions) fromEnvironment(environ []string) error {
	if err := errors.Join(envFlag(environ, allowURIPrograms, &o.programs), envFlag(environ, untrusted, &o.untrusted)); err != nil {
		return err
	}
	for _, entry := range environ {
		if key, value, _ := strings.Cut(entry, "="); key == envName(allowHost) {
			o.hosts = append(o.hosts, strings.Fields(value)...)
		}
	}
	if o.untrusted && o.programs {
		return fmt.Errorf("--%s and --%s exclude each other", untrusted, allowURIPrograms)
	}
	if o.untrusted && o.hosts == nil {
		o.hosts = []string{}
	}
	return nil
}

// looks are the commands that only look at a project.
var looks = []string{"plan", "validate", "show", "list", "output", "explain", "render", "graph", "version", "help", "completion"}

// check refuses commands that do more than look at a project that is not trusted.
func (o *trustOptions) check(c *cobra.Command) error {
	top := c
	for top.HasParent() && top.Parent().HasParent() {
		top = top.Parent()
	}
	if o.untrusted && !slices.Contains(looks, top.Name()) {
		return fmt.Errorf("--%s is for commands that only look: %s", untrusted, strings.Join(looks, ", "))
	}
	return nil
}

func envName(flag string) string {
	return "VMPLAN_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// envFlag sets a flag for which VMPLAN_NAME=1 in the environment stands too.
func envFlag(environ []string, flag string, set *bool) error {
	name := envName(flag)
	for _, entry := range environ {
		switch key, value, _ := strings.Cut(entry, "="); {
		case key != name || value == "" || value == "0":
		case value == "1":
			*set = true
		default:
			return fmt.Errorf("%s=%s: write 1 or 0", name, value)
		}
	}
	return nil
}

// checkHosts finds hosts whose uri no driver of this build would open. Those that lack a driver only in this build are left out.
func (a *App) checkHosts(dir string, cfg *config.Config) config.Diagnostics {
	var found planner.Plan
	opts := a.engineOptions()
	opts.Trust.Hosts, opts.Trust.Untrusted = nil, false // no connection is made
	for h := range resource.Of[*resource.Host](cfg.Set) {
		scheme, _, ok := strings.Cut(h.URI, ":")
		base, _, _ := strings.Cut(scheme, "+")
		if !ok || a.Absent[base] != "" {
			continue
		}
		d, err := opts.OpenHost(h, true, drivers.Env{Dir: dir, Log: slog.Default()})
		if err == nil {
			err = d.Close()
		}
		if err != nil {
			found.Findings = append(found.Findings, planner.Finding{Severity: planner.SeverityError, Addr: h.Addr, Path: "uri", Summary: "the host cannot be opened", Detail: a.advised(err).Error()})
		}
	}
	found.Locate(cfg.Sources.Locate)
	return view.FindingDiagnostics(found.Findings)
}
