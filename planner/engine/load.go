package engine

import (
	"vmplan.dev/vmplan/config"
	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/planner"
)

// Load evaluates the files against what the state has fixed already; Config gives the result. Warnings are an event, mistakes
// the error.
func (p *Project) Load() error {
	cfg, diags := p.files.Load(p.prior())
	if diags.HasErrors() {
		return &Mistakes{Diagnostics: diags, Files: p.files}
	}
	if len(diags) > 0 {
		p.tell(Warnings{Diagnostics: diags})
	}
	p.config = cfg
	return nil
}

// loadExtra evaluates the files together with others that are not there yet, by name, and gives what is wrong.
func (p *Project) loadExtra(extra map[string][]byte) (*config.Project, *config.Config, config.Diagnostics) {
	opts := p.configOptions()
	opts.Extra = extra
	files, diags := config.Open(p.dir, opts)
	cfg, more := files.Load(p.prior())
	return files, cfg, append(diags, more...)
}

// loadFor loads the files for a plan. To destroy, what is recorded is enough: files with mistakes, or without a value for
// a variable, do not stand in the way.
func (p *Project) loadFor(opts planner.Options) error {
	if !opts.Destroy {
		return p.Load()
	}
	cfg, diags := p.files.Load(p.prior())
	if p.parsed.HasErrors() || diags.HasErrors() {
		p.tell(Ignored{Diagnostics: diags})
		cfg = &config.Config{Set: resource.NewSet(), Sources: cfg.Sources, Hash: cfg.Hash}
	}
	p.config = cfg
	return nil
}

// prior is what was decided when objects were made.
func (p *Project) prior() config.Prior {
	prior := config.Prior{Lineage: p.state.Lineage, Salt: p.state.Salt, Objects: make(map[resource.Addr]resource.Resource, len(p.state.Records))}
	for addr, rec := range p.state.Records {
		prior.Objects[addr] = rec.Object
	}
	return prior
}

// Hides tells whether a value is part of what is not shown of an image's URL.
func (p *Project) Hides(value string) bool {
	for img := range resource.Of[*resource.Image](p.config.Set) {
		if resource.Hides(img.Location(), value) || resource.Hides(img.ChecksumLocation(), value) {
			return true
		}
	}
	return false
}
