package config

import (
	"slices"
	"strings"

	"vmplan.dev/vmplan/config/internal/complete"
	"vmplan.dev/vmplan/config/resource"
)

// Where something lies is decided once and stays. An object that names no host or pool is where it is recorded, whatever the
// defaults are by now: it would be lost otherwise. Only host = … and pool = … in the files move it.

// location is where an object lies, as it is recorded.
type location struct {
	host     string
	pool     resource.Addr // zero for what is in no pool, and where only the name is known
	poolName string
}

// locationOf gives where the object at a lies, or the zero location.
func (p *placement) locationOf(a resource.Addr) location {
	switch r := p.prior.Objects[p.recordedAt(a)].(type) {
	case nil:
		return p.usedLocations()[a]
	case *resource.Image:
		return location{r.Host, r.Pool, r.PoolName}
	case *resource.Volume:
		return location{r.Host, r.Pool, r.PoolName}
	case *resource.Seed:
		return location{r.Host, r.Pool, r.PoolName}
	default:
		return location{host: r.Base().Host}
	}
}

// usedLocations tells where unmanaged objects are, which are not recorded themselves: the records of their users say it.
func (p *placement) usedLocations() map[resource.Addr]location {
	if p.used != nil {
		return p.used
	}
	p.used = map[resource.Addr]location{}
	for _, r := range p.prior.Objects {
		add := func(a resource.Addr, volume string) {
			now := p.nowAt(a)
			if pool, _, _ := strings.Cut(volume, "/"); !a.IsZero() && p.used[now].poolName == "" {
				p.used[now] = location{host: r.Base().Host, poolName: pool}
			}
		}
		switch r := r.(type) {
		case *resource.Image:
			add(r.Pool, "")
		case *resource.Volume:
			add(r.Pool, "")
			add(r.Image, r.Backing)
		case *resource.Seed:
			add(r.Pool, "")
		case *resource.VM:
			for i := range r.Disks {
				add(r.Disks[i].Volume, r.Disks[i].Source)
			}
			for i := range r.NICs {
				add(r.NICs[i].Network, "")
			}
		}
	}
	return p.used
}

// staysOnHost leaves an object that names no host on the one that it is recorded on.
func (p *placement) staysOnHost(o *object) bool {
	recorded := p.locationOf(o.addr).host
	switch {
	case recorded == "":
		return false
	case p.host(recorded) != nil:
		o.res.Base().Host = recorded
		return true
	case p.guess || p.fallback == nil:
		return false
	}
	p.rep.addFirst(mistake(o.block.header, "Host no longer declared", "%s lives on host.%s, which has no block any more. Write the block again, or take it to another host with host = host.%s: it is made anew there, and deleted on host.%s.", o.addr, recorded, p.fallback.Addr.Name, recorded))
	return true
}

// recordedPool gives the pool in which the object at a lies already, which is o or belongs to it; ok is false when it lies in
// none. The pool is nil when it cannot be used, which is reported.
func (p *placement) recordedPool(o *object, a resource.Addr, host string) (pool *resource.Pool, ok bool) {
	if in := p.importOf(a); in != nil {
		pool = p.poolsByName()[poolKey{host, in.pool}]
		return pool, pool != nil
	}
	at := p.locationOf(a)
	if at.poolName == "" || at.host != host {
		return nil, false
	}
	if pool := p.poolsByName()[poolKey{host, at.poolName}]; pool != nil && !pool.Implicit {
		return pool, true
	}
	was, _ := p.prior.Objects[at.pool].(*resource.Pool)
	if now := p.byID[p.nowAt(at.pool).String()]; now != nil && was != nil && !was.Implicit && was.Name == at.poolName {
		if pool := now.res.(*resource.Pool); pool.Host == host { // and has another name now
			return pool, true
		}
	}
	switch {
	case at.poolName == p.hostDefaults(host).PoolName && (was == nil || was.Implicit || p.released(at.pool) || at.pool == p.implicitPoolAddr(host)):
		return p.implicitPool(host), true
	case was == nil && !at.pool.IsZero() && p.byID[at.pool.String()] == nil, was != nil && p.released(at.pool):
		return p.undeclaredPool(at), true
	case a.Part == seedPart:
		return nil, false // it holds nothing that is not made anew
	}
	p.rep.addFirst(mistake(o.block.header, "Pool no longer declared", "%s lies in the pool %q of host.%s, which has no block any more. Write the block again, or say with pool = … where %s is to lie from now on: it is made anew there, and what it holds is lost.", a, at.poolName, host, a))
	return nil, true
}

