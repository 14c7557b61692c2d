package planner_test

import (
	"fmt"
	"testing"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/planner"
	"vmplan.dev/vmplan/state"
)

// fleet is n vms with a root disk, a seed and a NIC each, on one network that knows all their addresses.
func fleet(t testing.TB, n int) *resource.Set {
	pool, img, lanAddr := addr(t, "pool.default"), addr(t, "image.os"), addr(t, "network.lan")
	lan := &resource.Network{Meta: meta(t, "network.lan", "lan"), UUID: "10000000-0000-4000-8000-000000000002", CIDR: "10.0.0.0/8"}
	set := resource.NewSet(
		&resource.Host{Meta: resource.Meta{Addr: addr(t, "host.lab")}, URI: "sim:mem"},
		&resource.Pool{Meta: meta(t, "pool.default", "default"), UUID: "10000000-0000-4000-8000-000000000001", Path: "/srv/vm"},
		&resource.Image{Meta: meta(t, "image.os", "os"), Source: "os.qcow2", Format: "qcow2", Pool: pool, PoolName: "default", File: "os.qcow2"},
		lan,
	)
	for i := range n {
		vm := resource.Addr{Kind: resource.KindVM, Name: "web", Key: resource.IndexKey(i)}
		name, mac := fmt.Sprintf("web-%d", i), fmt.Sprintf("52:54:00:%02x:%02x:%02x", i>>16, i>>8&255, i&255)
		address := fmt.Sprintf("10.%d.%d.%d", 1+i>>16, i>>8&255, i&255)
		root := resource.Meta{Addr: vm.WithPart("disk.root"), Host: "lab", Name: name + "-root"}
		seed := resource.Meta{Addr: vm.WithPart("seed"), Host: "lab", Name: name + "-seed"}
		lan.Reservations = append(lan.Reservations, resource.Reservation{MAC: mac, Address: address, Name: name})
		set.Add(&resource.Volume{
			Meta: root, Size: 20 * resource.GiB, Pool: pool, Image: img, PoolName: "default",
			File: name + "-root.qcow2", Backing: "default/os.qcow2",
		})
		set.Add(&resource.Seed{Meta: seed, Pool: pool, PoolName: "default", File: name + "-seed.iso", UserData: resource.NewSecret(name, []byte("salt"))})
		set.Add(&resource.VM{
			Meta: resource.Meta{Addr: vm, Host: "lab", Name: name}, UUID: fmt.Sprintf("30000000-0000-4000-8000-%012d", i), Image: img,
			Memory: resource.GiB, VCPUs: 1, Running: ptr(true),
			Disks: []resource.Disk{
				{Label: "root", Volume: root.Addr, Source: "default/" + name + "-root.qcow2"},
				{Label: "seed", Volume: seed.Addr, Source: "default/" + name + "-seed.iso", ReadOnly: ptr(true)},
			},
			NICs: []resource.NIC{{Label: "lan", Network: lanAddr, Source: "lan", MAC: mac, Address: address}},
		})
	}
	return set
}

// applied is what a plan finds after all of desired was made: without going through a host, which would take its time.
func applied(t testing.TB, rules drivers.Rules, desired *resource.Set, opts planner.Options) planner.Input {
	seen := &drivers.Observed{Facts: drivers.Facts{UUID: "20000000-0000-4000-8000-000000000001"}, Objects: map[string]*drivers.Object{}}
	in := planner.Input{
		Desired: desired, Options: opts, State: &state.Snapshot{Lineage: lineage}, Hosts: map[string]planner.Host{"lab": {Rules: rules, Observed: seen}},
	}
	p, err := planner.New(in)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range p.Steps {
		in.State.Apply(state.Entry{Addr: s.Addr, Record: s.Record})
		if c, ok := s.Op.Op.(*drivers.Create); ok {
			live, _ := resource.Overlay(c.Target(), nil, c.Target())
			o := &drivers.Object{Resource: live, Mark: c.Mark, Power: drivers.PowerOff}
			if c.Target().Kind() == resource.KindVM {
				o.Power, o.Running = drivers.PowerOn, resource.Clone(live)
			}
			seen.Objects[resource.Key(c.Target())] = o
		}
	}
	for _, o := range seen.Objects {
		if vm, ok := o.Resource.(*resource.VM); ok {
			for _, d := range vm.Disks {
				use(seen, "volume/"+d.Source, vm)
			}
			use(seen, "network/lan", vm)
		}
		if v, ok := o.Resource.(*resource.Volume); ok {
			use(seen, "volume/"+v.Backing, v)
		}
	}
	return in
}

func use(seen *drivers.Observed, key string, by resource.Resource) {
	seen.Objects[key].Users = append(seen.Objects[key].Users, resource.Key(by))
}

func rulesOf(t testing.TB) drivers.Rules { return newWorld(t).driver }

var scaleInputs = map[string]func(testing.TB, drivers.Rules, int) planner.Input{
	"create": func(t testing.TB, rules drivers.Rules, n int) planner.Input {
		in := applied(t, rules, resource.NewSet(), planner.Options{})
		in.Desired = fleet(t, n)
		return in
	},
	"nothing": func(t testing.TB, rules drivers.Rules, n int) planner.Input {
		return applied(t, rules, fleet(t, n), planner.Options{})
	},
	"destroy": func(t testing.TB, rules drivers.Rules, n int) planner.Input {
		in := applied(t, rules, fleet(t, n), planner.Options{})
		in.Destroy = true
		return in
	},
	"image": func(t testing.TB, rules drivers.Rules, n int) planner.Input {
		in := applied(t, rules, fleet(t, n), planner.Options{})
		for _, r := range in.Desired.All() {
			switch r := r.(type) {
			case *resource.Image:
				r.File = "new.qcow2"
			case *resource.Volume:
				r.Backing = "default/new.qcow2"
			}
		}
		return in
	},
}

func BenchmarkPlan(b *testing.B) {
	rules := rulesOf(b)
	for _, name := range []string{"create", "nothing", "destroy", "image"} {
		for _, n := range []int{1000, 10_000} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				in := scaleInputs[name](b, rules, n)
				b.ReportAllocs()
				for b.Loop() {
					if _, err := planner.New(in); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
