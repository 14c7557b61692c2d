package planner

import (
	"vmplan.dev/vmplan/config/resource"
)

// relate finds out what each object depends on, and what depends on it.
func (p *planner) relate() {
	p.byBlock = make(map[resource.Addr][]*object, len(p.sorted))
	wanted := make(map[location]*object, len(p.sorted))
	for _, o := range p.sorted {
		block := o.addr
		block.Key = ""
		p.byBlock[block] = append(p.byBlock[block], o)
		if o.desired != nil {
			wanted[o.destination] = o
		}
	}
	depend := func(on, o *object) {
		if o.madeFrom(on) {
			on.derivedImages = append(on.derivedImages, o)
			return
		}
		known := len(on.dependents) > 0 && on.dependents[len(on.dependents)-1] == o // objects come one after the other
		if on != o && !known {
			on.dependents = append(on.dependents, o)
		}
	}
	for _, o := range p.sorted {
		if o.desired != nil {
			o.requires = p.requirementsOf(o, wanted)
			for _, n := range o.requires {
				depend(n, o)
			}
		}
		if o.record == nil {
			continue
		}
		for _, a := range o.record.DependsOn {
			if n := p.objects[a]; n != nil {
				depend(n, o)
			}
		}
	}
}

// requirementsOf lists what a desired object depends on, each once: what it refers to by address, and what belongs where it
// refers to by name.
func (p *planner) requirementsOf(o *object, wanted map[location]*object) []*object {
	var out []*object
	seen := map[*object]bool{o: true}
	add := func(n *object) {
		if n != nil && n.desired != nil && !seen[n] {
			seen[n] = true
			out = append(out, n)
		}
	}
	refer := func(a resource.Addr, key string) {
		if n := p.objects[a]; n != nil && !a.IsZero() {
			add(n)
			return
		}
		add(wanted[location{o.destination.host, key}])
	}
	switch r := o.desired.(type) {
	case *resource.VM:
		for _, d := range r.Disks {
			refer(d.Volume, volumeKey(d.Source))
		}
		for _, n := range r.NICs {
			refer(n.Network, "network/"+n.Source)
		}
	case *resource.Volume:
		refer(r.Pool, "pool/"+r.PoolName)
		refer(r.Image, volumeKey(r.Backing))
		if r.CopyOf != "" && p.isYetToBeFilled(o) {
			refer(r.Clone, volumeKey(r.CopyOf))
		}
	case *resource.Image:
		refer(r.Pool, "pool/"+r.PoolName)
		if !r.From.IsZero() {
			add(p.objects[r.From])
			add(wanted[location{o.destination.host, volumeKey(r.Origin)}])
		}
	case *resource.Seed:
		refer(r.Pool, "pool/"+r.PoolName)
	}
	for _, a := range o.desired.Base().DependsOn {
		for _, n := range p.instances(a) {
			add(n)
		}
	}
	return out
}
