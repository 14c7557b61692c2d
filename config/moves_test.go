package config

import (
	"strings"
	"testing"

	"vmplan.dev/vmplan/config/resource"
)

const movedProject = `
host "lab" { uri = "sim:lab.json" }
vm "new" {
  disk "root" { size = "1GiB" }
}
moved {
  from = vm.old
  to   = vm.new
}
`

// loadWith loads the files against what is recorded.
func loadWith(t *testing.T, text string, recorded ...resource.Resource) (*Config, Diagnostics) {
	t.Helper()
	write(t, map[string]string{"main.hcl": text})
	p, diags := Open(".", Options{Defaults: testDefaults})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	prior := Prior{Lineage: testLineage, Objects: map[resource.Addr]resource.Resource{}}
	for _, r := range recorded {
		prior.Objects[r.Base().Addr] = r
	}
	return p.Load(prior)
}

func addr(t *testing.T, text string) resource.Addr {
	t.Helper()
	a, err := resource.ParseAddr(text)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func recordedVM(t *testing.T, at, name string) *resource.VM {
	t.Helper()
	return &resource.VM{Meta: resource.Meta{Addr: addr(t, at), Name: name}, UUID: "uuid of " + name}
}

func recordedDisk(t *testing.T, at, file string) *resource.Volume {
	t.Helper()
	return &resource.Volume{Meta: resource.Meta{Addr: addr(t, at), Name: file}, Format: "qcow2", PoolName: "default", File: file}
}

// A vm moves after its disks do: until then they are recorded under different addresses.
func TestMoveThatWasCutShortGoesOn(t *testing.T) {
	for _, disk := range []string{"vm.old.disk.root", "vm.new.disk.root"} {
		c, diags := loadWith(t, movedProject, recordedVM(t, "vm.old", "first"), recordedDisk(t, disk, "first.qcow2"))
		if len(diags) > 0 {
			t.Fatal(diags)
		}
		vm := c.Set.Get(addr(t, "vm.new")).(*resource.VM)
		if vm.Name != "first" || vm.UUID != "uuid of first" || vm.Disks[0].Source != "default/first.qcow2" {
			t.Errorf("with %s: %s, %s, %s", disk, vm.Name, vm.UUID, vm.Disks[0].Source)
		}
		if len(c.Moves) != 1 || c.Moves[0].From.String() != "vm.old" || c.Moves[0].To.String() != "vm.new" {
			t.Errorf("with %s: moves %v", disk, c.Moves)
		}
	}
}

// What cannot move is warned of: the plan would delete it.
func TestMovesThatLoseSomethingAreWarnedOf(t *testing.T) {
	c, diags := loadWith(t, movedProject, recordedVM(t, "vm.old", "first"), recordedVM(t, "vm.new", "second"), recordedDisk(t, "vm.old.disk.root", "first.qcow2"))
	if len(diags) != 1 || diags[0].Summary != "Not moved" || !strings.Contains(diags[0].Detail, "vm.old will be deleted") {
		t.Errorf("both recorded: %v", diags)
	}
	vm := c.Set.Get(addr(t, "vm.new")).(*resource.VM)
	if len(c.Moves) > 0 || vm.Name != "second" || vm.Disks[0].Source != "default/second-root.qcow2" {
		t.Errorf("both recorded: %v, %s, %s", c.Moves, vm.Name, vm.Disks[0].Source)
	}

	several := strings.Replace(movedProject, `vm "new" {`, "vm \"new\" {\n  for_each = toset([\"a\"])", 1)
	c, diags = loadWith(t, several, recordedVM(t, "vm.old", "first"))
	if len(diags) != 1 || diags[0].Summary != "Moved to nowhere" || len(c.Moves) > 0 {
		t.Errorf("to a block with instances: %v %v", diags, c.Moves)
	}
	_, diags = loadWith(t, several, recordedVM(t, `vm.old["a"]`, "first"))
	if len(diags) > 0 {
		t.Errorf("instances to instances: %v", diags)
	}
}
