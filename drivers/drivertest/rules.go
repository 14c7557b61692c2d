package drivertest

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"pgregory.net/rapid"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
)

var ruleScenarios = []scenario{
	{"normalizing is pure and done once", func(s *suite) {
		rapid.Check(s.t, func(t *rapid.T) {
			r := drawResource(t, "r")
			copied := resource.Clone(r)
			once, err := s.d.Normalize(r)
			if !reflect.DeepEqual(r, copied) {
				t.Fatalf("normalizing changes what it is given:\n%+v\n%+v", copied, r)
			}
			if err != nil {
				if !errors.Is(err, drivers.ErrUnsupported) {
					t.Fatalf("the error is not ErrUnsupported: %v", err)
				}
				if drivers.FieldOf(err) == "" {
					t.Fatalf("the error does not say which field is wrong: %v", err)
				}
				return
			}
			twice, err := s.d.Normalize(once)
			if err != nil {
				t.Fatalf("what is normal already is refused: %v", err)
			}
			if !reflect.DeepEqual(once, twice) {
				t.Fatalf("normalizing again changes %v", resource.Diff(once, twice))
			}
			again, _ := s.d.Normalize(r)
			if !reflect.DeepEqual(once, again) {
				t.Fatal("normalizing gives another answer the second time")
			}
			if once.Base().Addr != r.Base().Addr || resource.Key(once) != resource.Key(r) {
				t.Fatalf("normalizing makes %s of %s", resource.Key(once), resource.Key(r))
			}
		})
	}},
	{"what a vm cannot have names the field", func(s *suite) {
		vm := s.vm("web")
		vm.MaxMemory = vm.Memory / 2
		_, err := s.d.Normalize(vm)
		s.wantError(err, drivers.ErrUnsupported)
		if got := drivers.FieldOf(err); got != "max_memory" {
			s.t.Errorf("the field is %q in %v", got, err)
		}
	}},
	{"impact speaks of every host field that changed, and of no other", func(s *suite) {
		rapid.Check(s.t, func(t *rapid.T) {
			before, after := drawPair(t)
			if before, after = normalOrNil(s.d, before), normalOrNil(s.d, after); before == nil || after == nil {
				return
			}
			var want, got []string
			for _, c := range hostChanges(before, after) {
				want = append(want, c.Path)
			}
			for _, f := range s.d.Impact(before, after) {
				got = append(got, f.Path)
				if f.Impact == drivers.ImpactDestroy {
					t.Fatalf("changing %s destroys", f.Path)
				}
			}
			if !reflect.DeepEqual(want, got) {
				t.Fatalf("what changed: %v\nwhat has an impact: %v", want, got)
			}
		})
	}},
}

func normalOrNil(d drivers.Driver, r resource.Resource) resource.Resource {
	n, err := d.Normalize(r)
	if err != nil {
		return nil
	}
	return n
}

var drawnKinds = []resource.Kind{resource.KindPool, resource.KindNetwork, resource.KindImage, resource.KindVolume, resource.KindSeed, resource.KindVM}

// drawResource makes any object that config could.
func drawResource(t *rapid.T, label string) resource.Resource {
	return drawOf(t, rapid.SampledFrom(drawnKinds).Draw(t, label+" kind"), label)
}

// drawPair makes two objects of one kind.
func drawPair(t *rapid.T) (a, b resource.Resource) {
	kind := rapid.SampledFrom(drawnKinds).Draw(t, "kind")
	return drawOf(t, kind, "before"), drawOf(t, kind, "after")
}

func drawOf(t *rapid.T, kind resource.Kind, label string) resource.Resource {
	r, err := resource.New(kind)
	if err != nil {
		t.Fatal(err)
	}
	drawStruct(t, reflect.ValueOf(r).Elem(), label)
	r.Base().Addr = resource.Addr{Kind: kind, Name: "x"}
	return r
}

// drawStruct sets some of the fields that config leaves set.
func drawStruct(t *rapid.T, v reflect.Value, path string) {
	for _, a := range resource.SchemaOf(v.Type()).Attrs {
		at := path + "." + a.Name
		if a.Class == resource.ClassInput || !rapid.Bool().Draw(t, at+" set") {
			continue
		}
		f := v.FieldByIndex(a.Index)
		switch a.Block {
		case resource.SingleBlock:
			f.Set(reflect.New(a.Type))
			drawStruct(t, f.Elem(), at)
		case resource.LabelledBlock:
			drawBlocks(t, f, a, at)
		default:
			drawLeaf(t, f, a, at)
		}
	}
}

