package config

import (
	"path/filepath"

	"github.com/hashicorp/hcl/v2"
)

// Open reads and parses the project in folder dir, with the local modules it calls. The Project is never nil, and Load may
// be called on it also when there were errors, to find what else is wrong.
func Open(dir string, opts Options) (*Project, Diagnostics) {
	p := &Project{dir: dir, opts: opts, files: &fileSet{parsed: map[string]*hcl.File{}}}
	var rep reporter
	l := &loader{files: p.files, rep: &rep, version: opts.Version, modules: map[string]*module{}}
	p.root = l.load(filepath.Clean(dir), nil, hcl.Range{Filename: dir})
	p.state = l.stateSettings(p.root)
	p.values = l.readValues(p.root, opts)
	return p, rep.sorted()
}
