package drivertest

import (
	"slices"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
)

// everything is seen, marked or not, in full.
func everything(s *suite) {
	vm, root, lan := s.vmWithDevices("found")
	vm.Title, vm.Autostart = "made by hand", new(true)
	s.create(vm, nil)
	marked := s.vm("marked")
	s.create(marked, s.mark(marked))
	o, err := s.d.Observe(s.t.Context(), drivers.Selection{Lineage: s.lineage, Want: []resource.Resource{s.normal(lan)}, All: true})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, r := range []resource.Resource{vm, root, lan, marked, s.pool("disks")} {
		object := o.Objects[resource.Key(r)]
		if object == nil {
			s.t.Errorf("%s is not observed", resource.Key(r))
			continue
		}
		wanted := r.Kind() == resource.KindNetwork || r == resource.Resource(marked)
		if a := object.Resource.Base().Addr; (a == r.Base().Addr) != wanted || a.IsZero() == wanted {
			s.t.Errorf("%s is observed as %q", resource.Key(r), a)
		}
		if pool, ok := r.(*resource.Pool); ok {
			pool.UUID = "" // another than the scenario's
		}
		s.sameFields(withName(r, object.Resource), object.Resource, "observed with everything")
	}
	if v := o.Objects[resource.Key(root)]; v != nil && (v.Resource.Base().Name != root.File || !slices.Contains(v.Users, resource.Key(vm)) || v.Path == "") {
		s.t.Errorf("the volume is observed as %+v of %v at %q", v.Resource, v.Users, v.Path)
	}
}

// withName is r, called as the host calls it.
func withName(r, live resource.Resource) resource.Resource {
	r = resource.Clone(r)
	r.Base().Name = live.Base().Name
	return r
}

func guestFacts(s *suite) {
	vm := s.vm("web")
	vm.NICs = []resource.NIC{{Label: "lan", Bridge: "br0", MAC: mac()}}
	odd := resource.Clone(vm)
	odd.Name, odd.Machine = s.tag+"odd", "made-up-machine"
	f := s.observe(vm, odd).Facts
	if f.FreeMemory > f.Memory {
		s.t.Errorf("of %s of memory %s is free", f.Memory, f.FreeMemory)
	}
	g := f.Guest(s.normalVM(vm))
	if s.lacks(drivers.AbilityGuestFacts) {
		if g != nil {
			s.t.Errorf("the host tells %+v", g)
		}
		return
	}
	if g == nil || g.MaxVCPUs < 1 || len(g.CPUs) == 0 || len(g.Firmwares) == 0 || len(g.Machines) == 0 || len(f.Interfaces) == 0 {
		s.t.Errorf("facts are incomplete: %+v, interfaces %v", g, f.Interfaces)
	}
	switch g := f.Guest(s.normalVM(odd)); {
	case g == nil:
		s.t.Error("of a machine that there is not, not even the other machines are told")
	case len(g.Machines) == 0 || slices.Contains(g.Machines, odd.Machine):
		s.t.Errorf("the machines are %v", g.Machines)
	}
	if f := s.observe(s.network("lan")).Facts; len(f.Guests) > 0 || len(f.Interfaces) > 0 {
		s.t.Errorf("unasked the host tells %+v and %v", f.Guests, f.Interfaces)
	}
}
