package drivertest

import (
	"bytes"
	"encoding/binary"
	"io"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
)

// copyScenarios are about what volumes hold.
var copyScenarios = []scenario{
	{"what an overlay holds is read as one file that stands alone", func(s *suite) {
		img := s.image()
		s.place(img)
		if !s.can(drivers.AbilityUpload, drivers.NewCreate(s.normal(img), nil)) || s.lacks(drivers.AbilityOverlay) {
			return
		}
		over := s.volume("over.qcow2")
		over.Backing, over.Size = resource.VolumeID(img), 0
		s.create(over, nil)
		size := s.live(over).Resource.(*resource.Volume).Size
		first, ok := s.read(over)
		if !ok {
			return
		}
		if len(first) < 104 || string(first[:4]) != "QFI\xfb" || binary.BigEndian.Uint64(first[8:]) != 0 || resource.Size(binary.BigEndian.Uint64(first[24:])) != size {
			s.t.Errorf("what is read is no qcow2 image of %s without a backing file: %x", size, first[:min(len(first), 104)])
		}
		if again, _ := s.read(over); !bytes.Equal(first, again) {
			s.t.Errorf("reading again gives something else: %d bytes, then %d", len(first), len(again))
		}
		s.noneBut(img, over)
	}},
	{"a volume is made as a copy of another, which then may go", func(s *suite) {
		base, over, clone := s.volume("base.qcow2"), s.volume("over.qcow2"), s.volume("clone.raw")
		over.Backing, over.Size = resource.VolumeID(base), 2*base.Size
		clone.CopyOf, clone.Size = resource.VolumeID(over), 0
		s.create(base, nil)
		s.place(over)
		s.place(clone)
		if !s.can(drivers.AbilityOverlay, drivers.NewCreate(s.normal(over), nil)) {
			return
		}
		s.do(drivers.NewCreate(s.normal(clone), nil))
		s.asPromised(clone)
		if size := s.live(clone).Resource.(*resource.Volume).Size; size != over.Size {
			s.t.Errorf("the copy has %s, what it is a copy of %s", size, over.Size)
		}
		larger := s.volume("larger.qcow2")
		larger.CopyOf, larger.Size = resource.VolumeID(over), 2*over.Size
		s.create(larger, nil)
		smaller := s.volume("smaller.qcow2")
		smaller.CopyOf, smaller.Size = resource.VolumeID(over), base.Size
		if _, err := s.d.Do(s.t.Context(), drivers.NewCreate(s.normal(smaller), nil), s.report); err == nil {
			s.t.Error("a copy that is smaller than what it is a copy of is made")
		}
		s.absent(smaller)
		s.do(drivers.NewDelete(s.normal(over)))
		s.do(drivers.NewDelete(s.normal(base)))
		s.asPromised(clone)
		s.do(drivers.NewCreate(s.normal(clone), nil))
		lost := s.volume("lost.qcow2")
		lost.CopyOf = resource.VolumeID(over)
		s.fails(drivers.NewCreate(s.normal(lost), nil), drivers.ErrNotFound)
	}},
	{"a disk that a running guest writes to is not copied", func(s *suite) {
		vm, root, _ := s.vmWithDevices("web")
		clone := s.volume("clone.qcow2")
		clone.CopyOf = resource.VolumeID(root)
		s.create(vm, nil)
		s.do(drivers.NewStart(s.normalVM(vm)))
		s.fails(drivers.NewCreate(s.normal(clone), nil), drivers.ErrInUse)
		s.absent(clone)
		s.do(drivers.NewStop(s.normalVM(vm), true))
		s.create(clone, nil)
	}},
	{"a raw volume is read raw", func(s *suite) {
		v := s.volume("a.raw")
		v.Size = resource.MiB
		s.create(v, nil)
		if bits, ok := s.read(v); ok && len(bits) != int(v.Size) {
			s.t.Errorf("%d bytes were read of %s", len(bits), v.Size)
		}
	}},
	{"a missing volume, or an overlay of a disk that a running guest writes to, is not read", func(s *suite) {
		if s.lacks(drivers.AbilityReadVolumes) {
			return
		}
		vm, root, _ := s.vmWithDevices("web")
		_, err := s.d.ReadVolume(s.t.Context(), s.poolName()+"/nothing.qcow2", io.Discard, s.report)
		s.wantError(err, drivers.ErrNotFound)
		s.create(vm, nil)
		over := s.volume("over.qcow2")
		over.Backing = resource.VolumeID(root)
		s.create(over, nil)
		s.do(drivers.NewStart(s.normalVM(vm)))
		for _, v := range []*resource.Volume{root, over} {
			_, err = s.d.ReadVolume(s.t.Context(), resource.VolumeID(v), io.Discard, s.report)
			s.wantError(err, drivers.ErrInUse)
		}
		s.do(drivers.NewStop(s.normalVM(vm), true))
		s.read(root)
		s.read(over)
	}},
}

// read gives what the volume holds, if the host can.
func (s *suite) read(v *resource.Volume) ([]byte, bool) {
	s.t.Helper()
	var out bytes.Buffer
	content, err := s.d.ReadVolume(s.t.Context(), resource.VolumeID(v), &out, s.report)
	if s.lacks(drivers.AbilityReadVolumes) {
		s.wantError(err, drivers.ErrUnsupported)
		return nil, false
	}
	if err != nil {
		s.t.Fatal(err)
	}
	if live := s.live(v).Resource.(*resource.Volume); content.Format != v.Format || content.VirtualSize != live.Size {
		s.t.Errorf("%s of %s is read as %s of %s", v.Format, live.Size, content.Format, content.VirtualSize)
	}
	return out.Bytes(), true
}

// noneBut checks that the scenario's pool holds these volumes and no others.
func (s *suite) noneBut(want ...resource.Resource) {
	s.t.Helper()
	o, err := s.d.Observe(s.t.Context(), drivers.Selection{Lineage: s.lineage, Want: want, All: true})
	if err != nil {
		s.t.Fatal(err)
	}
	wanted := map[string]bool{}
	for _, r := range want {
		wanted[resource.Key(r)] = true
	}
	for key, object := range o.Objects {
		if v, ok := object.Resource.(*resource.Volume); ok && v.PoolName == s.poolName() && !wanted[key] {
			s.t.Errorf("%s is left in the pool", key)
		}
	}
}
