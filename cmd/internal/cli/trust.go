package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
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
	f.BoolVar(&o.programs, allowURIPrograms, false, "let the uri of a host in the files run programs: transport ext, command=, netcat=, …")
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

// checkLinks refuses links out of a project that is not trusted, and what is neither a file nor a folder in it.
func (o *trustOptions) checkLinks(dir string) error {
	if !o.untrusted {
		return nil
	}
	root, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return err
	}
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || entry.Type().IsRegular() {
			return err
		}
		name, _ := filepath.Rel(root, path)
		if entry.Type() != fs.ModeSymlink {
			return fmt.Errorf("%s is neither a file nor a folder, which --%s does not read", name, untrusted)
		}
		target, err := filepath.EvalSymlinks(path)
		if err != nil {
			return fmt.Errorf("%s leads nowhere, which --%s does not follow: %w", name, untrusted, err)
		}
		if rel, err := filepath.Rel(root, target); err != nil || !filepath.IsLocal(rel) {
			return fmt.Errorf("%s leads out of the project's folder, where --%s reads nothing", name, untrusted)
		}
		return nil
	})
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

// openHost makes the driver for a host. written tells that it stands in the files.
func (a *App) openHost(h *resource.Host, written bool, env drivers.Env) (drivers.Driver, error) {
	env.Trust.Written, env.Trust.Programs = written, a.trust.programs
	d, err := a.Drivers.Open(h, env)
	switch {
	case err == nil:
		return d, nil
	case errors.Is(err, drivers.ErrUntrusted) && env.Trust.Hosts != nil && !slices.Contains(env.Trust.Hosts, h.URI):
		return nil, advise(err, fmt.Sprintf("If you trust this host with what the files ask of it: --%s '%s', or %s in the environment.", allowHost, h.URI, envName(allowHost)))
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

// hostDefaults gives what the host behind a URI decides where the files say nothing.
func (a *App) hostDefaults(uri string) resource.HostDefaults {
	if d, ok := a.Drivers.Defaults(uri); ok {
		return d.HostDefaults
	}
	return a.Defaults
}
