package drivertest

import (
	"errors"
	"reflect"
	"time"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
)

var powerScenarios = []scenario{
	{"a guest starts and stops", func(s *suite) {
		vm, _, _ := s.vmWithDevices("web")
		vm.Graphics = &resource.Graphics{Type: "vnc"}
		s.create(vm, s.mark(vm))
		s.do(drivers.NewStart(s.normalVM(vm)))
		s.power(vm, drivers.PowerOn)
		s.asPromised(vm)
		o := s.live(vm)
		if o.Running == nil {
			s.t.Fatal("nothing is said of the running guest")
		}
		for _, c := range hostChanges(o.Resource, o.Running) {
			s.t.Errorf("a guest just started differs from its definition in %s: %v, not %v", c.Path, c.New, c.Old)
		}
		s.do(drivers.NewStop(s.normalVM(vm), false)) // heeded, or off after its timeout
		s.power(vm, drivers.PowerOff)
		s.do(drivers.NewStart(s.normalVM(vm)))
		s.do(drivers.NewStop(s.normalVM(vm), true))
		s.power(vm, drivers.PowerOff)
		s.asPromised(vm)
		s.marked(vm, *s.mark(vm))
	}},
	{"a guest can be reset", func(s *suite) {
		vm := s.vm("web")
		s.create(vm, nil)
		s.do(drivers.NewStart(s.normalVM(vm)))
		s.do(drivers.NewReboot(s.normalVM(vm), true))
		s.power(vm, drivers.PowerOn)
		s.asPromised(vm)
	}},
	{"a started guest is waited for, but not for ever", func(s *suite) {
		vm, lan := s.bootable(), s.network("lan")
		s.create(lan, nil)
		vm.NICs = []resource.NIC{{Label: "lan", Source: lan.Name, MAC: mac()}}
		s.boot(vm)
		s.do(drivers.NewWaitReady(s.normalVM(vm))) // for nothing
		vm.Ready = &resource.Ready{Address: &resource.Empty{}, Timeout: resource.Duration(s.h.Patience)}
		if s.h.Guest {
			s.do(drivers.NewWaitReady(s.normalVM(vm)))
			if a := s.live(vm).Addresses["lan"]; len(a) == 0 {
				s.t.Error("the guest is ready and has no address")
			}
			return
		}
		vm.Ready = &resource.Ready{SSH: &resource.ReadySSH{Port: 1}, Timeout: resource.Duration(time.Second)}
		_, err := s.d.Do(s.t.Context(), drivers.NewWaitReady(s.normalVM(vm)), s.report)
		if !errors.Is(err, drivers.ErrTimeout) && !errors.Is(err, drivers.ErrUnsupported) {
			s.t.Errorf("waiting for what nobody answers ends with %v", err)
		}
	}},
	{"a vm that is not there cannot start", func(s *suite) {
		s.fails(drivers.NewStart(s.normalVM(s.vm("none"))), drivers.ErrNotFound)
	}},
	{"deleting what is gone already is done", func(s *suite) {
		for _, r := range []resource.Resource{s.vm("none"), s.network("none"), s.pool("none"), s.volume("none.qcow2")} {
			s.do(drivers.NewDelete(s.normal(r)))
		}
		v := s.volume("gone.qcow2")
		s.needPool()
		s.do(drivers.NewDelete(s.normal(v)))
	}},
	{"a definition changes under a running guest, which has it from its next start", func(s *suite) {
		vm, _, _ := s.vmWithDevices("web")
		s.create(vm, nil)
		s.do(drivers.NewStart(s.normalVM(vm)))
		was := s.live(vm)
		next := resource.Clone(vm)
		next.Title, next.VCPUs, next.MaxVCPUs, next.NICs = "later", 2, 2, nil
		s.do(s.update(next, vm, false))
		now := s.live(next)
		s.sameFields(next, now.Resource, "defined")
		for _, path := range []string{"vcpus", "max_vcpus", "nic.lan.mac", "nic.lan.source"} {
			if a, b := field(was.Running, path), field(now.Running, path); !reflect.DeepEqual(a, b) {
				s.t.Errorf("the running guest's %s went from %v to %v", path, a, b)
			}
		}
		s.do(drivers.NewStop(s.normalVM(next), true))
		s.do(drivers.NewStart(s.normalVM(next)))
		s.asPromised(next)
		s.runningIs(next, "vcpus", 2)
		if nics := s.live(next).Running.(*resource.VM).NICs; len(nics) != 0 {
			s.t.Errorf("the restarted guest still has the nics %v", nics)
		}
	}},
}

