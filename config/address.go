package config

import (
	"slices"

	"vmplan.dev/vmplan/config/internal/complete"
	"vmplan.dev/vmplan/config/resource"
)

// nicDecisions are what is decided about nics. Expressions may want it before that: then the project is evaluated twice, the
// second time with what the first one led to.
type nicDecisions struct {
	complete.Decisions
	asked  bool // an expression wanted an address that was not decided
	looked bool // an expression looked at a vm, and so maybe at a MAC
}

// decider decides about the nics of vms.
func (e *evaluator) decider(vms []*resource.VM) *complete.NICs {
	return &complete.NICs{
		Identity: e.namespace, VMs: vms, Known: e.nics.Decisions, Network: e.network, Recorded: e.recordedNIC,
		Applied: len(e.prior.Objects) > 0, Taken: e.takenAddresses,
		Source: func(a resource.Addr) complete.Source { return e.byID[a.String()] },
	}
}

// decide chooses addresses and, where two are equal, MACs.
func (e *evaluator) decide() complete.Decisions { return e.decider(resources(e.vms())).Decide() }

// applyDecisions writes the decisions into the nics.
func (e *evaluator) applyDecisions(d complete.Decisions) {
	d.Apply(resources(e.vms()))
	e.nics.Decisions = d
}

// vms gives the vms that vmplan manages, in order of address.
func (e *evaluator) vms() []*object {
	var out []*object
	for _, o := range e.objects {
		if vm, ok := o.res.(*resource.VM); ok && vm.IsManaged() {
			out = append(out, o)
		}
	}
	slices.SortFunc(out, func(a, b *object) int { return resource.Compare(a.addr, b.addr) })
	return out
}

func resources(vms []*object) []*resource.VM {
	out := make([]*resource.VM, len(vms))
	for i, o := range vms {
		out[i] = o.res.(*resource.VM)
	}
	return out
}

func eachNIC(vms []*object, do func(*object, *resource.VM, *resource.NIC)) {
	for _, o := range vms {
		vm := o.res.(*resource.VM)
		for i := range vm.NICs {
			do(o, vm, &vm.NICs[i])
		}
	}
}
