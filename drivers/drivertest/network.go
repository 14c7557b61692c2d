package drivertest

import (
	"net/netip"
	"strings"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
)

var networkScenarios = []scenario{
	{"networks of each mode are made active", func(s *suite) {
		plain, nat, quiet, ranged := s.network("plain"), s.network("nat"), s.network("quiet"), s.network("ranged")
		route, open, bridge := s.network("route"), s.network("open"), s.network("bridge")
		nat.Mode, nat.Domain = "nat", "lab.example"
		route.Mode, open.Mode, open.Bridge = "route", "open", s.tag+"br"
		bridge.Mode, bridge.Bridge, bridge.CIDR = "bridge", s.tag+"ext", ""
		quiet.DHCP = new(false)
		ranged.DHCPStart, ranged.DHCPEnd = address(ranged, 100), address(ranged, 200)
		ranged.Reservations = []resource.Reservation{{MAC: mac(), Address: address(ranged, 10), Name: "ten"}}
		for _, n := range []*resource.Network{plain, nat, quiet, ranged, route, open, bridge} {
			s.create(n, s.mark(n))
			if o := s.live(n); o.Power != drivers.PowerOn {
				s.t.Errorf("%s is %s", n.Name, o.Power)
			}
			s.do(drivers.NewDelete(s.normal(n)))
			s.absent(n)
		}
	}},
	{"a network of that name with another identity conflicts", func(s *suite) {
		n := s.network("lan")
		s.create(n, nil)
		other := s.normal(s.network("lan"))
		s.fails(drivers.NewCreate(other, nil), drivers.ErrConflict)
		s.fails(drivers.NewDelete(other), drivers.ErrConflict)
		s.fails(drivers.NewSetMark(other, *s.mark(n)), drivers.ErrConflict)
		s.asPromised(n)
	}},
	{"reservations and autostart are changed in place", func(s *suite) {
		n := s.network("lan")
		n.Reservations = []resource.Reservation{
			{MAC: mac(), Address: address(n, 10), Name: "stays"},
			{MAC: mac(), Address: address(n, 11), Name: "moves"},
			{MAC: mac(), Address: address(n, 12), Name: "goes"},
		}
		s.create(n, s.mark(n))
		after := resource.Clone(n)
		after.Reservations[1].Address = address(n, 21)
		after.Reservations[2] = resource.Reservation{MAC: mac(), Address: address(n, 13), Name: "comes"}
		after.Autostart = new(false)
		u := s.update(after, n, true)
		if got := s.impact(u); got != drivers.ImpactLive {
			s.t.Errorf("impact is %s", got)
		}
		s.do(u)
		s.asPromised(after)
		s.marked(after, *s.mark(n))
		none := resource.Clone(after)
		none.Reservations = nil
		s.do(s.update(none, after, true))
		s.asPromised(none)
		if left := s.live(none).Resource.(*resource.Network).Reservations; len(left) != 0 {
			s.t.Errorf("reservations are left: %v", left)
		}
	}},
	{"names are changed in place", func(s *suite) {
		n := s.network("lan")
		n.DNSHosts = []resource.DNSHost{{Name: "stays.example", Address: address(n, 20)}, {Name: "moves", Address: address(n, 20)}, {Name: "goes", Address: address(n, 21)}}
		s.create(n, s.mark(n))
		after := resource.Clone(n)
		after.DNSHosts[1].Address = address(n, 21)
		after.DNSHosts[2] = resource.DNSHost{Name: "comes", Address: address(n, 22)}
		u := s.update(after, n, true)
		if got := s.impact(u); got != drivers.ImpactLive {
			s.t.Errorf("impact is %s", got)
		}
		if s.can(drivers.AbilityDNSNames, u) {
			s.asPromised(after)
			s.marked(after, *s.mark(n))
		}
	}},
	{"a network keeps its guests while they run", func(s *suite) {
		vm, _, lan := s.vmWithDevices("web")
		s.create(vm, nil)
		if o := s.live(lan); len(o.Users) != 1 || o.Users[0] != resource.Key(vm) {
			s.t.Errorf("the network has the users %v", o.Users)
		}
		s.do(drivers.NewStart(s.normalVM(vm)))
		s.fails(drivers.NewDelete(s.normal(lan)), drivers.ErrInUse)
		s.asPromised(lan)
		s.asPromised(vm)
	}},
}

// address is the nth of the network's range.
func address(n *resource.Network, nth byte) string {
	a := netip.MustParsePrefix(n.CIDR).Addr().As4()
	a[3] = nth
	return netip.AddrFrom4(a).String()
}