// impactOf is the impact of one field that the update changes.
func (s *suite) impactOf(u *drivers.Update, path string) drivers.Impact {
	s.t.Helper()
	for _, f := range s.d.Impact(u.Before, u.Target()) {
		if f.Path == path {
			return f.Impact
		}
	}
	s.t.Fatalf("nothing is said of a change of %s", path)
	return 0
}

func (s *suite) power(vm *resource.VM, want drivers.Power) {
	s.t.Helper()
	if have := s.live(vm).Power; have != want {
		s.t.Errorf("%s is %s, not %s", vm.Name, have, want)
	}
}

var liveScenarios = []scenario{
	{"texts, autostart and virtual CPUs change while the guest runs", func(s *suite) {
		vm, _, _ := s.vmWithDevices("web")
		vm.VCPUs, vm.MaxVCPUs = 1, 2
		s.boot(vm)
		for _, change := range []func(*resource.VM){
			func(vm *resource.VM) { vm.Title = "while it runs" },
			func(vm *resource.VM) { vm.Description = "two\nlines" },
			func(vm *resource.VM) { vm.Autostart = new(true) },
			func(vm *resource.VM) { vm.VCPUs = 2 },
		} {
			vm = s.changeLive(vm, change)
			s.asPromised(vm)
		}
		s.runningIs(vm, "title", "while it runs")
		s.runningIs(vm, "vcpus", 2)
	}},
	{"memory changes up to its maximum while the guest runs", func(s *suite) {
		vm := s.bootable()
		vm.MaxMemory = vm.Memory
		vm.Memory = vm.MaxMemory / 4 * 3
		s.boot(vm)
		vm = s.changeLive(vm, func(vm *resource.VM) { vm.Memory = vm.MaxMemory })
		s.sameFields(vm, s.live(vm).Resource, "defined")
		if s.h.Guest {
			s.eventually("the guest's balloon gives the memory", func() bool {
				return field(s.live(vm).Running, "memory") == vm.Memory
			})
		}
	}},
	{"what needs a restart says so", func(s *suite) {
		vm, _, _ := s.vmWithDevices("web")
		s.create(vm, nil)
		for path, change := range map[string]func(*resource.VM){
			"memory":        func(vm *resource.VM) { vm.Memory *= 2; vm.MaxMemory = vm.Memory },
			"max_memory":    func(vm *resource.VM) { vm.MaxMemory = 2 * vm.Memory },
			"vcpus":         func(vm *resource.VM) { vm.VCPUs, vm.MaxVCPUs = 4, 4 },
			"max_vcpus":     func(vm *resource.VM) { vm.MaxVCPUs = 8 },
			"firmware":      func(vm *resource.VM) { vm.Firmware = "uefi" },
			"cpu":           func(vm *resource.VM) { vm.CPU = "qemu64" },
			"disk.root.bus": func(vm *resource.VM) { vm.Disks[0].Bus = "scsi" },
		} {
			next := resource.Clone(vm)
			change(next)
			u := s.update(next, vm, true)
			if got := s.impactOf(u, path); got != drivers.ImpactRestart {
				s.t.Errorf("changing %s has impact %s", path, got)
			}
		}
	}},
	{"every change tells what is called", func(s *suite) {
		vm, root, lan := s.vmWithDevices("web")
		was := []resource.Resource{vm, root, lan}
		vm, root, lan = resource.Clone(vm), resource.Clone(root), resource.Clone(lan)
		vm.Name, vm.Title, vm.VCPUs, vm.MaxVCPUs, vm.NICs = "next", "t", 2, 2, nil
		root.Size, lan.Mode = 2*root.Size, "nat"
		for i, r := range []resource.Resource{vm, root, lan} {
			impacts := s.d.Impact(s.normal(was[i]), s.normal(r))
			if len(impacts) == 0 {
				s.t.Errorf("nothing is said of the changes of %s", r.Kind())
			}
			for _, f := range impacts {
				if f.Call == "" {
					s.t.Errorf("%s.%s: nothing is called", r.Kind(), f.Path)
				}
			}
		}
	}},
	{"a vm that is off is renamed, and loses nothing", func(s *suite) {
		vm, _, _ := s.vmWithDevices("old")
		vm.Title = "the same"
		s.create(vm, s.mark(vm))
		next := resource.Clone(vm)
		next.Name, next.Title, next.VCPUs, next.MaxVCPUs = s.tag+"new", "another", 2, 2
		s.place(next)
		before, after := resource.Overlay(s.normal(next), s.normal(vm), s.live(vm).Resource)
		u := drivers.NewUpdate(before, after, false)
		if got := s.impactOf(u, "name"); got != drivers.ImpactRestart {
			s.t.Errorf("a new name has impact %s", got)
		}
		s.do(drivers.NewStart(s.normalVM(vm)))
		s.fails(u, drivers.ErrInUse)
		s.asPromised(vm)
		s.do(drivers.NewStop(s.normalVM(vm), true))
		s.do(u)
		s.absent(vm)
		s.asPromised(next)
		s.marked(next, *s.mark(vm))
		s.do(drivers.NewStart(s.normalVM(next)))
		s.asPromised(next)
		s.do(drivers.NewStop(s.normalVM(next), true))
		other := s.vm("other")
		s.create(other, nil)
		back := resource.Clone(next)
		back.Name = other.Name
		s.fails(drivers.NewUpdate(s.normal(next), s.normal(back), false), drivers.ErrConflict)
		s.asPromised(next)
		s.asPromised(other)
	}},
	{"disks come and go while the guest runs", func(s *suite) {
		vm, data := s.bootable(), s.volume("data.qcow2")
		s.create(data, nil)
		s.boot(vm)
		plugged := resource.Clone(vm)
		plugged.Disks = append(plugged.Disks, resource.Disk{Label: "data", Source: resource.VolumeID(data), Bus: "virtio"})
		if !s.plug(vm, plugged) {
			return
		}
		s.asPromised(plugged)
		if users := s.live(data).Users; len(users) != 1 {
			s.t.Errorf("the plugged disk's users are %v", users)
		}
		if s.h.Guest {
			s.plug(plugged, vm)
			s.asPromised(vm)
			if disks := s.live(vm).Running.(*resource.VM).Disks; len(disks) != len(vm.Disks) {
				s.t.Errorf("the running guest has the disks %v", disks)
			}
			s.do(drivers.NewDelete(s.normal(data)))
		}
	}},
	{"NICs come, change and go while the guest runs", func(s *suite) {
		vm, lan, other := s.bootable(), s.network("lan"), s.network("other")
		s.create(lan, nil)
		s.create(other, nil)
		s.boot(vm)
		plugged := resource.Clone(vm)
		plugged.NICs = append(plugged.NICs, resource.NIC{Label: "lan", Source: lan.Name, MAC: mac(), Model: "virtio"})
		if !s.plug(vm, plugged) {
			return
		}
		s.asPromised(plugged)
		moved := resource.Clone(plugged)
		moved.NICs[0].Source, moved.NICs[0].Link = other.Name, new(false)
		s.plug(plugged, moved)
		s.asPromised(moved)
		if s.h.Guest {
			s.plug(moved, vm)
			s.asPromised(vm)
			if nics := s.live(vm).Running.(*resource.VM).NICs; len(nics) != 0 {
				s.t.Errorf("the running guest has the nics %v", nics)
			}
		}
	}},
}

