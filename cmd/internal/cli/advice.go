package cli

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/planner/engine"
	"vmplan.dev/vmplan/state"
)

// advised adds to an error of the engine what to do about it on the command line.
func (a *App) advised(err error) error {
	var host *engine.HostError
	var record *engine.StateError
	advice := ""
	switch {
	case errors.As(err, &host):
		advice = a.adviceOnHost(host)
	case errors.As(err, &record):
		advice = adviceOnState(record)
	}
	if advice == "" {
		return err
	}
	return advise(err, advice)
}

func (a *App) adviceOnHost(e *engine.HostError) string {
	untrusted := errors.Is(e.Err, drivers.ErrUntrusted)
	switch {
	case untrusted && a.trust.hosts != nil && !slices.Contains(a.trust.hosts, e.Host.URI):
		return fmt.Sprintf("If you trust this host with what the files ask of it: --%s '%s', or %s in the environment.", allowHost, e.Host.URI, envName(allowHost))
	case untrusted && e.Written:
		return "Who writes such a uri runs programs as you, also with plan. If you trust these files: --" + allowURIPrograms + ", or VMPLAN_ALLOW_URI_PROGRAMS=1 in the environment."
	case untrusted:
		return fmt.Sprintf("This uri is in the state. One that runs programs must be in the files too, and be allowed there with --%s.", allowURIPrograms)
	}
	scheme, _, _ := strings.Cut(e.Host.URI, ":")
	scheme, _, _ = strings.Cut(scheme, "+")
	return a.Absent[scheme]
}

func adviceOnState(e *engine.StateError) string {
	switch {
	case errors.Is(e.Err, state.ErrNewer):
		return "It was left as it is. Use a vmplan that is at least as new as the one that wrote it."
	case errors.Is(e.Err, state.ErrCorrupt):
		backup := e.Settings.Path + ".backup"
		if _, err := os.Stat(backup); err == nil {
			return "It was left as it is. The one before it can take its place: vmplan state push --force " + backup
		}
		return "It was left as it is. Put a copy of it in its place (vmplan state push --force FILE), or move it away: vmplan state rebuild makes one of what is on the hosts."
	}
	return ""
}
