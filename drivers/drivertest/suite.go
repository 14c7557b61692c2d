package drivertest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"path"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
)

// suite is one scenario's hold on the host. What it creates it deletes when the test ends. Names, UUIDs and lineage are its own.
type suite struct {
	t       *testing.T
	h       Harness
	d       drivers.Driver
	tag     string
	lineage string
	pooled  bool // the pool is there
}

func newSuite(t *testing.T, h Harness) *suite {
	t.Helper()
	s := &suite{t: t, h: h, tag: "vt" + strings.ToLower(rand.Text()[:6]), lineage: uuid.NewString()}
	s.d = s.open()
	return s
}

func (s *suite) open() drivers.Driver {
	d := s.h.Open(s.t)
	s.t.Cleanup(func() {
		if err := d.Close(); err != nil {
			s.t.Errorf("close: %v", err)
		}
	})
	return d
}

func (s *suite) report(p drivers.Progress) {
	if p.Phase == "" {
		s.t.Error("progress has no phase")
	}
}

func (s *suite) meta(kind resource.Kind, name string) resource.Meta {
	return resource.Meta{Name: s.tag + name, Addr: resource.Addr{Kind: kind, Name: name}}
}

func (s *suite) pool(name string) *resource.Pool {
	return &resource.Pool{Meta: s.meta(resource.KindPool, name), UUID: uuid.NewString(), Path: path.Join(s.h.PoolPath, s.tag+name)}
}

var (
	nextNet sync.Mutex
	netNo   int
)

// network makes an isolated network with a range that no other of the suite has.
func (s *suite) network(name string) *resource.Network {
	nextNet.Lock()
	defer nextNet.Unlock()
	netNo++
	return &resource.Network{
		Meta: s.meta(resource.KindNetwork, name), UUID: uuid.NewString(), Mode: "isolated",
		CIDR: fmt.Sprintf("10.231.%d.0/24", netNo%256),
	}
}

func (s *suite) poolName() string { return s.tag + "disks" }

// needPool makes the pool that the scenario's volumes are in.
func (s *suite) needPool() {
	s.t.Helper()
	if !s.pooled {
		s.pooled = true
		s.create(s.pool("disks"), nil)
	}
}

func (s *suite) volume(file string) *resource.Volume {
	s.t.Helper()
	v := &resource.Volume{Meta: s.meta(resource.KindVolume, "volume"), PoolName: s.poolName(), File: file, Size: 64 * resource.MiB, Format: "qcow2"}
	v.Addr.Name = strings.NewReplacer(".", "-").Replace(file)
	if strings.HasSuffix(file, ".raw") {
		v.Format = "raw"
	}
	return v
}

func (s *suite) image() *resource.Image {
	img := resource.Clone(s.h.Image)
	img.Meta, img.PoolName, img.File = s.meta(resource.KindImage, "golden"), s.poolName(), "golden-00112233.qcow2"
	return img
}

// vm makes a small vm without devices.
func (s *suite) vm(name string) *resource.VM {
	vm := &resource.VM{
		Meta: s.meta(resource.KindVM, name), UUID: uuid.NewString(),
		Memory: 128 * resource.MiB, ShutdownTimeout: resource.Duration(2 * time.Second),
	}
	if s.h.Tune != nil {
		s.h.Tune(vm)
	}
	return vm
}

// vmWithDevices makes a vm with a disk and a NIC, and what they need.
func (s *suite) vmWithDevices(name string) (*resource.VM, *resource.Volume, *resource.Network) {
	s.t.Helper()
	root, lan := s.volume(name+"-root.qcow2"), s.network(name+"net")
	s.create(root, nil)
	s.create(lan, nil)
	vm := s.vm(name)
	vm.Disks = []resource.Disk{{Label: "root", Source: resource.VolumeID(root)}}
	vm.NICs = []resource.NIC{{Label: "lan", Source: lan.Name, MAC: mac()}}
	return vm, root, lan
}