// bootable makes a vm without NICs whose root disk, where the host can do it, holds the harness's image.
func (s *suite) bootable() *resource.VM {
	s.t.Helper()
	const name = "web"
	root := s.volume(name + "-root.qcow2")
	if s.h.Guest {
		img := s.image()
		s.create(img, nil)
		root.Backing, root.Size = resource.VolumeID(img), 0
	}
	s.create(root, nil)
	vm := s.vm(name)
	vm.Disks = []resource.Disk{{Label: "root", Source: resource.VolumeID(root)}}
	return vm
}

// boot makes the vm and starts it.
func (s *suite) boot(vm *resource.VM) {
	s.t.Helper()
	s.create(vm, s.mark(vm))
	s.do(drivers.NewStart(s.normalVM(vm)))
	s.power(vm, drivers.PowerOn)
}

// changeLive makes a change to a running guest, which has to be announced as live.
func (s *suite) changeLive(vm *resource.VM, change func(*resource.VM)) *resource.VM {
	s.t.Helper()
	next := resource.Clone(vm)
	change(next)
	u := s.update(next, vm, true)
	if got := s.impact(u); got != drivers.ImpactLive {
		s.t.Errorf("the impact is %s, not live: %+v", got, s.d.Impact(u.Before, u.Target()))
	}
	s.do(u)
	return next
}

// plug makes a change of devices to a running guest. It is false when the host cannot do that and the driver said so.
func (s *suite) plug(from, to *resource.VM) bool {
	s.t.Helper()
	u := s.update(to, from, true)
	live := s.impact(u) == drivers.ImpactLive
	if s.lacks(drivers.AbilityLiveDevices) {
		if live {
			s.fails(u, drivers.ErrUnsupported)
		}
		return false
	}
	if !live {
		s.t.Errorf("plugging is not live: %+v", s.d.Impact(u.Before, u.Target()))
	}
	if s.h.Guest {
		s.eventually("the guest heeds its hot-plug controller", func() bool {
			_, err := s.d.Do(s.t.Context(), u, s.report)
			return err == nil
		})
	}
	s.do(u)
	return true
}
