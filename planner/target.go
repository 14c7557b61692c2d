package planner

import (
	"fmt"
	"slices"

	"vmplan.dev/vmplan/config/resource"
)

// choose marks the objects that take part: all, or the targets with what they stand on (and, where things are deleted, with
// what leans on them), without the excluded ones.
func (p *planner) choose() {
	for _, o := range p.sorted {
		o.chosen = len(p.in.Targets) == 0 || slices.ContainsFunc(p.in.Targets, func(t resource.Addr) bool { return t.Contains(o.addr) })
	}
	p.checkAddresses(p.in.Targets, "targeted")
	p.checkAddresses(p.in.Exclude, "left out")
	p.checkAddresses(p.in.Replace, "replaced")
	if len(p.in.Targets) > 0 {
		p.widen(func(o *object) bool { return o.chosen }, func(o *object) { o.chosen = true })
	}
	if len(p.in.Exclude) > 0 {
		out := map[*object]bool{}
		for _, o := range p.sorted {
			out[o] = slices.ContainsFunc(p.in.Exclude, func(t resource.Addr) bool { return t.Contains(o.addr) })
		}
		p.narrow(out)
		for _, o := range p.sorted {
			o.chosen = o.chosen && !out[o]
		}
	}
	for _, o := range p.sorted {
		if o.file != nil && o.want == nil && !p.in.Destroy {
			o.chosen = false // refused by its host
		}
	}
}

func (p *planner) checkAddresses(list []resource.Addr, what string) {
	for _, a := range list {
		if !slices.ContainsFunc(p.sorted, func(o *object) bool { return a.Contains(o.addr) }) {
			p.find(Finding{
				Severity: SeverityError, Addr: a, Summary: "there is no such object",
				Detail: fmt.Sprintf("%s is to be %s, but neither the files nor the state have it.", a, what),
			})
		}
	}
}

// owned are the disks and the seed of a vm: they are of no use without it, neither when it is not made nor when it goes.
func (p *planner) owned(o *object) []*object {
	var parts []*object
	if o.kind != resource.KindVM {
		return nil
	}
	for _, n := range o.needs {
		if n.addr != o.addr && n.addr.Owner() == o.addr {
			parts = append(parts, n)
		}
	}
	if o.rec == nil {
		return parts
	}
	for _, a := range o.rec.DependsOn {
		if n := p.objects[a]; n != nil && a != o.addr && a.Owner() == o.addr && !slices.Contains(parts, n) {
			parts = append(parts, n)
		}
	}
	return parts
}

// cloned gives the vm whose disk a volume is yet to be made a copy of, or an overlay: its guest must be off for that.
func (p *planner) cloned(o *object) []*object {
	v, ok := o.want.(*resource.Volume)
	if !ok || v.Clone.Part == "" || !p.isUnmade(o) {
		return nil
	}
	if vm := p.objects[v.Clone.Owner()]; vm != nil {
		return []*object{vm}
	}
	return nil
}

// widen adds to what is in: what a wanted object stands on, and what leans on one that goes and goes itself, with what that owns.
func (p *planner) widen(in func(*object) bool, add func(*object)) {
	var queue []*object
	for _, o := range p.sorted {
		if in(o) {
			queue = append(queue, o)
		}
	}
	for len(queue) > 0 {
		o := queue[0]
		queue = queue[1:]
		next := append(slices.Clone(o.needs), p.cloned(o)...)
		if o.want == nil {
			next = append(p.owned(o), o.leans...)
		}
		for _, n := range next {
			if !in(n) && (o.want != nil || n.want == nil) {
				add(n)
				queue = append(queue, n)
			}
		}
	}
}

// narrow adds to what is left out: what leans on a wanted object that is and what that owns, and what one that was to go stands on.
func (p *planner) narrow(out map[*object]bool) {
	var queue []*object
	for _, o := range p.sorted {
		if out[o] {
			queue = append(queue, o)
		}
	}
	for len(queue) > 0 {
		o := queue[0]
		queue = queue[1:]
		var next []*object
		if o.want != nil {
			next = slices.Concat(p.owned(o), o.leans, o.borrowers)
		} else if o.rec != nil {
			for _, a := range o.rec.DependsOn {
				next = append(next, p.objects[a])
			}
		}
		for _, n := range next {
			if n != nil && !out[n] && (o.want == nil) == (n.want == nil) {
				out[n] = true
				queue = append(queue, n)
			}
		}
	}
}