// released tells whether a removed block leaves the object at a on its host.
func (p *placement) released(a resource.Addr) bool {
	return slices.ContainsFunc(p.root().mod.removals, func(r *removal) bool { return !r.cascade && r.from.addr.Contains(a) })
}

// undeclaredPool is a pool that objects lie in, and that is there on its host although no file declares it any more.
func (p *placement) undeclaredPool(at location) *resource.Pool {
	pool := &resource.Pool{Meta: resource.Meta{Addr: at.pool, Host: at.host, Name: at.poolName, Managed: new(false)}}
	p.addUndeclared(pool)
	return pool
}

func (p *placement) addUndeclared(pool *resource.Pool) {
	p.undeclared = append(p.undeclared, pool)
	p.poolsByName()[poolKey{pool.Host, pool.Name}] = pool
}

type poolKey struct{ host, name string }

// poolsByName gives the declared pools, and the others as they are made.
func (p *placement) poolsByName() map[poolKey]*resource.Pool {
	if p.named == nil {
		p.named = map[poolKey]*resource.Pool{}
		for _, o := range p.objects {
			if pool, ok := o.res.(*resource.Pool); ok {
				p.named[poolKey{pool.Host, pool.Name}] = pool
			}
		}
	}
	return p.named
}

// implicitPool is the pool that no file declares, and that the host has or is given where it keeps its storage by default.
func (p *placement) implicitPool(host string) *resource.Pool {
	defaults := p.hostDefaults(host)
	if pool := p.poolsByName()[poolKey{host, defaults.PoolName}]; pool != nil {
		return pool
	}
	addr := p.implicitPoolAddr(host)
	if taken := p.byID[addr.String()]; taken != nil {
		p.rep.addFirst(mistake(taken.block.header, "Label in use", "%s stands for the pool %q of host.%s, in which objects without pool = … lie. Give this pool another label.", addr, defaults.PoolName, host))
		return taken.res.(*resource.Pool)
	}
	pool := &resource.Pool{
		Meta: resource.Meta{Addr: addr, Host: host, Name: defaults.PoolName},
		Type: "dir", Path: defaults.PoolPath, Implicit: true,
	}
	complete.OrTrue(&pool.Autostart)
	p.addUndeclared(pool)
	return pool
}

// implicitPoolAddr is pool.NAME, with a key where there are several hosts, unless it is recorded the other way.
func (p *placement) implicitPoolAddr(host string) resource.Addr {
	plain := resource.Addr{Kind: resource.KindPool, Name: p.hostDefaults(host).PoolName}
	keyed := plain
	keyed.Key = resource.StringKey(host)
	for _, a := range []resource.Addr{plain, keyed} {
		if was, ok := p.prior.Objects[a].(*resource.Pool); ok && was.Implicit && was.Host == host {
			return a
		}
	}
	for _, a := range []resource.Addr{plain, keyed} { // a pool that the host had has no record, but what lies in it does
		if p.byID[a.String()] != nil {
			continue
		}
		for r := range p.prior.Objects {
			if p.locationOf(r) == (location{host, a, plain.Name}) {
				return a
			}
		}
	}
	if len(p.hosts) > 1 {
		return keyed
	}
	return plain
}

// takeOverImplicit lets a block that declares the pool "default" of a host under a label of its own be the one that vmplan made
// there before.
func (p *placement) takeOverImplicit() {
	for _, o := range p.objects {
		pool, ok := o.res.(*resource.Pool)
		if !ok || pool.Name != p.hostDefaults(pool.Host).PoolName || p.prior.Objects[p.recordedAt(o.addr)] != nil {
			continue
		}
		from := p.implicitPoolAddr(pool.Host)
		was, ok := p.prior.Objects[from].(*resource.Pool)
		if !ok || !was.Implicit || was.Host != pool.Host || p.byID[from.String()] != nil {
			continue
		}
		p.addRename(&rename{from: from, to: o.addr, rng: o.block.header})
		p.identify(o)
	}
}
