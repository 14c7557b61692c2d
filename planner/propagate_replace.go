package planner

import (
	"fmt"

	"vmplan.dev/vmplan/config/resource"
)

// replaceContents replaces what cannot outlive a replaced object: the volumes in a pool, the overlays of an image whose file
// is overwritten. Objects are visited in the order of their kinds, so that this reaches all.
func (p *planner) replaceContents(o *object) {
	if o.action != ActionReplace || o.kind != resource.KindPool && (!o.stored() || o.location != o.destination) {
		return
	}
	for _, l := range o.dependents {
		if l.action == ActionUpdate && l.stored() && uses(l.current(), o.location.key) && l.location.host == o.location.host {
			p.replaceWith(l, o)
			p.replaceContents(l)
		}
	}
}

// replaceWith replaces l, as o, on which it depends, is.
func (p *planner) replaceWith(l, o *object) {
	l.action, l.cause = ActionReplace, fmt.Sprintf("%s is replaced", o.addr)
	again := comparison{planned: l.planned}
	if l.renameWaits {
		again.planned = l.desired
	}
	l.comparison = again
	p.compareReplaced(l)
}

// createFirst has a replacement created before the old object is deleted, where the new one has another location.
func (p *planner) createFirst(o *object) {
	if o.action == ActionReplace && o.stored() && o.location != o.destination {
		o.createBeforeDelete = !p.willDependOnReplaced(o)
	}
}

// willDependOnReplaced tells whether anything that the object will depend on is deleted before it is recreated: then nothing may
// wait for the object before that deletion.
func (p *planner) willDependOnReplaced(o *object) bool {
	if known, ok := p.dependOnReplaced[o]; ok {
		return known
	}
	p.dependOnReplaced[o] = false // a cycle is found when the steps are ordered
	for _, n := range o.requires {
		if o.madeFrom(n) {
			continue
		}
		if n.action == ActionReplace && !(n.stored() && n.location != n.destination) || p.willDependOnReplaced(n) {
			p.dependOnReplaced[o] = true
		}
	}
	return p.dependOnReplaced[o]
}
