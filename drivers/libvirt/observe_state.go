//go:build !nolibvirt

package libvirt

import (
	"context"
	"fmt"
	"time"

	"libvirt.org/go/libvirt"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
)

// domainStates asks for lists by state, which costs one call each instead of one call for each domain.
type domainStates struct{ active, paused, autostart, saved, snapshots, checkpoints map[string]bool }

func (o *observation) domainStates() (st domainStates, err error) {
	for _, l := range []struct {
		flag  libvirt.ConnectListAllDomainsFlags
		names *map[string]bool
	}{
		{libvirt.CONNECT_LIST_DOMAINS_ACTIVE, &st.active},
		{libvirt.CONNECT_LIST_DOMAINS_PAUSED, &st.paused},
		{libvirt.CONNECT_LIST_DOMAINS_AUTOSTART, &st.autostart},
		{libvirt.CONNECT_LIST_DOMAINS_MANAGEDSAVE, &st.saved},
		{libvirt.CONNECT_LIST_DOMAINS_HAS_SNAPSHOT, &st.snapshots},
		{libvirt.CONNECT_LIST_DOMAINS_HAS_CHECKPOINT, &st.checkpoints},
	} {
		list, err := o.conn.ListAllDomains(l.flag)
		if err != nil {
			return st, fail(err, "list domains")
		}
		if *l.names, err = nameSet(pointers(list), freeDomain); err != nil {
			return st, err
		}
	}
	return st, nil
}

// settledStates is domainStates once no wanted guest is just being started.
func (o *observation) settledStates(ctx context.Context) (domainStates, error) {
	states, err := o.domainStates()
	if err != nil {
		return states, err
	}
	if waited, err := o.awaitStarts(ctx, states.paused); err != nil || !waited {
		return states, err
	}
	return o.domainStates()
}

// startTimeout is how long a host may take to set up a guest's process before it lets it run.
const startTimeout = 2 * time.Minute

// awaitStarts waits for wanted guests that the host is just starting, for a run that was killed: they count as paused until
// then, and may still fail. A libvirtd that was killed in that moment may leave one that no libvirtd brings to an end.
func (o *observation) awaitStarts(ctx context.Context, paused map[string]bool) (waited bool, err error) {
	for name := range paused {
		if o.want[string(resource.KindVM)+"/"+name] == nil {
			continue
		}
		deadline := time.Now().Add(startTimeout)
		for starting := true; starting; {
			starting, err = o.starting(name)
			if err == nil && starting && time.Now().After(deadline) {
				return waited, fmt.Errorf("%w: libvirt has been starting domain %s for %s: its daemon is stuck. End the guest's QEMU process on the host, and restart the daemon", drivers.ErrTimeout, name, startTimeout)
			}
			if err == nil && starting {
				waited, err = true, pause(ctx, powerPoll)
			}
			if err != nil {
				return waited, err
			}
		}
	}
	return waited, nil
}

func (o *observation) starting(name string) (bool, error) {
	dom, err := o.conn.LookupDomainByName(name)
	if missing(err) {
		return false, nil
	}
	if err != nil {
		return false, fail(err, "look up domain %s", name)
	}
	defer freeDomain(dom)
	state, reason, err := dom.GetState()
	if missing(err) {
		return false, nil
	}
	return state == libvirt.DOMAIN_PAUSED && libvirt.DomainPausedReason(reason) == libvirt.DOMAIN_PAUSED_STARTING_UP, fail(err, "read the state of domain %s", name)
}
