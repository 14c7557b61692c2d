package drivertest

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/google/uuid"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
)

var vmScenarios = []scenario{
	{"a vm with nothing set is made off and shows nothing the host filled in", func(s *suite) {
		vm := s.vm("bare")
		s.create(vm, s.mark(vm))
		o := s.live(vm)
		if o.Power != drivers.PowerOff || o.Running != nil || len(o.Addresses) != 0 {
			s.t.Errorf("it is %s, running %v, with addresses %v", o.Power, o.Running, o.Addresses)
		}
		s.do(drivers.NewDelete(s.normal(vm)))
		s.absent(vm)
	}},
	{"a vm with everything set is made so", func(s *suite) {
		vm, root, lan := s.vmWithDevices("full")
		data, raw := s.volume("data.qcow2"), s.volume("iso.raw")
		s.create(data, nil)
		s.create(raw, nil)
		vm.Title, vm.Description = "A title", "Several\nlines & <signs>"
		vm.VCPUs, vm.MaxVCPUs, vm.MaxMemory = 2, 4, 2*vm.Memory
		vm.Disks = append(vm.Disks,
			resource.Disk{Label: "data", Source: resource.VolumeID(data), Bus: "scsi", Cache: "none", ReadOnly: new(true)},
			resource.Disk{Label: "iso", Source: resource.VolumeID(raw), Bus: "sata", Device: "cdrom"})
		vm.NICs = append(vm.NICs, resource.NIC{Label: "second", Source: lan.Name, MAC: "52:54:00:AB:cd:EF", Model: "e1000", Link: new(false)})
		vm.Graphics = &resource.Graphics{Type: "vnc", Listen: "127.0.0.1"}
		s.create(vm, s.mark(vm))
		if have := field(s.live(vm).Resource, "nic.second.mac"); have != "52:54:00:ab:cd:ef" {
			s.t.Errorf("the MAC is not in canonical form: %v", have)
		}
		o := s.live(root)
		if !slices.Equal(o.Users, []string{resource.Key(vm)}) {
			s.t.Errorf("the root disk's users are %v", o.Users)
		}
		s.fails(drivers.NewDelete(s.normal(root)), drivers.ErrInUse)
		s.fails(drivers.NewDelete(s.normal(data)), drivers.ErrInUse)
		s.asPromised(vm)
		s.do(drivers.NewDelete(s.normal(vm)))
		s.asPromised(root)
		s.asPromised(lan)
	}},
	{"a vm of that name with another identity, or that identity with another name, conflicts", func(s *suite) {
		vm, other := s.vm("web"), s.vm("web")
		s.create(vm, s.mark(vm))
		other.UUID = uuid.NewString()
		twin := s.normalVM(other)
		for _, op := range []drivers.Op{
			drivers.NewCreate(twin, nil), drivers.NewStart(twin), drivers.NewStop(twin, true), drivers.NewReboot(twin, true),
			drivers.NewSetMark(twin, *s.mark(other)), drivers.NewDelete(twin),
		} {
			s.fails(op, drivers.ErrConflict)
		}
		other = s.vm("twin")
		other.UUID = vm.UUID
		s.place(other)
		s.fails(drivers.NewCreate(s.normal(other), nil), drivers.ErrConflict)
		s.absent(other)
		s.asPromised(vm)
		s.marked(vm, *s.mark(vm))
	}},
	{"a vm that is off can be changed in everything", changeWhileOff},
	{"what was set once and is no more goes back", func(s *suite) {
		vm := s.vm("web")
		vm.Title, vm.Description, vm.Autostart = "t", "d", new(true)
		vm.Graphics = &resource.Graphics{Type: "vnc"}
		s.create(vm, nil)
		plain := s.vm("web")
		plain.UUID = vm.UUID
		s.do(s.update(plain, vm, false))
		s.asPromised(plain)
		have := s.live(plain).Resource.(*resource.VM)
		if have.Title != "" || have.Description != "" || have.Graphics != nil {
			s.t.Errorf("it still has %q %q %v", have.Title, have.Description, have.Graphics)
		}
	}},
	{"what a change does not mention stays", func(s *suite) {
		vm, _, _ := s.vmWithDevices("web")
		vm.Title = "stays"
		s.create(vm, s.mark(vm))
		was := s.live(vm).Resource.(*resource.VM)
		little := &resource.VM{Meta: vm.Meta, UUID: vm.UUID, Description: "comes"}
		before, after := resource.Overlay(little, nil, was)
		s.do(drivers.NewUpdate(before, after, false))
		have := s.live(vm).Resource
		for _, c := range resource.Diff(was, have) {
			if c.Path != "description" {
				s.t.Errorf("%s went from %s to %s", c.Path, resource.Format(c.Old), resource.Format(c.New))
			}
		}
		vm.Description = "comes"
		s.asPromised(vm)
		s.marked(vm, *s.mark(vm))
	}},
	{"an update of what is not there says so", func(s *suite) {
		vm := s.vm("none")
		after := resource.Clone(vm)
		after.Title = "x"
		s.fails(drivers.NewUpdate(s.normal(vm), s.normal(after), false), drivers.ErrNotFound)
	}},
}

