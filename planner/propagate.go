package planner

import "vmplan.dev/vmplan/config/resource"

// propagationRules are what an action on one object does to the objects around it, in the order in which they apply: each visits
// all objects, in order of address, before the next one begins. They alone overrule what decide has chosen.
var propagationRules = []func(*planner, *object){
	(*planner).replaceContents,      // what lies in a replaced pool, or on a replaced image, is replaced with it
	(*planner).keepPoolUsedByOthers, // a pool that guests of others use is released, not deleted
	(*planner).releaseRequired,      // what a released vm depends on is released with it
	(*planner).createFirst,          // new bits are made before the old ones are deleted, where both have room
	(*planner).restartUsers,         // guests are off while what they use is replaced or deleted
	(*planner).stopForCopies,        // guests are off while their disks are copied
	(*planner).decidePower,          // what all of this means for the power of a vm
	(*planner).postponeDelete,       // what is still used when the plan is done is deleted by a later plan
}

// propagate lets what happens to objects act on those around them.
func (p *planner) propagate() {
	p.replaceTriggered()
	for _, rule := range propagationRules {
		p.each(rule)
	}
}

// users gives the objects known to the plan that use o on the host. The vms of a pool depend on it by their volumes.
func (p *planner) users(o *object) []*object {
	if o.live == nil || o.kind == resource.KindPool {
		return nil
	}
	var out []*object
	for _, key := range o.live.Users {
		if u := p.byLocation[location{o.location.host, key}]; u != nil && u != o {
			out = append(out, u)
		}
	}
	return out
}

// current is what the object is now: recorded, or live when it is taken back.
func (o *object) current() resource.Resource {
	if o.recorded != nil {
		return o.recorded
	}
	return o.live.Resource
}