func mac() string {
	var b [3]byte
	_, _ = rand.Read(b[:]) // never fails
	return fmt.Sprintf("52:54:00:%02x:%02x:%02x", b[0], b[1], b[2])
}

func (s *suite) mark(r resource.Resource) *drivers.Mark {
	return &drivers.Mark{Lineage: s.lineage, Addr: r.Base().Addr, Version: "0.0.1-test"}
}

// normal is r as the planner would hand it to the driver.
func (s *suite) normal(r resource.Resource) resource.Resource {
	s.t.Helper()
	n, err := s.d.Normalize(r)
	if err != nil {
		s.t.Fatalf("normalize %s: %v", resource.Key(r), err)
	}
	return n
}

func (s *suite) normalVM(vm *resource.VM) *resource.VM {
	s.t.Helper()
	return s.normal(vm).(*resource.VM)
}

// do makes a change, twice: the second time it is done already.
func (s *suite) do(op drivers.Op) drivers.Result {
	s.t.Helper()
	var result drivers.Result
	for _, time := range []string{"", " again"} {
		var err error
		if result, err = s.d.Do(s.t.Context(), op, s.report); err != nil {
			s.t.Fatalf("%s %s%s: %v", op.Verb(), resource.Key(op.Target()), time, err)
		}
	}
	return result
}

// fails makes a change that has to fail in this way.
func (s *suite) fails(op drivers.Op, want error) {
	s.t.Helper()
	_, err := s.d.Do(s.t.Context(), op, s.report)
	s.wantError(err, want)
}

func (s *suite) wantError(err, want error) {
	s.t.Helper()
	if !errors.Is(err, want) {
		s.t.Errorf("the error should be %q, but is: %v", want, err)
	}
}

// lacks tells whether the driver says that such a host cannot do something.
func (s *suite) lacks(a drivers.Ability) bool { return s.d.Can(a) != nil }

// can makes a change that the host may be unable to make: then the driver has to say so, and can tells no.
func (s *suite) can(a drivers.Ability, op drivers.Op) bool {
	s.t.Helper()
	if s.lacks(a) {
		s.fails(op, drivers.ErrUnsupported)
		return false
	}
	s.do(op)
	return true
}

// create makes the object and checks that it is there as promised.
func (s *suite) create(r resource.Resource, mark *drivers.Mark) {
	s.t.Helper()
	s.place(r)
	s.do(drivers.NewCreate(s.normal(r), mark))
	s.asPromised(r)
}

// place sees to the pool of a volume, and to the end of any object.
func (s *suite) place(r resource.Resource) {
	s.t.Helper()
	if resource.VolumeID(r) != "" {
		s.needPool()
	}
	n := s.normal(r)
	s.t.Cleanup(func() { s.remove(n) })
}

// remove deletes the object, if it is there still.
func (s *suite) remove(r resource.Resource) {
	ctx := context.WithoutCancel(s.t.Context())
	if vm, ok := r.(*resource.VM); ok {
		if _, err := s.d.Do(ctx, drivers.NewStop(vm, true), s.report); err != nil && !errors.Is(err, drivers.ErrNotFound) {
			s.t.Errorf("stop %s: %v", vm.Name, err)
		}
	}
	if _, err := s.d.Do(ctx, drivers.NewDelete(r), s.report); err != nil {
		s.t.Errorf("delete %s: %v", resource.Key(r), err)
	}
}

func (s *suite) observe(want ...resource.Resource) *drivers.Observed {
	s.t.Helper()
	for i, r := range want {
		want[i] = s.normal(r)
	}
	o, err := s.d.Observe(s.t.Context(), drivers.Selection{Lineage: s.lineage, Want: want})
	if err != nil {
		s.t.Fatalf("observe: %v", err)
	}
	return o
}

