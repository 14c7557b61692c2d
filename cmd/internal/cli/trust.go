package cli

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/spf13/pflag"

	"vmplan.dev/vmplan/cmd/internal/view"
	"vmplan.dev/vmplan/config"
	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/planner"
)

const allowURIPrograms = "allow-uri-programs"

// trustOptions are the flags by which the operator says what a project may do on this machine.
type trustOptions struct {
	programs bool
}

func (o *trustOptions) addTo(f *pflag.FlagSet) {
	f.BoolVar(&o.programs, allowURIPrograms, false, "let the uri of a host in the files run programs: transport ext, command=, netcat=, …")
}

// fromEnvironment adds what the environment says.
func (o *trustOptions) fromEnvironment(environ []string) error {
	return envFlag(environ, allowURIPrograms, &o.programs)
}

// envFlag sets a flag for which VMPLAN_NAME=1 in the environment stands too.
func envFlag(environ []string, flag string, set *bool) error {
	name := "VMPLAN_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
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

// openHost makes the driver for a host. written tells that it stands in the files.
func (a *App) openHost(h *resource.Host, written bool, env drivers.Env) (drivers.Driver, error) {
	env.Trust = drivers.Trust{Written: written, Programs: a.trust.programs}
	d, err := a.Drivers.Open(h, env)
	switch {
	case err == nil:
		return d, nil
	case errors.Is(err, drivers.ErrUntrusted) && written:
		return nil, advise(err, "Who writes such a uri runs programs as you, also with plan. If you trust these files: --"+allowURIPrograms+", or VMPLAN_ALLOW_URI_PROGRAMS=1 in the environment.")
	case errors.Is(err, drivers.ErrUntrusted):
		return nil, advise(err, fmt.Sprintf("This uri is in the state. One that runs programs must be in the files too, and be allowed there with --%s.", allowURIPrograms))
	}
	scheme, _, _ := strings.Cut(h.URI, ":")
	scheme, _, _ = strings.Cut(scheme, "+")
	if why := a.Absent[scheme]; why != "" {
		return nil, advise(err, why)
	}
	return nil, err
}

// writes tells whether the files say the host's uri, as far as that matters. Commands that only look work on what is recorded.
func (s *session) writes(h *resource.Host) bool {
	cfg := s.config
	if cfg == nil && s.app.trust.programs {
		cfg, _ = s.project.Load(s.prior())
	}
	if cfg == nil {
		return false
	}
	for written := range resource.Of[*resource.Host](cfg.Set) {
		if written.URI == h.URI {
			return true
		}
	}
	return false
}

// checkHosts finds hosts whose uri no driver of this build would open. Those that lack a driver only in this build are left out.
func (a *App) checkHosts(dir string, cfg *config.Config) config.Diagnostics {
	var found planner.Plan
	for h := range resource.Of[*resource.Host](cfg.Set) {
		scheme, _, ok := strings.Cut(h.URI, ":")
		base, _, _ := strings.Cut(scheme, "+")
		if !ok || a.Absent[base] != "" {
			continue
		}
		d, err := a.openHost(h, true, drivers.Env{Dir: dir, Log: slog.Default()})
		if err == nil {
			err = d.Close()
		}
		if err != nil {
			found.Findings = append(found.Findings, planner.Finding{Severity: planner.SeverityError, Addr: h.Addr, Path: "uri", Summary: "the host cannot be opened", Detail: fmt.Sprintf("%s: %v", h.Addr, err)})
		}
	}
	found.Locate(cfg.Sources.Locate)
	return view.FindingDiagnostics(found.Findings)
}
