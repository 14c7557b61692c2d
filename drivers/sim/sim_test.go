package sim_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/sim"
)

func openFile(t *testing.T, path string) drivers.Driver {
	t.Helper()
	d, err := sim.Open(&resource.Host{URI: "sim://" + path}, drivers.Env{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func do(t *testing.T, d drivers.Driver, op drivers.Op) {
	t.Helper()
	if _, err := d.Do(t.Context(), op, nil); err != nil {
		t.Fatal(err)
	}
}

func observe(t *testing.T, d drivers.Driver, want ...resource.Resource) *drivers.Observed {
	t.Helper()
	o, err := d.Observe(t.Context(), drivers.Selection{Want: want})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func named(name string) resource.Meta {
	return resource.Meta{Name: name, Addr: resource.Addr{Kind: resource.KindVM, Name: name}}
}

func TestThousandCreatesInAFileTakeSeconds(t *testing.T) {
	d := openFile(t, filepath.Join(t.TempDir(), "lab.json"))
	do(t, d, drivers.NewCreate(&resource.Pool{Meta: named("default")}, nil))
	begin := time.Now()
	const count = 1000
	for i := range count {
		name := fmt.Sprint("vm", i)
		do(t, d, drivers.NewCreate(&resource.Volume{PoolName: "default", File: name, Size: resource.GiB}, nil))
		do(t, d, drivers.NewCreate(&resource.VM{Meta: named(name), Disks: []resource.Disk{{Label: "root", Source: "default/" + name}}}, nil))
	}
	if spent := time.Since(begin); spent > 10*time.Second {
		t.Errorf("%d creates took %s", 2*count, spent)
	} else {
		t.Log(spent)
	}
	if o := observe(t, d, &resource.VM{Meta: named("vm999")}); o.Objects["vm/vm999"] == nil {
		t.Error("the last one is missing")
	}
}

func TestSeveralDriversShareOneFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lab.json")
	var all sync.WaitGroup
	for i := range 4 {
		d := openFile(t, path)
		all.Go(func() {
			for j := range 25 {
				vm := &resource.VM{Meta: named(fmt.Sprintf("vm-%d-%d", i, j))}
				if _, err := d.Do(t.Context(), drivers.NewCreate(vm, nil), nil); err != nil {
					t.Error(err)
				}
				if j%10 == 0 {
					if _, err := d.Observe(t.Context(), drivers.Selection{}); err != nil {
						t.Error(err)
					}
				}
			}
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	data, err := sim.File(path).Data()
	if err != nil {
		t.Fatal(err)
	}
	if len(data.VMs) != 100 {
		t.Errorf("the host has %d vms, not 100", len(data.VMs))
	}
}

func TestTheFileIsForPeople(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "lab.json")
	d := openFile(t, path)
	do(t, d, drivers.NewCreate(&resource.VM{Meta: named("web"), Memory: 3 * resource.GiB}, nil))
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if names, _ := filepath.Glob(filepath.Join(dir, "*")); len(names) != 1 {
		t.Errorf("closing leaves %v", names)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), `"memory": "3GiB",`) {
		t.Errorf("no memory of 3GiB in\n%s", text)
	}
	edited := strings.Replace(string(text), `"memory": "3GiB"`, `"memory": "2500MiB"`, 1)
	if err := os.WriteFile(path, []byte(edited), 0o644); err != nil {
		t.Fatal(err)
	}
	vm := observe(t, openFile(t, path), webVM()).Objects["vm/web"].Resource.(*resource.VM)
	if vm.Memory != 2500*resource.MiB {
		t.Errorf("memory is %s after the edit", vm.Memory)
	}
}

func webVM() *resource.VM {
	return &resource.VM{Meta: named("web"), UUID: "7b1f1c1c-8d1e-4a54-9d52-3f1d6a9f0001"}
}
