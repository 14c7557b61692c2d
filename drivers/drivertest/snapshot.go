package drivertest

import (
	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
)

func (s *suite) snapshotNames(vm *resource.VM) []string {
	s.t.Helper()
	var names []string
	for _, snap := range s.live(vm).Snapshots {
		names = append(names, snap.Name)
	}
	return names
}

var snapshotScenarios = []scenario{
	{"a snapshot of a vm that is off comes, is restored, and goes", func(s *suite) {
		if s.lacks(drivers.AbilitySnapshots) {
			return
		}
		vm, _, _ := s.vmWithDevices("web")
		s.create(vm, nil)
		n := s.normalVM(vm)
		s.fails(drivers.NewRestore(n, "none", false), drivers.ErrNotFound)
		s.do(drivers.NewSnapshot(n, "first", false))
		if o := s.live(vm); len(o.Snapshots) != 1 || o.Snapshots[0].Name != "first" || o.Snapshots[0].Created.IsZero() || o.Snapshots[0].Memory || o.Snapshots[0].Running {
			s.t.Fatalf("after a snapshot there are %+v", o.Snapshots)
		}
		s.asPromised(vm)
		changed := resource.Clone(vm)
		changed.Title = "another"
		s.do(s.update(changed, vm, false))
		s.do(drivers.NewRestore(s.normalVM(changed), "first", false))
		s.asPromised(changed) // the definition stays
		s.do(drivers.NewRestore(s.normalVM(changed), "first", true))
		if title := s.live(vm).Resource.(*resource.VM).Title; title != vm.Title {
			s.t.Errorf("restored with its definition, the vm has the title %q", title)
		}
		s.do(drivers.NewDropSnapshot(n, "first"))
		if names := s.snapshotNames(vm); len(names) != 0 {
			s.t.Errorf("after it was dropped there are %v", names)
		}
		s.asPromised(vm)
	}},
	{"snapshots go with their vm", func(s *suite) {
		if s.lacks(drivers.AbilitySnapshots) {
			return
		}
		vm, _, _ := s.vmWithDevices("web")
		s.create(vm, nil)
		s.do(drivers.NewSnapshot(s.normalVM(vm), "first", false))
		s.do(drivers.NewDelete(s.normal(vm)))
		s.absent(vm)
	}},
	{"a guest goes on from the memory in its snapshot", func(s *suite) {
		if s.lacks(drivers.AbilityMemorySnapshots) {
			return
		}
		vm, _, _ := s.vmWithDevices("web")
		s.create(vm, nil)
		n := s.normalVM(vm)
		s.do(drivers.NewStart(n))
		s.do(drivers.NewSnapshot(n, "running", true))
		if o := s.live(vm); o.Power != drivers.PowerOn || len(o.Snapshots) != 1 || !o.Snapshots[0].Memory || !o.Snapshots[0].Running {
			s.t.Fatalf("the vm is %s with %+v", o.Power, o.Snapshots)
		}
		s.do(drivers.NewStop(n, true))
		s.do(drivers.NewRestore(n, "running", false))
		if o := s.live(vm); o.Power != drivers.PowerOn {
			s.t.Errorf("after the restore the vm is %s", o.Power)
		}
		s.asPromised(vm)
		s.do(drivers.NewStop(n, true))
		s.do(drivers.NewDropSnapshot(n, "running"))
	}},
	{"the disks of a running guest are snapshot without its memory", liveSnapshot},
	{"a volume is flattened, with a guest on it and without", flattens},
}

func liveSnapshot(s *suite) {
	if s.lacks(drivers.AbilitySnapshots) || s.lacks(drivers.AbilityReadVolumes) { // made-up guests have no disks to take one of
		return
	}
	vm, _, _ := s.vmWithDevices("web")
	s.create(vm, nil)
	n := s.normalVM(vm)
	s.do(drivers.NewStart(n))
	s.do(drivers.NewSnapshot(n, "disks", false))
	if o := s.live(vm); o.Power != drivers.PowerOn || len(o.Snapshots) != 1 || o.Snapshots[0].Memory || !o.Snapshots[0].Running {
		s.t.Fatalf("the vm is %s with %+v", o.Power, o.Snapshots)
	}
	s.do(drivers.NewStop(n, true))
	s.do(drivers.NewRestore(n, "disks", false))
	if o := s.live(vm); o.Power != drivers.PowerOff {
		s.t.Errorf("after the restore the vm is %s", o.Power)
	}
	s.asPromised(vm)
	s.do(drivers.NewDropSnapshot(n, "disks"))
}

func flattens(s *suite) {
	base := s.volume("base.qcow2")
	s.create(base, nil)
	if s.lacks(drivers.AbilityOverlay) {
		return
	}
	for _, running := range []bool{false, true} {
		vm := s.vm("web")
		over := s.volume("over.qcow2")
		over.Backing = resource.VolumeID(base)
		s.create(over, nil)
		vm.Disks = []resource.Disk{{Label: "root", Source: resource.VolumeID(over)}}
		s.create(vm, nil)
		n := s.normalVM(vm)
		if running {
			s.do(drivers.NewStart(n))
		}
		if !s.can(drivers.AbilityFlatten, drivers.NewFlatten(s.normal(over).(*resource.Volume))) {
			return
		}
		flat := resource.Clone(over)
		flat.Backing = ""
		s.asPromised(flat)
		if users := s.live(base).Users; len(users) != 0 {
			s.t.Errorf("the base is still used by %v", users)
		}
		s.do(drivers.NewStop(n, true))
		s.do(drivers.NewDelete(n))
		s.do(drivers.NewDelete(s.normal(flat)))
	}
	s.flattenRefusesSnapshots(base)
}

// flattenRefusesSnapshots: what a snapshot in the file lacks, it has of the base.
func (s *suite) flattenRefusesSnapshots(base *resource.Volume) {
	s.t.Helper()
	vm := s.vm("snap")
	over := s.volume("snap.qcow2")
	over.Backing = resource.VolumeID(base)
	s.create(over, nil)
	vm.Disks = []resource.Disk{{Label: "root", Source: resource.VolumeID(over)}}
	s.create(vm, nil)
	s.do(drivers.NewSnapshot(s.normalVM(vm), "first", false))
	s.fails(drivers.NewFlatten(s.normal(over).(*resource.Volume)), drivers.ErrInUse)
	s.asPromised(over)
}