func changeWhileOff(s *suite) {
	vm, _, _ := s.vmWithDevices("web")
	data, other := s.volume("data.qcow2"), s.network("other")
	s.create(data, nil)
	s.create(other, nil)
	s.create(vm, s.mark(vm))
	changes := []struct {
		name string
		make func(*resource.VM)
	}{
		{"texts", func(vm *resource.VM) { vm.Title, vm.Description = "new", "texts" }},
		{"autostart", func(vm *resource.VM) { vm.Autostart = new(true) }},
		{"memory", func(vm *resource.VM) { vm.Memory, vm.MaxMemory = 2*vm.Memory, 4*vm.Memory }},
		{"vcpus", func(vm *resource.VM) { vm.VCPUs, vm.MaxVCPUs = 2, 4 }},
		{"graphics", func(vm *resource.VM) { vm.Graphics = &resource.Graphics{Type: "vnc"} }},
		{"a TPM comes", func(vm *resource.VM) { vm.TPM = &resource.TPM{} }},
		{"it is another", func(vm *resource.VM) { vm.TPM = &resource.TPM{Version: "1.2", Model: "tpm-tis"} }},
		{"the TPM goes", func(vm *resource.VM) { vm.TPM = nil }},
		{"a disk comes", func(vm *resource.VM) {
			vm.Disks = append(vm.Disks, resource.Disk{Label: "data", Source: resource.VolumeID(data)})
		}},
		{"a disk's cache", func(vm *resource.VM) { vm.Disks[1].Cache = "writeback" }},
		{"a disk's bus", func(vm *resource.VM) { vm.Disks[1].Bus = "scsi" }},
		{"the first disk goes", func(vm *resource.VM) { vm.Disks = vm.Disks[1:] }},
		{"a nic comes", func(vm *resource.VM) {
			vm.NICs = append(vm.NICs, resource.NIC{Label: "two", Source: other.Name, MAC: mac()})
		}},
		{"a nic's link", func(vm *resource.VM) { vm.NICs[0].Link = new(false) }},
		{"a nic's bandwidth", func(vm *resource.VM) {
			vm.NICs[0].Bandwidth = &resource.Bandwidth{Inbound: &resource.Rate{Average: 1000, Peak: 2000, Burst: 512}, Outbound: &resource.Rate{Average: 500}}
		}},
		{"less of it", func(vm *resource.VM) {
			vm.NICs[0].Bandwidth = &resource.Bandwidth{Inbound: &resource.Rate{Average: 1500}}
		}},
		{"none of it", func(vm *resource.VM) { vm.NICs[0].Bandwidth = nil }},
		{"a nic's network", func(vm *resource.VM) { vm.NICs[0].Source = other.Name }},
		{"a nic becomes the guest's own", func(vm *resource.VM) {
			vm.NICs[1].Source, vm.NICs[1].User = "", new(true)
			vm.NICs[1].PortForwards = []resource.PortForward{{Name: "ssh", HostPort: 2222, GuestPort: 22}, {Name: "dns", Protocol: "udp", HostPort: 5353, GuestPort: 53}}
		}},
		{"another port", func(vm *resource.VM) {
			vm.NICs[1].PortForwards = []resource.PortForward{{Name: "ssh", HostPort: 2223, GuestPort: 22}}
		}},
		{"it goes back to a network", func(vm *resource.VM) {
			vm.NICs[1].Source, vm.NICs[1].User, vm.NICs[1].PortForwards = other.Name, nil, nil
		}},
		{"a nic's model", func(vm *resource.VM) { vm.NICs[1].Model = "e1000" }},
		{"the first nic goes", func(vm *resource.VM) { vm.NICs = vm.NICs[1:] }},
	}
	for _, c := range changes {
		next := resource.Clone(vm)
		c.make(next)
		s.do(s.update(next, vm, false))
		s.asPromised(next)
		have := s.live(next).Resource.(*resource.VM)
		if len(have.Disks) != len(next.Disks) || len(have.NICs) != len(next.NICs) {
			s.t.Errorf("%s: there are %d disks and %d nics, not %d and %d", c.name, len(have.Disks), len(have.NICs), len(next.Disks), len(next.NICs))
		}
		s.marked(next, *s.mark(vm))
		if s.t.Failed() {
			s.t.Fatalf("after the change %q", c.name)
		}
		vm = next
	}
}

