package engine

import (
	"fmt"

	"vmplan.dev/vmplan/config/catalogue"
	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
)

// Connect makes the drivers of all hosts that the files (once loaded) or the state name, and the store of images; those that there are
// already stay. The files' word on a host counts. It does no I/O: the first look connects. The error is a *HostError.
func (p *Project) Connect() (err error) {
	if p.images == nil {
		if p.images, err = p.ImageStore(); err != nil {
			return fmt.Errorf("images: %w", err)
		}
	}
	if p.drivers == nil {
		p.drivers, p.opened = map[string]drivers.Driver{}, map[string]*resource.Host{}
	}
	for label, h := range p.hosts() {
		if err := p.connect(label, h); err != nil {
			return err
		}
	}
	return nil
}

// hosts are those that the files or the state name, by label.
func (p *Project) hosts() map[string]*resource.Host {
	hosts := map[string]*resource.Host{}
	for _, rec := range p.state.Records {
		if h, ok := rec.Object.(*resource.Host); ok {
			hosts[h.Label()] = h
		}
	}
	if p.config != nil {
		for h := range resource.Of[*resource.Host](p.config.Set) {
			hosts[h.Label()] = h
		}
	}
	return hosts
}

// connect makes the driver of a host, unless there is one of the same uri.
func (p *Project) connect(label string, h *resource.Host) error {
	if was := p.opened[label]; was != nil {
		if len(resource.Diff(was, h)) == 0 {
			return nil
		}
		if err := p.drivers[label].Close(); err != nil {
			p.opts.Log.Debug("a connection was not closed", "host", label, "error", err)
		}
		delete(p.drivers, label)
		delete(p.opened, label)
	}
	d, err := p.opts.OpenHost(h, p.writes(h), drivers.Env{Dir: p.dir, Images: p.images, Log: p.opts.Log})
	if err != nil {
		return err
	}
	p.drivers[label], p.opened[label] = d, h
	return nil
}

// openImages gives the store of images of a project; of one that is not trusted, a store that reaches nothing.
func (o *Options) openImages(settings ImageSettings) (ImageStore, error) {
	if o.Trust.Untrusted || o.Images == nil {
		return noImages{}, nil
	}
	return o.Images(settings)
}

// OpenHost makes the driver for a host as far as it is trusted. written tells that it stands in the files. The error is a
// *HostError.
func (o *Options) OpenHost(h *resource.Host, written bool, env drivers.Env) (drivers.Driver, error) {
	env.Trust = drivers.Trust{Hosts: o.Trust.Hosts, Written: written, Programs: o.Trust.Programs && !o.Trust.Untrusted}
	if o.Trust.Untrusted && env.Trust.Hosts == nil {
		env.Trust.Hosts = []string{}
	}
	d, err := o.Drivers.Open(h, env)
	if err != nil {
		return nil, &HostError{Host: h, Written: written, Err: err}
	}
	return d, nil
}

// writes tells whether the files say the host's uri, as far as that matters. Calls that only look work on what is recorded.
func (p *Project) writes(h *resource.Host) bool {
	cfg := p.config
	if cfg == nil && p.opts.Trust.Programs {
		cfg, _ = p.files.Load(p.prior())
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

// hostDefaults gives what the host behind a URI decides where the files say nothing.
func (p *Project) hostDefaults(uri string) resource.HostDefaults {
	if d, ok := p.opts.Drivers.Defaults(uri); ok {
		return d.HostDefaults
	}
	return p.opts.Defaults
}

// Able gives the driver of a host that can do something; the error says why it cannot.
func (p *Project) Able(host string, a drivers.Ability) (drivers.Driver, error) {
	d := p.drivers[host]
	if d == nil {
		return nil, fmt.Errorf("host.%s: %w: it is neither in the files nor in the state", host, drivers.ErrUnavailable)
	}
	if err := d.Can(a); err != nil {
		return nil, fmt.Errorf("host.%s %w", host, err)
	}
	return d, nil
}

// named gives what a name of the catalogue stands for.
func (p *Project) named(name string) (location, checksum string, ok bool) {
	if !catalogue.IsName(name) {
		return "", "", false
	}
	build, err := p.files.Catalogue().Find(name)
	return build.URL, build.Checksum, err == nil
}

// ImageStore gives the store of images of the project, which may have neither files nor state.
func (p *Project) ImageStore() (ImageStore, error) {
	return p.opts.openImages(ImageSettings{Dir: p.dir, Named: p.named})
}
