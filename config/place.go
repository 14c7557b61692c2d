package config

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"vmplan.dev/vmplan/config/catalogue"
	"vmplan.dev/vmplan/config/internal/complete"
	"vmplan.dev/vmplan/config/resource"
)

// placement decides where objects live: host, pool and file.
type placement struct {
	*evaluator
	hosts      []*resource.Host
	fallback   *resource.Host             // host of objects that name none
	guess      bool                       // that there is no host, or which, may come of a mistake: nothing is said about it
	pools      map[string]*resource.Pool  // default pool by host; nil when that cannot be told
	undeclared []*resource.Pool           // used, and in no file
	named      map[poolKey]*resource.Pool // by name on the host
	used       map[resource.Addr]location // of what is used and not recorded itself, by what its users say
	extra      []resource.Resource        // parts of vms
}

// place gives every object its host, and images and volumes their pool and file.
func (e *evaluator) place() *placement {
	p := &placement{evaluator: e, pools: map[string]*resource.Pool{}}
	p.findHosts()
	for _, o := range e.objects {
		p.onHost(o)
	}
	p.takeOverImplicit()
	e.project.lock.distinguish(e)
	for _, o := range e.objects {
		if img, ok := o.res.(*resource.Image); ok {
			p.image(o, img)
		}
	}
	for _, o := range e.objects {
		if v, ok := o.res.(*resource.Volume); ok {
			p.volume(o, v)
		}
	}
	return p
}

func (p *placement) findHosts() {
	var preferred *object
	for _, o := range p.objects {
		h, ok := o.res.(*resource.Host)
		if !ok {
			continue
		}
		p.hosts = append(p.hosts, h)
		if h.Default && preferred != nil {
			p.rep.addFirst(mistake(o.at("default"), "Two defaults", "%s is the default host already (%s).", preferred.addr, place(preferred.at("default"))))
		} else if h.Default {
			preferred, p.fallback = o, h
		}
	}
	if len(p.hosts) == 1 {
		p.fallback = p.hosts[0]
	}
	p.guess = p.brokenHosts()
}

// onHost gives an object that names no host the one that it is recorded on, or else the default host.
func (p *placement) onHost(o *object) {
	meta := o.res.Base()
	for sc := o.scope; sc != nil && o.addr.Kind != resource.KindHost && !o.bad["host"]; sc = sc.parent {
		complete.OrElse(&meta.Host, sc.host)
	}
	switch {
	case o.addr.Kind == resource.KindHost || meta.Host != "" || o.bad["host"]:
	case p.staysOnHost(o):
	case p.fallback != nil:
		meta.Host = p.fallback.Label()
	case len(p.hosts) > 1 && !p.guess:
		p.rep.addFirst(mistake(o.block.header, "Host not named", "There are %d hosts, so %s must say on which it lives: host = host.%s. Or mark one host with default = true.", len(p.hosts), o.addr, p.hosts[0].Addr.Name))
	case len(p.hosts) == 0 && !p.guess:
		first := slices.MinFunc(p.objects, func(a, b *object) int { return resource.Compare(a.addr, b.addr) })
		p.rep.addFirst(mistake(first.block.header, "No host", "Nothing says where %s should live. Declare a host: host \"lab\" { uri = %q }.", first.addr, p.project.opts.ExampleURI))
		p.guess = true
	}
}

// brokenHosts tells whether there may be hosts that a mistake hides.
func (p *placement) brokenHosts() bool {
	return p.root().mod.broken || slices.ContainsFunc(p.root().mod.blocks.order, func(name string) bool {
		b := p.root().mod.blocks.byName[name]
		return b.kind == resource.KindHost && p.root().objects[name] == nil
	})
}

func (e *evaluator) root() *scope { return e.scopes[0] }

// host gives the host with a label, or nil.
func (p *placement) host(label string) *resource.Host {
	i := slices.IndexFunc(p.hosts, func(h *resource.Host) bool { return h.Label() == label })
	if i < 0 {
		return nil
	}
	return p.hosts[i]
}

// network gives the network at a, or nil.
func (e *evaluator) network(a resource.Addr) *resource.Network {
	if o := e.byID[a.String()]; o != nil && !a.IsZero() {
		return o.res.(*resource.Network)
	}
	return nil
}

