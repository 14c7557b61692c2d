package drivertest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"path"
	"slices"
	"sync"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
)

// abilityScenarios hold what the driver says of its kind of host to what it does. Other scenarios do so for the abilities that
// they are about.
var abilityScenarios = []scenario{
	{"what a host cannot do has a reason, and always the same answer", func(s *suite) {
		for _, a := range drivers.Abilities {
			first, second := s.d.Can(a), s.d.Can(a)
			if (first == nil) != (second == nil) || first != nil && first.Error() != second.Error() {
				s.t.Errorf("%s: first %v, then %v", a, first, second)
			}
			if first != nil && !errors.Is(first, drivers.ErrUnsupported) {
				s.t.Errorf("%s: the error is not ErrUnsupported: %v", a, first)
			}
		}
	}},
	{"snapshots are taken where the host can", func(s *suite) {
		vm, _, _ := s.vmWithDevices("web")
		s.create(vm, nil)
		n := s.normalVM(vm)
		if s.can(drivers.AbilitySnapshots, drivers.NewSnapshot(n, "disks", false)) {
			s.do(drivers.NewDropSnapshot(n, "disks"))
		}
		s.do(drivers.NewStart(n))
		if s.can(drivers.AbilityMemorySnapshots, drivers.NewSnapshot(n, "memory", true)) {
			s.do(drivers.NewDropSnapshot(n, "memory"))
		}
	}},
	{"guests are waited for where the host can", func(s *suite) {
		vm := s.vm("web")
		vm.Ready = &resource.Ready{Address: &resource.Empty{}} // without NICs it waits for none
		s.create(vm, nil)
		s.do(drivers.NewStart(s.normalVM(vm)))
		s.can(drivers.AbilityReady, drivers.NewWaitReady(s.normalVM(vm)))
	}},
	{"there is a console where the host can", console},
	{"the defaults are something that the host can have", defaults},
	{"only disks of the formats that hold snapshots have snapshots", func(s *suite) {
		if s.lacks(drivers.AbilitySnapshots) {
			return
		}
		for _, format := range []string{"qcow2", "raw"} {
			v, vm := s.volume("root."+format), s.vm(format)
			vm.Disks = []resource.Disk{{Label: "root", Source: resource.VolumeID(v)}}
			s.create(v, nil)
			s.create(vm, nil)
			op := drivers.NewSnapshot(s.normalVM(vm), "first", false)
			if slices.Contains(s.d.Defaults().SnapshotFormats, format) {
				s.do(op)
			} else {
				s.fails(op, drivers.ErrUnsupported)
			}
		}
	}},
	{"just the kinds that the driver names carry a mark", func(s *suite) {
		vm, root, lan := s.vmWithDevices("web")
		s.create(vm, s.mark(vm))
		marked, other := s.network("marked"), s.volume("marked.qcow2")
		s.create(marked, s.mark(marked))
		s.create(other, s.mark(other))
		pool := s.pool("marked")
		s.create(pool, s.mark(pool))
		for _, r := range []resource.Resource{vm, marked, other, pool} {
			if got := s.live(r).Mark != nil; got != s.d.Marks(r.Kind()) {
				s.t.Errorf("%s carries a mark: %t, and the driver says %t", resource.Key(r), got, s.d.Marks(r.Kind()))
			}
		}
		for _, r := range []resource.Resource{root, lan} {
			if s.live(r).Mark != nil {
				s.t.Errorf("%s carries a mark that it was not given", resource.Key(r))
			}
		}
	}},
}

func defaults(s *suite) {
	d := s.d.Defaults()
	if d.PoolName == "" || !path.IsAbs(d.PoolPath) || d.DiskFormat == "" || d.InstallUEFI == "" || d.InstallTPM == "" || d.LetWrite == "" {
		s.t.Errorf("the defaults are incomplete: %+v", d)
	}
	if slices.Contains(d.OwnFolders, d.PoolPath) {
		s.t.Errorf("the pool is in %s, where no pool can be", d.PoolPath)
	}
	v := s.volume("usual." + d.DiskFormat)
	v.Format = d.DiskFormat
	s.create(v, nil)
	plain := s.normal(&resource.Volume{Meta: v.Meta, PoolName: v.PoolName, File: v.File, Size: v.Size}).(*resource.Volume)
	if plain.Format != d.DiskFormat {
		s.t.Errorf("a volume without a format is %s, and by default disks are %s", plain.Format, d.DiskFormat)
	}
}

// console reads what a guest says.
func console(s *suite) {
	ctx, cancel := context.WithCancel(s.t.Context())
	defer cancel()
	in, typed := io.Pipe()
	defer typed.Close()
	if s.lacks(drivers.AbilityConsole) {
		s.wantError(s.d.Console(ctx, s.normalVM(s.vm("web")), in, io.Discard), drivers.ErrUnsupported)
		return
	}
	if !s.h.Guest {
		return
	}
	vm := s.bootable()
	s.boot(vm)
	out := &output{}
	ended := make(chan error, 1)
	go func() { ended <- s.d.Console(ctx, s.normalVM(vm), in, out) }()
	s.eventually("the guest says something when a key is pressed", func() bool {
		_, _ = typed.Write([]byte("\n"))
		return out.len() > 0
	})
	cancel()
	if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
		s.t.Errorf("the console ends with %v", err)
	}
}

// output is a buffer that another goroutine writes to.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) len() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Len()
}
