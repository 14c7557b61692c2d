package planner

import (
	"fmt"
	"slices"

	"vmplan.dev/vmplan/config/resource"
)

// selectObjects marks the objects that take part: all, or the targets with what they depend on (and, where things are deleted, with
// what depends on them), without the excluded ones.
func (p *planner) selectObjects() {
	for _, o := range p.sorted {
		o.selected = len(p.in.Targets) == 0 || slices.ContainsFunc(p.in.Targets, func(t resource.Addr) bool { return t.Contains(o.addr) })
	}
	p.checkAddresses(p.in.Targets, "targeted")
	p.checkAddresses(p.in.Exclude, "left out")
	p.checkAddresses(p.in.Replace, "replaced")
	if len(p.in.Targets) > 0 {
		p.includeRequired(func(o *object) bool { return o.selected }, func(o *object) { o.selected = true })
	}
	if len(p.in.Exclude) > 0 {
		out := map[*object]bool{}
		for _, o := range p.sorted {
			out[o] = slices.ContainsFunc(p.in.Exclude, func(t resource.Addr) bool { return t.Contains(o.addr) })
		}
		p.excludeDependents(out)
		for _, o := range p.sorted {
			o.selected = o.selected && !out[o]
		}
	}
	for _, o := range p.sorted {
		if o.declared != nil && o.desired == nil && !p.in.Destroy {
			o.selected = false // refused by its host
		}
	}
}

func (p *planner) checkAddresses(list []resource.Addr, what string) {
	for _, a := range list {
		if !slices.ContainsFunc(p.sorted, func(o *object) bool { return a.Contains(o.addr) }) {
			p.addFinding(Finding{
				Severity: SeverityError, Addr: a, Summary: "there is no such object",
				Detail: fmt.Sprintf("%s is to be %s, but neither the files nor the state have it.", a, what),
			})
		}
	}
}

// ownedParts are the disks and the seed of a vm: they are of no use without it, neither when it is not created nor when it is
// deleted.
func (p *planner) ownedParts(o *object) []*object {
	var parts []*object
	if o.kind != resource.KindVM {
		return nil
	}
	for _, n := range o.requires {
		if n.addr != o.addr && n.addr.Owner() == o.addr {
			parts = append(parts, n)
		}
	}
	if o.record == nil {
		return parts
	}
	for _, a := range o.record.DependsOn {
		if n := p.objects[a]; n != nil && a != o.addr && a.Owner() == o.addr && !slices.Contains(parts, n) {
			parts = append(parts, n)
		}
	}
	return parts
}

// cloneSourceVM gives the vm whose disk a volume is yet to be made a copy of, or an overlay: its guest must be off for that.
func (p *planner) cloneSourceVM(o *object) []*object {
	v, ok := o.desired.(*resource.Volume)
	if !ok || v.Clone.Part == "" || !p.isYetToBeFilled(o) {
		return nil
	}
	if vm := p.objects[v.Clone.Owner()]; vm != nil {
		return []*object{vm}
	}
	return nil
}

// includeRequired adds to what is in: what a wanted object depends on, and what depends on one that is deleted, if it is deleted itself, with what that owns.
func (p *planner) includeRequired(in func(*object) bool, add func(*object)) {
	var queue []*object
	for _, o := range p.sorted {
		if in(o) {
			queue = append(queue, o)
		}
	}
	for len(queue) > 0 {
		o := queue[0]
		queue = queue[1:]
		next := append(slices.Clone(o.requires), p.cloneSourceVM(o)...)
		if o.desired == nil {
			next = append(p.ownedParts(o), o.dependents...)
		}
		for _, n := range next {
			if !in(n) && (o.desired != nil || n.desired == nil) {
				add(n)
				queue = append(queue, n)
			}
		}
	}
}

// excludeDependents adds to what is left out: what depends on an excluded object that is wanted, with what that owns, and what an
// excluded object that was to be deleted depends on.
func (p *planner) excludeDependents(out map[*object]bool) {
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
		if o.desired != nil {
			next = slices.Concat(p.ownedParts(o), o.dependents, o.derivedImages)
		} else if o.record != nil {
			for _, a := range o.record.DependsOn {
				next = append(next, p.objects[a])
			}
		}
		for _, n := range next {
			if n != nil && !out[n] && (o.desired == nil) == (n.desired == nil) {
				out[n] = true
				queue = append(queue, n)
			}
		}
	}
}
