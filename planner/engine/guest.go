package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/guest"
	"vmplan.dev/vmplan/planner"
)

// GuestAddress is a fixed address of the vm, or else one the host knows of.
func (p *Project) GuestAddress(ctx context.Context, vm *resource.VM, nic string) (string, error) {
	if err := checkNIC(vm, nic); err != nil {
		return "", err
	}
	for _, n := range vm.NICs {
		if n.Address != "" && (nic == "" || nic == n.Label) {
			return n.Address, nil
		}
	}
	if _, err := p.Observe(ctx, planner.Options{}); err != nil {
		return "", err
	}
	live := p.Live(vm)
	if live == nil || live.Power != drivers.PowerOn {
		return "", fmt.Errorf("%s is not running: start it with vmplan start %s", vm.Addr, vm.Addr)
	}
	for _, n := range vm.NICs {
		if found := live.Addresses[n.Label]; len(found) > 0 && (nic == "" || nic == n.Label) {
			return found[0], nil
		}
	}
	return "", fmt.Errorf("%s: the host knows no address of it yet: wait for the guest to boot, or give the nic a fixed address", vm.Addr)
}

// checkNIC tells why a vm cannot be reached by the NIC called label, or by any when it is empty.
func checkNIC(vm *resource.VM, label string) error {
	var labels []string
	for _, n := range vm.NICs {
		labels = append(labels, n.Label)
	}
	switch {
	case len(labels) == 0:
		return fmt.Errorf("%s has no nic to reach it by", vm.Addr)
	case label != "" && !slices.Contains(labels, label):
		return fmt.Errorf("%s has no nic %q: it has %s", vm.Addr, label, strings.Join(labels, ", "))
	}
	return nil
}

// forgetHostKeys drops the host keys of the guests that the plan makes anew or deletes. A new disk or seed brings new keys
// too: cloud-init makes them for each new instance.
func (p *Project) forgetHostKeys(plan *planner.Plan) error {
	var uuids []string
	for _, step := range plan.Steps {
		if verb := step.Op.Verb(); verb != "create" && verb != "delete" {
			continue
		}
		vm, ok := step.Op.Target().(*resource.VM)
		if rec := p.state.Records[step.Addr.Owner()]; !ok && rec != nil {
			vm, ok = rec.Object.(*resource.VM)
		}
		if ok {
			uuids = append(uuids, vm.UUID)
		}
	}
	return guest.ForgetHostKeys(guest.KnownHostsFile(p.dir), uuids...)
}
