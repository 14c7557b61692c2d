package sim_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/sim"
)

func TestTheURISaysWhereTheHostIs(t *testing.T) {
	project, elsewhere := t.TempDir(), t.TempDir()
	for uri, file := range map[string]string{
		"sim:lab.json":                        filepath.Join(project, "lab.json"),
		"sim:" + elsewhere + "/a.json":        filepath.Join(elsewhere, "a.json"),
		"sim://" + elsewhere + "/../b/c.json": filepath.Join(filepath.Dir(elsewhere), "b", "c.json"),
		"sim:":                                "",
		"sim:mem":                             "",
	} {
		if file != "" {
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		d, err := sim.Open(&resource.Host{URI: uri}, drivers.Env{Dir: project})
		if err != nil {
			t.Errorf("%s: %v", uri, err)
			continue
		}
		do(t, d, drivers.NewCreate(webVM(), nil))
		if err := d.Close(); err != nil {
			t.Errorf("%s: %v", uri, err)
		}
		if _, err := os.Stat(file); err != nil && file != "" {
			t.Errorf("%s: %v", uri, err)
		}
	}
	if names, _ := filepath.Glob(filepath.Join(project, "*")); len(names) != 1 {
		t.Errorf("the project's folder has %v", names)
	}
	for _, uri := range []string{"sim://host/lab.json", "sim:lab.json?x=1", "sim://lab.json"} {
		if _, err := sim.Open(&resource.Host{URI: uri}, drivers.Env{}); !errors.Is(err, drivers.ErrUnsupported) {
			t.Errorf("%s: %v", uri, err)
		}
	}
}

// BenchmarkObserve reads a file of 1,000 vms, each with two volumes, as one more process would.
func BenchmarkObserve(b *testing.B) {
	path := filepath.Join(b.TempDir(), "lab.json")
	var want []resource.Resource
	err := sim.File(path).Edit(func(d *sim.Data) {
		d.Pools["default"] = &sim.Pool{}
		for i := range 1000 {
			vm := &sim.VM{}
			for _, label := range []string{"root", "seed"} {
				v := &resource.Volume{PoolName: "default", File: fmt.Sprint(label, i)}
				d.Volumes[resource.VolumeID(v)] = &sim.Volume{Size: resource.GiB}
				vm.Disks = append(vm.Disks, resource.Disk{Label: label, Source: resource.VolumeID(v)})
				want = append(want, v)
			}
			name := fmt.Sprint("vm", i)
			d.VMs[name] = vm
			want = append(want, &resource.VM{Meta: named(name)})
		}
	})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		d, err := sim.Open(&resource.Host{URI: "sim://" + path}, drivers.Env{})
		if err != nil {
			b.Fatal(err)
		}
		o, err := d.Observe(b.Context(), drivers.Selection{Want: want})
		if err != nil || len(o.Objects) != len(want) {
			b.Fatal(len(o.Objects), err)
		}
		if err := d.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