func cancelled(s *suite) {
	v := s.volume("a.qcow2")
	s.needPool()
	ctx, cancel := context.WithCancel(s.t.Context())
	cancel()
	_, err := s.d.Observe(ctx, drivers.Selection{Lineage: s.lineage})
	s.wantError(err, context.Canceled)
	for _, r := range []resource.Resource{v, s.vm("web"), s.network("lan")} {
		s.place(r)
		_, err := s.d.Do(ctx, drivers.NewCreate(s.normal(r), nil), s.report)
		s.wantError(err, context.Canceled)
		s.absent(r)
	}
}

// concurrent makes and deletes sixteen vms, each with its disk, at once.
func concurrent(s *suite) {
	s.needPool()
	const count = 16
	var disks, vms []resource.Resource
	for i := range count {
		v, vm := s.volume(fmt.Sprintf("d%d.qcow2", i)), s.vm(fmt.Sprintf("c%d", i))
		vm.Disks = []resource.Disk{{Label: "root", Source: resource.VolumeID(v)}}
		s.place(v)
		disks, vms = append(disks, s.normal(v)), append(vms, s.normal(vm))
	}
	for _, vm := range vms {
		s.place(vm)
	}
	create := func(r resource.Resource) drivers.Op { return drivers.NewCreate(r, s.mark(r)) }
	remove := func(r resource.Resource) drivers.Op { return drivers.NewDelete(r) }
	s.allAtOnce(disks, create)
	s.allAtOnce(vms, create)
	o := s.observe(slices.Concat(disks, vms)...)
	if len(o.Objects) != 2*count {
		s.t.Errorf("there are %d objects, not %d: %v", len(o.Objects), 2*count, keys(o))
	}
	s.allAtOnce(vms, remove)
	s.allAtOnce(disks, remove)
	s.absent(slices.Concat(disks, vms)...)
}

func (s *suite) allAtOnce(rs []resource.Resource, op func(resource.Resource) drivers.Op) {
	s.t.Helper()
	var all sync.WaitGroup
	for _, r := range rs {
		all.Go(func() {
			if _, err := s.d.Do(s.t.Context(), op(r), s.report); err != nil {
				s.t.Error(err)
			}
		})
	}
	all.Wait()
}
