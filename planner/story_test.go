package planner_test

import (
	"testing"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/planner"
)

func ptr[T any](v T) *T { return &v }

func meta(t testing.TB, address, name string) resource.Meta {
	return resource.Meta{Addr: addr(t, address), Host: "lab", Name: name}
}

// project is a network, an image and a vm with a disk, a seed and a NIC, as config makes them of short files.
func project(t testing.TB, edit ...func(*resource.Set)) *resource.Set {
	pool, lan, img := addr(t, "pool.default"), addr(t, "network.lan"), addr(t, "image.debian")
	set := resource.NewSet(
		&resource.Host{Meta: resource.Meta{Addr: addr(t, "host.lab")}, URI: "sim:mem"},
		&resource.Pool{Meta: meta(t, "pool.default", "default"), UUID: "10000000-0000-4000-8000-000000000001", Path: "/srv/vm"},
		&resource.Network{
			Meta: meta(t, "network.lan", "lan"), UUID: "10000000-0000-4000-8000-000000000002", CIDR: "10.1.0.0/24",
			Reservations: []resource.Reservation{{MAC: "52:54:00:00:00:01", Address: "10.1.0.10", Name: "web"}},
		},
		&resource.Image{Meta: meta(t, "image.debian", "debian"), Source: "debian.qcow2", Format: "qcow2", Pool: pool, PoolName: "default", File: "debian-1.qcow2"},
		&resource.Volume{
			Meta: meta(t, "vm.web.disk.root", "web-root"), Size: 20 * resource.GiB, Pool: pool, Image: img, PoolName: "default",
			File: "web-root.qcow2", Backing: "default/debian-1.qcow2",
		},
		&resource.Seed{
			Meta: meta(t, "vm.web.seed", "web-seed"), Pool: pool, PoolName: "default", File: "web-seed-1.iso",
			UserData: resource.NewSecret("one", []byte("salt")),
		},
		&resource.VM{
			Meta: meta(t, "vm.web", "web"), UUID: "10000000-0000-4000-8000-000000000003", Image: img, Memory: resource.GiB,
			MaxMemory: 4 * resource.GiB, Running: ptr(true),
			Disks: []resource.Disk{
				{Label: "root", Volume: addr(t, "vm.web.disk.root"), Source: "default/web-root.qcow2"},
				{Label: "seed", Volume: addr(t, "vm.web.seed"), Source: "default/web-seed-1.iso", ReadOnly: ptr(true)},
			},
			NICs: []resource.NIC{{Label: "lan", Network: lan, Source: "lan", MAC: "52:54:00:00:00:01", Address: "10.1.0.10"}},
		},
	)
	for _, e := range edit {
		e(set)
	}
	return set
}

func TestCreateThenNothingThenDelete(t *testing.T) {
	w := newWorld(t)
	w.converge(project(t), planner.Options{})
	w.mustBeEmpty(project(t), planner.Options{})
	w.converge(resource.NewSet(), planner.Options{})
	w.mustBeEmpty(resource.NewSet(), planner.Options{})
	w.converge(project(t), planner.Options{})
	w.converge(project(t), planner.Options{Destroy: true})
	if len(w.snap.Records) > 0 {
		t.Errorf("left: %v", w.snap.Records)
	}
}