// target gives what field path of o refers to, or nil when it refers to nothing or to something on another host, which is
// reported.
func (p *placement) target(o *object, path string, to resource.Addr) *object {
	t := p.byID[to.String()]
	if to.IsZero() || t == nil {
		return nil
	}
	here, there := o.res.Base().Host, t.res.Base().Host
	if here == "" || there == "" {
		return nil
	}
	if here != there {
		p.rep.addFirst(mistake(o.at(path), "Object of another host", "%s lives on host.%s and %s on host.%s: they cannot be used together. Declare one on the same host, or move one with host = ….", o.addr, here, to, there))
		return nil
	}
	return t
}

// pool gives the pool of the volume at a: the one that field path of o names, or where it lies already, or the host's
// default. Nil when there is none, which is reported.
func (p *placement) pool(o *object, path string, a, named resource.Addr) *resource.Pool {
	if !named.IsZero() {
		if t := p.target(o, path, named); t != nil {
			return t.res.(*resource.Pool)
		}
		return nil
	}
	host := o.res.Base().Host
	if host == "" || o.bad[path] {
		return nil
	}
	if recorded, ok := p.recordedPool(o, a, host); ok {
		return recorded
	}
	pool, known := p.pools[host]
	if !known {
		pool = p.defaultPool(o, host)
		p.pools[host] = pool
	}
	return pool
}

// defaultPool is the one marked as default, or the only one, or the implicit one.
func (p *placement) defaultPool(o *object, host string) *resource.Pool {
	var all []*resource.Pool
	var preferred *object
	for _, c := range p.objects {
		pool, ok := c.res.(*resource.Pool)
		if !ok || pool.Host != host {
			continue
		}
		all = append(all, pool)
		switch {
		case pool.Default && preferred != nil:
			p.rep.addFirst(mistake(c.at("default"), "Two defaults", "%s is the default pool of host.%s already (%s).", preferred.addr, host, place(preferred.at("default"))))
		case pool.Default:
			preferred = c
		}
	}
	switch {
	case preferred != nil:
		return preferred.res.(*resource.Pool)
	case len(all) == 1:
		return all[0]
	case len(all) > 1:
		p.rep.addFirst(mistake(o.block.header, "Pool not named", "host.%s has %d pools, so %s must say in which it lives: pool = %s. Or mark one pool with default = true.", host, len(all), o.addr, all[0].Addr))
		return nil
	}
	return p.implicitPool(host)
}

// image places an image; one that another is made from is placed before that.
func (p *placement) image(o *object, img *resource.Image) {
	pool := p.pool(o, "pool", img.Addr, img.Pool)
	if pool == nil || img.PoolName != "" {
		return
	}
	img.Pool, img.PoolName = pool.Addr, pool.Name
	switch {
	case !img.IsManaged():
		img.File = img.Name
		return
	case !img.From.IsZero():
		p.built(o, img)
		return
	}
	format := img.Format
	if format == "" {
		format = p.defaultsOf(o).DiskFormat
		location := img.Source
		if build, err := p.project.catalogue.Find(location); catalogue.IsName(location) && err == nil {
			location = build.URL
		}
		if strings.HasSuffix(uncompressed(location), ".raw") {
			format = "raw"
		}
	}
	// With the lineage, two projects on one host may have the same image.
	parts := []string{p.namespace.Lineage, img.Source, img.Checksum, img.Format}
	img.Pin = p.pin(img)
	if version := img.Pin.Version(); version != "" {
		parts = append(parts, version)
	}
	p.useRecordedLocations(img)
	for _, full := range []resource.Secret{img.FullSource, img.FullChecksum} {
		if !full.IsZero() {
			parts = append(parts, full.Hash())
		}
	}
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	img.File = fmt.Sprintf("%s-%s.%s", img.Name, hex.EncodeToString(sum[:4]), format)
	p.useRecordedImageFile(img)
}

func uncompressed(source string) string {
	for _, suffix := range []string{".xz", ".gz", ".zst", ".bz2"} {
		source = strings.TrimSuffix(source, suffix)
	}
	return source
}

func (p *placement) volume(o *object, v *resource.Volume) {
	pool := p.pool(o, "pool", v.Addr, v.Pool)
	if pool == nil {
		return
	}
	v.Pool, v.PoolName = pool.Addr, pool.Name
	v.File = v.Name
	if v.IsManaged() {
		v.File = v.Name + "." + v.Format
		p.useRecordedFile(v)
	}
	v.Backing = p.backing(o, "image", v.Image)
}

// backing gives the volume under an overlay of the image that field path of o names, or nothing.
func (p *placement) backing(o *object, path string, image resource.Addr) string {
	t := p.target(o, path, image)
	if t == nil {
		return ""
	}
	p.image(t, t.res.(*resource.Image))
	return resource.VolumeID(t.res)
}
