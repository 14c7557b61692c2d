package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"

	"vmplan.dev/vmplan/planner"
	"vmplan.dev/vmplan/state"
)

// Ambiguous is the error of Rebuild when objects of several projects could be meant. Projects has a line for each lineage.
type Ambiguous struct{ Projects []string }

func (e *Ambiguous) Error() string {
	return fmt.Sprintf("it cannot be told which project's state is lost: %q", e.Projects)
}

// Rebuild makes the records of a state that was lost, of what is on the hosts; current is the state that is there, empty as a rule.
// lineage is the project's; empty: that which can be told, or else *Ambiguous. It writes nothing: see PutRebuilt.
//
// It looks at the hosts twice: first for what their marks tell, then for what the files say with that known.
func (p *Project) Rebuild(ctx context.Context, lineage string, current *state.Snapshot) (*planner.Rebuilt, error) {
	p.state = &state.Snapshot{Lineage: lineage}
	if err := p.Load(); err != nil {
		return nil, err
	}
	if err := p.Connect(); err != nil {
		return nil, err
	}
	var err error
	if lineage == "" {
		if lineage, err = p.findLineage(ctx, current); err != nil {
			return nil, err
		}
	} else if _, err := uuid.Parse(lineage); err != nil {
		return nil, fmt.Errorf("--lineage %s: it is not the ID of a project", lineage)
	}
	p.state = &state.Snapshot{Lineage: lineage, Salt: state.Salt(lineage)}
	in, err := p.observe(ctx, planner.Options{}, false)
	if err != nil {
		return nil, err
	}
	p.state.Records = planner.Marked(in.Hosts, lineage)
	if err := p.Load(); err != nil {
		return nil, err
	}
	if in, err = p.observe(ctx, planner.Options{}, true); err != nil {
		return nil, err
	}
	return planner.Rebuild(in), nil
}

// findLineage tells which project's state is lost: the one that the empty state is of, the one this folder was used for, or
// the only one whose marks are on objects that the files name.
func (p *Project) findLineage(ctx context.Context, current *state.Snapshot) (string, error) {
	kept, err := keptIdentity(p.dir)
	if current.Lineage != "" {
		kept, err = current.Lineage, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	p.state = &state.Snapshot{Lineage: kept}
	in, err := p.observe(ctx, planner.Options{}, false)
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
	return "", &Ambiguous{Projects: told}
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

// PutRebuilt writes what Rebuild gave in the place of current.
func (p *Project) PutRebuilt(ctx context.Context, current *state.Snapshot, rebuilt *planner.Rebuilt) error {
	p.state.Records, p.state.Serial = rebuilt.Records, current.Serial
	put := p.backend.Write
	if current.Lineage != "" && current.Lineage != p.state.Lineage {
		put = p.backend.Replace
	}
	if err := put(ctx, p.state); err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	if id, err := uuid.Parse(p.state.Lineage); err == nil {
		if err := writeIdentity(p.dir, projectIdentity{Lineage: id}); err != nil {
			return fmt.Errorf("keep the project's ID: %w", err)
		}
	}
	return nil
}