func drawBlocks(t *rapid.T, f reflect.Value, a resource.Attr, path string) {
	labels := []string{"root", "data", "seed"}
	if a.Name == "reservation" {
		labels = []string{"52:54:00:aa:bb:01", "52:54:00:aa:bb:02"}
	}
	count := rapid.IntRange(1, len(labels)).Draw(t, path+" count")
	for _, label := range labels[:count] {
		elem := reflect.New(a.Type).Elem()
		drawStruct(t, elem, path+"."+label)
		elem.FieldByIndex(resource.SchemaOf(a.Type).Label).SetString(label)
		f.Set(reflect.Append(f, elem))
	}
}

var drawnTexts = map[string][]string{
	"name": {"web", "db"}, "path": {"/srv/vm", "/srv//vm/"}, "cidr": {"10.17.3.0/24", "10.17.3.5/24", "192.168.0.0/28"},
	"uuid": {"7b1f1c1c-8d1e-4a54-9d52-000000000001", "7b1f1c1c-8d1e-4a54-9d52-000000000002"}, "bridge": {"br0", "br7"},
	"domain": {"lab.example"}, "dhcp_start": {"10.17.3.100"}, "dhcp_end": {"10.17.3.200"}, "address": {"10.17.3.9", "10.17.3.10"},
	"machine": {"q35", "pc"}, "cpu": {"host-model", "maximum", "qemu64"}, "arch": {"x86_64"}, "domain_type": {"qemu"},
	"source": {"default/a.qcow2", "default/b.qcow2"}, "backing": {"default/base.qcow2"}, "pool_name": {"default", "fast"},
	"file": {"a.qcow2", "b.qcow2"}, "mac": {"52:54:00:AA:BB:CC", "52:54:00:aa:bb:cc"}, "listen": {"127.0.0.1", "0.0.0.0"},
}

func drawLeaf(t *rapid.T, f reflect.Value, a resource.Attr, path string) {
	texts := a.Enum
	if texts == nil {
		texts = drawnTexts[a.Name]
	}
	if texts == nil {
		texts = []string{"one", "two"}
	}
	switch p := f.Addr().Interface().(type) {
	case *string:
		*p = rapid.SampledFrom(texts).Draw(t, path)
	case **bool:
		*p = new(rapid.Bool().Draw(t, path))
	case *bool:
		*p = true
	case *int:
		*p = rapid.IntRange(1, 8).Draw(t, path)
	case *resource.Size:
		*p = resource.Size(rapid.IntRange(1, 8).Draw(t, path)) * resource.GiB
	case *resource.Duration:
		*p = resource.Duration(rapid.IntRange(1, 8).Draw(t, path)) * 1e9
	case *resource.Addr:
		*p = resource.Addr{Kind: resource.KindPool, Name: "x"}
	case *resource.Secret:
		*p = resource.NewSecret(rapid.SampledFrom(texts).Draw(t, path), []byte("salt"))
	case *[]resource.Addr:
		*p = []resource.Addr{{Kind: resource.KindVM, Name: "x"}}
	case *[]string:
		*p = strings.Fields(rapid.SampledFrom(texts).Draw(t, path))
	default:
		panic(fmt.Sprintf("drivertest: nothing to draw for %s of %s", path, f.Type()))
	}
}

// foreigners are objects that are not ours, and how they were.
type foreigners struct {
	*suite
	objects []resource.Resource
	was     *drivers.Observed
}

// foreigners makes objects of another project's, one of them running, that nothing in the suite may touch.
func (s *suite) foreigners() *foreigners {
	s.t.Helper()
	vm, root, lan := s.vmWithDevices("foreign")
	s.create(vm, s.mark(vm))
	s.do(drivers.NewStart(s.normalVM(vm)))
	f := &foreigners{suite: s, objects: []resource.Resource{vm, root, lan}}
	f.was = s.observe(f.objects...)
	return f
}

func (f *foreigners) unchanged() {
	f.t.Helper()
	now := f.observe(f.objects...)
	for key, was := range f.was.Objects {
		o := now.Objects[key]
		if o == nil {
			f.t.Errorf("%s of another project is gone", key)
			continue
		}
		if !reflect.DeepEqual(was.Resource, o.Resource) || !reflect.DeepEqual(was.Running, o.Running) || was.Power != o.Power ||
			!reflect.DeepEqual(was.Mark, o.Mark) || !reflect.DeepEqual(was.Users, o.Users) {
			f.t.Errorf("%s of another project was changed from\n%+v\nto\n%+v", key, was, o)
		}
	}
}
