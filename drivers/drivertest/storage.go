package drivertest

import (
	"slices"
	"strings"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
)

var storageScenarios = []scenario{
	{"a pool is made active, and has room", func(s *suite) {
		p := s.pool("p")
		s.create(p, nil)
		o := s.live(p)
		if o.Power != drivers.PowerOn || o.Capacity == 0 || o.Free == 0 || o.Free > o.Capacity || o.Path != p.Path {
			s.t.Errorf("the pool is %s at %s with %s of %s free", o.Power, o.Path, o.Free, o.Capacity)
		}
		s.do(drivers.NewDelete(s.normal(p)))
		s.absent(p)
	}},
	{"a pool's autostart is changed in place", func(s *suite) {
		p := s.pool("p")
		s.create(p, nil)
		p.Autostart = new(false)
		u := s.update(p, nil, false)
		if got := s.impact(u); got != drivers.ImpactLive {
			s.t.Errorf("impact is %s", got)
		}
		s.do(u)
		s.asPromised(p)
	}},
	{"a pool of that name with another identity conflicts", func(s *suite) {
		p, other := s.pool("p"), s.pool("p")
		s.create(p, nil)
		s.fails(drivers.NewCreate(s.normal(other), nil), drivers.ErrConflict)
		s.fails(drivers.NewDelete(s.normal(other)), drivers.ErrConflict)
		s.asPromised(p)
	}},
	{"volumes are made as they are wanted", func(s *suite) {
		for _, file := range []string{"a.qcow2", "b.raw"} {
			v := s.volume(file)
			s.create(v, nil)
			if o := s.live(v); !strings.HasSuffix(o.Path, "/"+file) || len(o.Users) != 0 {
				s.t.Errorf("%s is at %s, used by %v", file, o.Path, o.Users)
			}
			if files := s.live(s.pool("disks")).Volumes; !slices.Contains(files, file) || !slices.IsSorted(files) {
				s.t.Errorf("%s is not among what the pool holds: %q", file, files)
			}
			s.do(drivers.NewDelete(s.normal(v)))
			s.absent(v)
		}
	}},
	{"a volume in a pool that is not there is refused", func(s *suite) {
		v := s.volume("a.qcow2")
		v.PoolName = s.tag + "nowhere"
		s.fails(drivers.NewCreate(s.normal(v), nil), drivers.ErrNotFound)
	}},
	{"another volume of that name conflicts", func(s *suite) {
		v := s.volume("a.qcow2")
		s.create(v, nil)
		other := s.volume("a.qcow2")
		other.Size *= 2
		s.fails(drivers.NewCreate(s.normal(other), nil), drivers.ErrConflict)
		s.asPromised(v)
	}},
	{"a volume grows and never shrinks", func(s *suite) {
		v := s.volume("a.qcow2")
		s.create(v, nil)
		bigger := resource.Clone(v)
		bigger.Size *= 2
		u := s.update(bigger, v, false)
		if got := s.impact(u); got != drivers.ImpactLive {
			s.t.Errorf("growing has impact %s", got)
		}
		if s.can(drivers.AbilityResize, u) {
			s.asPromised(bigger)
			s.fails(drivers.NewUpdate(s.normal(bigger), s.normal(v), false), drivers.ErrConflict)
			s.asPromised(bigger)
		}
		if got := s.impact(drivers.NewUpdate(s.normal(bigger), s.normal(v), false)); got != drivers.ImpactReplace {
			s.t.Errorf("shrinking has impact %s", got)
		}
	}},
	{"a backing volume knows its overlays and stays while there are any", func(s *suite) {
		base, over := s.volume("base.qcow2"), s.volume("over.qcow2")
		over.Backing, over.Size = resource.VolumeID(base), 2*base.Size
		s.create(base, nil)
		s.place(over)
		if !s.can(drivers.AbilityOverlay, drivers.NewCreate(s.normal(over), nil)) {
			return
		}
		s.asPromised(over)
		if users := s.live(base).Users; !slices.Equal(users, []string{resource.Key(over)}) {
			s.t.Errorf("the base has the users %v", users)
		}
		s.fails(drivers.NewDelete(s.normal(base)), drivers.ErrInUse)
		s.asPromised(base)
		s.do(drivers.NewDelete(s.normal(over)))
		s.do(drivers.NewDelete(s.normal(base)))
		s.absent(base, over)
	}},
	{"an image is imported once and vms overlay it", func(s *suite) {
		img := s.image()
		s.place(img)
		op := drivers.NewCreate(s.normal(img), nil)
		if !s.can(drivers.AbilityUpload, op) {
			s.absent(img)
			return
		}
		found, ok := s.do(op).Object.(*resource.Image)
		if !ok || !strings.HasPrefix(found.Digest, "sha256:") {
			s.t.Fatalf("the import tells no digest: %+v", found)
		}
		s.asPromised(img)
		over := s.volume("over.qcow2")
		over.Backing, over.Size = resource.VolumeID(img), 0
		s.create(over, nil)
		if size := s.live(over).Resource.(*resource.Volume).Size; size == 0 {
			s.t.Error("an overlay without a size has none")
		}
		s.fails(drivers.NewDelete(s.normal(img)), drivers.ErrInUse)
	}},
	{"a seed comes and goes", func(s *suite) {
		salt := []byte("salt")
		seed := &resource.Seed{
			Meta: s.meta(resource.KindSeed, "seed"), PoolName: s.poolName(), File: "web-seed-0a1b2c3d.iso",
			UserData: resource.NewSecret("#cloud-config\n", salt), MetaData: resource.NewSecret("instance-id: one\n", salt),
		}
		s.place(seed)
		if s.can(drivers.AbilityUpload, drivers.NewCreate(s.normal(seed), nil)) {
			s.asPromised(seed)
			s.do(drivers.NewDelete(s.normal(seed)))
		}
		s.absent(seed)
	}},
}
