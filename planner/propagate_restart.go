package planner

import (
	"fmt"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
)

// restartUsers decides about the vms that use what is replaced or deleted. Hosts do not delete a volume that a vm's definition
// has, nor a network that a guest is connected to: a volume that is deleted before the new one is made takes the vm with it,
// a network only has the guest off meanwhile. So does a deleted volume that the guest would use until its next start.
func (p *planner) restartUsers(o *object) {
	deletesFirst := o.action == ActionReplace && !o.createBeforeDelete
	if !deletesFirst && (o.action != ActionDelete || o.kind != resource.KindVolume) {
		return
	}
	for _, u := range p.users(o) {
		if u.kind != resource.KindVM || u.action != ActionUpdate {
			continue
		}
		still := uses(u.after, o.location.key)
		switch {
		case o.action == ActionReplace && o.stored() && (still || uses(u.before, o.location.key)):
			p.replaceWith(u, o)
		case u.restartReason != "" || !u.isOn():
		case !still && o.action == ActionDelete && p.stagesChanges(u) && u.keepsUntilStop(o.location.key):
			o.action, o.deletePostponed = ActionNone, true
		case still && o.action == ActionReplace:
			u.restartReason = fmt.Sprintf("%s is replaced", o.addr)
		case !still && u.keepsUntilStop(o.location.key):
			u.restartReason = fmt.Sprintf("%s is deleted", o.addr)
		}
	}
}

// keepsUntilStop tells whether the guest goes on using what has the key after all changes that can be made while it runs.
func (o *object) keepsUntilStop(key string) bool {
	guest := o.live.Running
	if guest == nil {
		guest = o.live.Resource
	}
	if !o.isOn() || o.stop || !uses(guest, key) {
		return false
	}
	guest = resource.Clone(guest)
	for _, c := range o.changes {
		if o.impacts[c.Path].Impact <= drivers.ImpactLive {
			resource.Keep(guest, o.after, c.Path)
		}
	}
	for _, c := range o.guestChanges {
		resource.Keep(guest, o.after, c.Path)
	}
	return o.impact < drivers.ImpactRestart && uses(guest, key)
}