var markScenarios = []scenario{
	{"marks come back as they were written", func(s *suite) {
		vm, lan := s.vm("web"), s.network("lan")
		vm.Addr = resource.Addr{Module: `module.m["x"]`, Kind: resource.KindVM, Name: "web", Key: resource.StringKey(`a "b" <c>`)}
		for _, r := range []resource.Resource{vm, lan} {
			s.create(r, s.mark(r))
			s.marked(r, *s.mark(r))
			released := *s.mark(r)
			released.Released, released.Version = true, "0.0.2"
			s.do(drivers.NewSetMark(s.normal(r), released))
			s.marked(r, released)
			s.asPromised(r)
		}
	}},
	{"marking changes nothing else, of a running guest neither", func(s *suite) {
		vm, _, _ := s.vmWithDevices("web")
		vm.Title, vm.Description = "web", "a\nfew <lines> & more"
		s.create(vm, nil)
		s.do(drivers.NewStart(s.normalVM(vm)))
		before := s.live(vm)
		s.do(drivers.NewSetMark(s.normal(vm), *s.mark(vm)))
		after := s.live(vm)
		for _, c := range append(resource.Diff(before.Resource, after.Resource), resource.Diff(before.Running, after.Running)...) {
			s.t.Errorf("marking changes %s", c.Path)
		}
		if after.Power != before.Power {
			s.t.Errorf("power was %s and is %s", before.Power, after.Power)
		}
		s.marked(vm, *s.mark(vm))
	}},
	{"what carries the mark of another is not changed", notOurs},
	{"what cannot bear a mark is left alone", func(s *suite) {
		v := s.volume("a.qcow2")
		s.create(v, s.mark(v))
		s.do(drivers.NewSetMark(s.normal(v), *s.mark(v)))
		s.asPromised(v)
	}},
	{"objects with the project's mark are observed unasked, others are not", func(s *suite) {
		mine, theirs, nobodys, lan := s.vm("mine"), s.vm("theirs"), s.vm("nobodys"), s.network("lan")
		foreign := s.mark(theirs)
		foreign.Lineage = "another"
		s.create(mine, s.mark(mine))
		s.create(lan, s.mark(lan))
		s.create(theirs, foreign)
		s.create(nobodys, nil)
		o := s.observe()
		if got, want := strings.Join(keys(o), " "), resource.Key(lan)+" "+resource.Key(mine); got != want {
			s.t.Fatalf("observed %s, not %s", got, want)
		}
		if got := o.Objects[resource.Key(mine)].Resource.Base().Addr; got != mine.Addr {
			s.t.Errorf("its address is %s", got)
		}
		if m := s.live(theirs).Mark; m == nil || *m != *foreign {
			s.t.Errorf("the foreign mark is %v", m)
		}
	}},
}

func (s *suite) marked(r resource.Resource, want drivers.Mark) {
	s.t.Helper()
	if have := s.live(r).Mark; have == nil || *have != want {
		s.t.Errorf("%s bears the mark %+v, not %+v", resource.Key(r), have, want)
	}
}

// notOurs: an operation that asks for an owner leaves what is marked otherwise as it is, and changes what has no mark.
func notOurs(s *suite) {
	vm, lan := s.vm("web"), s.network("lan")
	theirs := drivers.Mark{Lineage: "another", Addr: vm.Addr, Version: "1"}
	moved := vm.Addr
	moved.Name = "before"
	s.create(vm, &theirs)
	s.create(lan, &theirs)
	mine := drivers.Owner{Lineage: s.lineage, Addr: vm.Addr}
	asked := func(owner drivers.Owner, op drivers.Op) drivers.Op {
		drivers.SetOwner(op, owner)
		return op
	}
	s.do(drivers.NewStart(s.normalVM(vm)))
	titled := resource.Clone(vm)
	titled.Title = "mine"
	for _, op := range []drivers.Op{
		drivers.NewStop(s.normalVM(vm), true), drivers.NewReboot(s.normalVM(vm), true), drivers.NewDelete(s.normal(vm)), drivers.NewDelete(s.normal(lan)),
		drivers.NewSetMark(s.normal(vm), *s.mark(vm)), drivers.NewSetMark(s.normal(lan), *s.mark(lan)),
		drivers.NewUpdate(s.normal(vm), s.normal(titled), true), drivers.NewSnapshot(s.normalVM(vm), "mine", false),
		drivers.NewRestore(s.normalVM(vm), "mine", false), drivers.NewDropSnapshot(s.normalVM(vm), "mine"),
	} {
		s.fails(asked(mine, op), drivers.ErrConflict)
	}
	if o := s.live(vm); o.Power != drivers.PowerOn || o.Resource.(*resource.VM).Title != "" {
		s.t.Errorf("the vm of another is %s, with the title %q", o.Power, o.Resource.(*resource.VM).Title)
	}
	s.marked(vm, theirs)
	s.marked(lan, theirs)

	taken := drivers.Owner{Lineage: s.lineage, Addr: moved, Found: &theirs}
	s.do(asked(taken, drivers.NewSetMark(s.normal(vm), drivers.Mark{Lineage: s.lineage, Addr: moved, Version: "1"})))
	s.fails(asked(mine, drivers.NewStop(s.normalVM(vm), true)), drivers.ErrConflict)
	s.do(asked(drivers.Owner{Lineage: s.lineage}, drivers.NewStop(s.normalVM(vm), true)))
	s.do(asked(drivers.Owner{Lineage: s.lineage, Addr: moved}, drivers.NewDelete(s.normal(vm))))
	s.absent(vm)

	nobodys := s.network("nobodys")
	s.create(nobodys, nil)
	s.do(asked(mine, drivers.NewDelete(s.normal(nobodys))))
}
