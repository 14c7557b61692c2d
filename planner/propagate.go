package planner

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
