package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/planner"
	"vmplan.dev/vmplan/state"
)

type rebuildOptions struct {
	projectOptions
	lock    lockOptions
	lineage string
	dryRun  bool
}

func (a *App) stateRebuildCommand() *cobra.Command {
	var o rebuildOptions
	c := &cobra.Command{
		Use:   "rebuild",
		Short: "Make a lost state anew from what the hosts have",
		Long: `Vms and networks bear a mark that says which project made them, and as what. Rebuild records those of this project, also when
the files no longer have them, with the disks that the vms own; the volumes, images and pools of the files that these use;
and the images of the files, which no other project calls so. It says of each why it is taken, and what it leaves: that can be
taken with an import block. No host is changed.

A state that has records is never replaced: move it away first.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.runStateRebuild(c.Context(), o) },
	}
	o.projectOptions.addTo(c.Flags())
	o.lock.addTo(c.Flags())
	c.Flags().StringVar(&o.lineage, "lineage", "", "rebuild the state of the project with this `ID`; by default the one in .vmplan, or the one whose marks the objects bear")
	c.Flags().BoolVar(&o.dryRun, "dry-run", false, "only show what would be recorded")
	return c
}

func (a *App) runStateRebuild(ctx context.Context, o rebuildOptions) error {
	s, err := a.parse(".", o.projectOptions)
	if err != nil {
		return err
	}
	if s.parsed.HasErrors() {
		return s.mistakes()
	}
	o.lock.operation = "state rebuild"
	if err := s.openBackend(ctx, o.lock); err != nil {
		return err
	}
	defer s.Close()
	current, err := s.backend.Read(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("read state: %w: move it away to make it anew", err)
	case len(current.Records) > 0:
		return fmt.Errorf("there is a state, with %d objects: move it away to make it anew", len(current.Records))
	}
	rebuilt, err := s.rebuild(ctx, o.lineage, current)
	if err != nil {
		return err
	}
	if err := a.printer().Rebuilt(rebuilt, s.state.Lineage, o.dryRun); err != nil || o.dryRun {
		return err
	}
	return s.putRebuilt(ctx, current, rebuilt)
}

// rebuild looks at the hosts twice: first for what their marks tell, then for what the files say with that known.
func (s *session) rebuild(ctx context.Context, lineage string, current *state.Snapshot) (*planner.Rebuilt, error) {
	s.state = &state.Snapshot{Lineage: lineage}
	if err := s.load(); err != nil {
		return nil, err
	}
	if err := s.connect(); err != nil {
		return nil, err
	}
	var err error
	if lineage == "" {
		if lineage, err = s.findLineage(ctx, current); err != nil {
			return nil, err
		}
	} else if _, err := uuid.Parse(lineage); err != nil {
		return nil, fmt.Errorf("--lineage %s: it is not the ID of a project", lineage)
	}
	s.state = &state.Snapshot{Lineage: lineage, Salt: state.Salt(lineage)}
	in, err := s.observe(ctx, planner.Options{})
	if err != nil {
		return nil, err
	}
	s.state.Records = planner.Marked(in.Hosts, lineage)
	if err := s.load(); err != nil {
		return nil, err
	}
	s.all = true // what is left is told as well
	if in, err = s.observe(ctx, planner.Options{}); err != nil {
		return nil, err
	}
	return planner.Rebuild(in), nil
}

// findLineage tells which project's state is lost: the one that the empty state is of, the one this folder was used for, or
// the only one whose marks are on objects that the files name.
func (s *session) findLineage(ctx context.Context, current *state.Snapshot) (string, error) {
	kept, err := keptIdentity(s.dir)
	if current.Lineage != "" {
		kept, err = current.Lineage, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	s.state = &state.Snapshot{Lineage: kept}
	in, err := s.observe(ctx, planner.Options{})
	if err != nil {
		return "", err
	}
	var told []string
	found := lineages(in)
	for _, l := range slices.Sorted(maps.Keys(found)) {
		told = append(told, fmt.Sprintf("%s: %s", l, strings.Join(found[l], ", ")))
	}
	switch {
	case kept != "" && (found[kept] != nil || len(found) == 0):
		return kept, nil
	case len(found) == 1 && kept == "":
		for l := range found {
			return l, nil
		}
	case len(found) == 0:
		return "", errors.New("no object that the files name bears a mark, so there is nothing to tell the project by: give its ID with --lineage, or import what there is")
	}
	s.app.printer().Refusal("It cannot be told which project's state is lost: say which with --lineage. On the hosts there are objects of", told)
	return "", exitError{ExitError}
}

// lineages gives the projects whose marks are on what was observed, with the objects.
func lineages(in planner.Input) map[string][]string {
	out := map[string][]string{}
	for _, label := range slices.Sorted(maps.Keys(in.Hosts)) {
		objects := in.Hosts[label].Observed.Objects
		for _, key := range slices.Sorted(maps.Keys(objects)) {
			if m := objects[key].Mark; m != nil {
				out[m.Lineage] = append(out[m.Lineage], m.Addr.String())
			}
		}
	}
	return out
}

func (s *session) putRebuilt(ctx context.Context, current *state.Snapshot, rebuilt *planner.Rebuilt) error {
	s.state.Records, s.state.Serial = rebuilt.Records, current.Serial
	put := s.backend.Write
	if current.Lineage != "" && current.Lineage != s.state.Lineage {
		put = s.backend.Replace
	}
	if err := put(ctx, s.state); err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	if id, err := uuid.Parse(s.state.Lineage); err == nil {
		if err := writeIdentity(s.dir, projectIdentity{Lineage: id}); err != nil {
			return fmt.Errorf("keep the project's ID: %w", err)
		}
	}
	hosts := 0
	for _, rec := range rebuilt.Records {
		if rec.Object.Kind() == resource.KindHost {
			hosts++
		}
	}
	s.app.printer().Note(fmt.Sprintf("Recorded %d objects on %d hosts. What is left to do: vmplan plan", len(rebuilt.Records)-hosts, hosts))
	return nil
}
