package config

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// Open reads and parses the project in folder dir, with the local modules it calls. The Project is never nil, and Load may
// be called on it also when there were errors, to find what else is wrong.
func Open(dir string, opts Options) (*Project, Diagnostics) {
	dir = fromHere(dir)
	p := &Project{dir: dir, opts: opts, files: &fileSet{dir: dir, parsed: map[string]*hcl.File{}, extra: map[string][]byte{}, confined: opts.Confined, given: opts.VarFiles}}
	for name, src := range opts.Extra {
		p.files.extra[filepath.Join(dir, name)] = src
	}
	var rep reporter
	l := &loader{files: p.files, rep: &rep, version: opts.Version, modules: map[string]*module{}}
	p.root = l.load(dir, nil, start(dir))
	p.state = l.stateSettings(p.root)
	p.stateKnown = p.knowsState(rep.diags)
	p.lock = l.readLock(dir)
	p.catalogue, p.badNames = l.readCatalogue(dir)
	p.values = l.readValues(p.root, opts)
	return p, rep.sorted()
}

// knowsState tells whether mistakes leave no doubt of where the state is: none is in a vmplan block, and there is a state
// block, or none can be in a file that could not be parsed, or the state file is where it is by default.
func (p *Project) knowsState(mistakes Diagnostics) bool {
	said := false
	for _, b := range p.root.settings {
		within := b.Range()
		for _, d := range mistakes {
			if d.Severity == hcl.DiagError && d.Subject != nil && d.Subject.Filename == within.Filename && d.Subject.Overlaps(within) {
				return false
			}
		}
		for _, nested := range b.Body.Blocks {
			said = said || nested.Type == "state"
		}
	}
	if said || !p.root.broken && !p.root.empty {
		return true
	}
	info, err := os.Stat(p.state.Path)
	return err == nil && info.Mode().IsRegular()
}

// Sensitive tells whether the root module declares the variable as sensitive: its value must not be kept in clear.
func (p *Project) Sensitive(variable string) bool {
	v := p.root.variables.byName[variable]
	return v != nil && v.sensitive
}

// fromHere writes a folder at or below the current one relative to it, as people would in a message.
func fromHere(dir string) string {
	dir = filepath.Clean(dir)
	cwd, err := os.Getwd()
	if err != nil || !filepath.IsAbs(dir) {
		return dir
	}
	if rel, err := filepath.Rel(cwd, dir); err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
		return rel
	}
	return dir
}

// start is the range of a whole file, or of what is not in a file at all.
func start(name string) hcl.Range {
	return hcl.Range{Filename: name, Start: hcl.InitialPos, End: hcl.InitialPos}
}