// live is the object as the host has it.
func (s *suite) live(r resource.Resource) *drivers.Object {
	s.t.Helper()
	key := resource.Key(r)
	o := s.observe(r).Objects[key]
	if o == nil {
		s.t.Fatalf("%s is not on the host", key)
	}
	if o.Resource.Kind() != r.Kind() || o.Resource.Base().Addr != r.Base().Addr {
		s.t.Errorf("%s is observed as %s of kind %s", key, o.Resource.Base().Addr, o.Resource.Kind())
	}
	return o
}

func (s *suite) absent(rs ...resource.Resource) {
	s.t.Helper()
	o := s.observe(slices.Clone(rs)...)
	for _, r := range rs {
		if key := resource.Key(r); o.Objects[key] != nil {
			s.t.Errorf("%s is still on the host", key)
		}
	}
}

// asPromised checks that a plan made now would have nothing to do, whether the object is recorded or not.
func (s *suite) asPromised(r resource.Resource) {
	s.t.Helper()
	o := s.live(r)
	s.sameFields(r, o.Resource, "defined")
	if o.Running != nil {
		s.sameFields(r, o.Running, "running")
	}
	for _, f := range resource.Fields(o.Resource) {
		if f.Class != resource.ClassHost {
			s.t.Errorf("%s: the driver observes %s, which is vmplan's own affair", resource.Key(r), f.Path)
		}
	}
}

// sameFields compares what is wanted with what there is, as the planner does.
func (s *suite) sameFields(want, have resource.Resource, what string) {
	s.t.Helper()
	n := s.normal(want)
	for _, recorded := range []resource.Resource{nil, n} {
		for _, c := range hostChanges(resource.Overlay(n, recorded, have)) {
			s.t.Errorf("%s %s differs in %s: it is %s and should be %s", resource.Key(want), what, c.Path, resource.Format(c.Old), resource.Format(c.New))
		}
	}
}

// runningIs checks one field of the running guest.
func (s *suite) runningIs(vm *resource.VM, path string, want any) {
	s.t.Helper()
	o := s.live(vm)
	if o.Running == nil {
		s.t.Fatalf("%s does not run", vm.Name)
	}
	if have := field(o.Running, path); !reflect.DeepEqual(have, want) {
		s.t.Errorf("the running guest has %s = %v, not %v", path, have, want)
	}
}

func field(r resource.Resource, path string) any {
	for _, f := range resource.Fields(r) {
		if f.Path == path {
			return f.Value
		}
	}
	return nil
}

func hostChanges(before, after resource.Resource) []resource.Change {
	return slices.DeleteFunc(resource.Diff(before, after), func(c resource.Change) bool { return c.Class != resource.ClassHost })
}

// update changes the object as a plan would: from what is live to what is wanted. It gives the impacts that a plan would
// show.
func (s *suite) update(r, recorded resource.Resource, live bool) *drivers.Update {
	s.t.Helper()
	if recorded != nil {
		recorded = s.normal(recorded)
	}
	before, after := resource.Overlay(s.normal(r), recorded, s.live(r).Resource)
	return drivers.NewUpdate(before, after, live)
}

// impact is the worst of the update's impacts.
func (s *suite) impact(u *drivers.Update) drivers.Impact {
	worst := drivers.ImpactRecord
	for _, f := range s.d.Impact(u.Before, u.Target()) {
		worst = max(worst, f.Impact)
	}
	return worst
}

// eventually waits for a guest.
func (s *suite) eventually(what string, done func() bool) {
	s.t.Helper()
	deadline := time.Now().Add(s.h.Patience)
	for !done() {
		if time.Now().After(deadline) {
			s.t.Fatalf("not within %s: %s", s.h.Patience, what)
		}
		select {
		case <-s.t.Context().Done():
			s.t.Fatal(s.t.Context().Err())
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func keys(o *drivers.Observed) []string { return slices.Sorted(maps.Keys(o.Objects)) }
