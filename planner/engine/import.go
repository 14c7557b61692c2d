package engine

import (
	"fmt"

	"vmplan.dev/vmplan/config"
	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/planner"
)

// ImportOptions say what of the hosts is to be taken over.
type ImportOptions struct {
	Kind resource.Kind // vm, network, pool or volume
	Glob string        // of names; for volumes POOL/FILE
	Host string        // label of the one host that counts; empty: all
	File string        // name of the file of the project that the blocks will be in
}

// Imported are the blocks that take over what hosts have.
type Imported struct {
	Text    []byte
	Objects []ImportedObject
	Left    []string // what of the guests is in no block
}

// ImportedObject is one of them.
type ImportedObject struct {
	Addr     resource.Addr
	Host, ID string
}

// Unwritable is the error of Import when what a host has cannot be written so that nothing changes. Fields has a line for each.
type Unwritable struct{ Fields []string }

func (e *Unwritable) Error() string {
	return fmt.Sprintf("what the host has cannot be written so that nothing changes: %q", e.Fields)
}

// Import writes the blocks that take over what is on the hosts and has no mark, so that the plan with them changes nothing. It writes
// no file. Files must be loaded and hosts surveyed whole.
func (p *Project) Import(o ImportOptions) (*Imported, error) {
	w := newImportWriter(p.seen, o.Host)
	found, err := w.find(o.Kind, o.Glob)
	if err != nil {
		return nil, err
	}
	out := &Imported{}
	for _, f := range found {
		w.describe(f)
		out.Objects = append(out.Objects, ImportedObject{Addr: f.addr, Host: f.host, ID: f.id})
	}
	if out.Text, err = p.refine(w, o.File); err != nil {
		return nil, err
	}
	out.Left = w.left
	return out, nil
}

// maxRefinements is far above what fields depend on one another's defaults.
const maxRefinements = 8

// refine plans with what is written so far, and writes down what that would change, until it would change nothing.
func (p *Project) refine(w *importWriter, file string) ([]byte, error) {
	var left []string
	for range maxRefinements {
		text := config.WriteBlocks(w.all())
		files, cfg, diags := p.loadExtra(map[string][]byte{file: text})
		if diags.HasErrors() {
			return nil, &Mistakes{Diagnostics: diags, Files: files, Because: "what the host has cannot be written as blocks: nothing was written"}
		}
		next := p.seen
		next.Desired, next.Moves, next.Removed, next.Imports = cfg.Set, cfg.Moves, cfg.Removed, cfg.Imports
		next.Options.Targets = w.targets()
		plan, err := planner.New(next)
		if err != nil {
			return nil, err
		}
		if left = w.learn(plan); len(left) == 0 && len(w.learned) == 0 {
			return text, nil
		}
		if len(w.learned) == 0 {
			break
		}
	}
	left = append(left, w.learned...)
	return nil, &Unwritable{Fields: left}
}

// found is an object on a host that is to be imported.
type found struct {
	addr  resource.Addr
	host  string
	id    string
	live  *drivers.Object
	block *config.Block
}
