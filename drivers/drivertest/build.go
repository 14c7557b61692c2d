package drivertest

import (
	"errors"
	"strings"
	"time"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
)

// buildScenarios are about images that are made from what is on the host already.
var buildScenarios = []scenario{
	{"an image is made of a volume as it is", func(s *suite) {
		v, img := s.volume("data.qcow2"), s.made("copied", resource.KindVolume)
		img.Origin, img.Build = resource.VolumeID(v), nil
		s.create(v, nil)
		s.place(img)
		if !s.can(drivers.AbilityBuild, drivers.NewCreate(s.normal(img), nil)) {
			return
		}
		s.asPromised(img)
		s.noneBut(v, img)
		s.do(drivers.NewDelete(s.normal(v)))
		s.do(drivers.NewDelete(s.normal(img)))
		s.absent(img)
	}},
	{"an image is built of a vm's disk while that is at rest, and leaves nothing else", func(s *suite) {
		vm, img := s.bootable(), s.made("built", resource.KindVM)
		img.Origin, img.Seal = vm.Disks[0].Source, &resource.Seal{Keep: []string{"logs"}}
		s.place(img)
		if s.lacks(drivers.AbilityBuild) {
			s.fails(drivers.NewCopy(img), drivers.ErrUnsupported)
			s.fails(drivers.NewBuild(img, *s.mark(img)), drivers.ErrUnsupported)
			return
		}
		s.boot(vm)
		s.fails(drivers.NewCopy(img), drivers.ErrInUse)
		s.do(drivers.NewStop(s.normalVM(vm), true))
		s.do(drivers.NewCopy(img))
		s.once(drivers.NewBuild(img, *s.mark(img)))
		found, ok := s.do(drivers.NewCreate(s.normal(img), nil)).Object.(*resource.Image)
		if !ok || !strings.HasPrefix(found.Digest, "sha256:") {
			s.t.Fatalf("making the image tells no digest: %+v", found)
		}
		s.asPromised(img)
		s.do(drivers.NewDelete(s.normalVM(vm))) // with its serial log
		base := s.image()
		s.noneBut(base, &resource.Volume{PoolName: s.poolName(), File: "web-root.qcow2"}, img)
		over := s.volume("over.qcow2")
		over.Backing, over.Size = resource.VolumeID(img), 0
		s.create(over, nil)
		s.fails(drivers.NewDelete(s.normal(img)), drivers.ErrInUse)
		s.do(drivers.NewDelete(s.normal(over)))
	}},
	{"a build that fails says why, and deleting its image leaves nothing of it", func(s *suite) {
		base, img := s.image(), s.made("broken", resource.KindImage)
		img.Origin, img.Build.Commands = resource.VolumeID(base), []resource.Command{{Number: "1", Text: "true"}, {Number: "2", Text: "exit 3"}}
		if s.lacks(drivers.AbilityBuild) || !s.h.Guest {
			return
		}
		s.create(base, nil)
		s.place(img)
		_, err := s.d.Do(s.t.Context(), drivers.NewBuild(img, *s.mark(img)), s.report)
		var failed *drivers.BuildError
		if !errors.As(err, &failed) || failed.Step != "run 2" || failed.Code != 3 {
			s.t.Errorf("a command that exits with 3 gives %v", err)
		}
		s.absent(img)
		s.noneBut(base)
		s.do(drivers.NewDelete(s.normal(img)))
		s.noneBut(base)
	}},
}

// once makes a change that is not cheap to make again.
func (s *suite) once(op drivers.Op) {
	s.t.Helper()
	if _, err := s.d.Do(s.t.Context(), op, s.report); err != nil {
		s.t.Fatalf("%s %s: %v", op.Verb(), resource.Key(op.Target()), err)
	}
}

// made gives an image that is made from an object of that kind by a guest such as those of the suite.
func (s *suite) made(name string, from resource.Kind) *resource.Image {
	like := s.normalVM(s.vm("builder"))
	return &resource.Image{
		Meta: s.meta(resource.KindImage, name), From: resource.Addr{Kind: from, Name: "origin"}, Format: "qcow2",
		PoolName: s.poolName(), File: s.tag + name + "-00112233.qcow2",
		Build: &resource.Build{Commands: []resource.Command{{Number: "1", Text: "true"}}},
		Builder: &resource.Builder{
			Memory: 256 * resource.MiB, VCPUs: 1, Timeout: resource.Duration(5 * time.Minute), DomainType: like.DomainType,
			Machine: like.Machine, DiskBus: "virtio", NICModel: "virtio",
		},
	}
}
