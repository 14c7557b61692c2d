package view

import (
	"strings"
	"testing"

	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/planner"
)

// Of a new vm the plan shows what a reviewer has to judge, and neither defaults nor what vmplan derives.
func TestANewObjectShowsWhatIsNotUsual(t *testing.T) {
	vm := planner.Change{Addr: addr("vm.web"), Kind: "vm", Action: planner.ActionCreate, Cause: planner.CauseAbsent}
	for _, f := range strings.Fields(`name="web" uuid="1" image=image.base vcpus=2 max_vcpus=2 memory=2_GiB max_memory=4_GiB machine="q35" firmware="uefi"
		secure_boot=false disk.root.volume=vm.web.disk.root disk.root.source="default/web-root.qcow2" disk.root.bus="virtio" disk.root.read_only=false
		disk.data.volume=volume.data disk.data.bus="scsi" disk.data.read_only=true disk.seed.volume=vm.web.seed disk.seed.read_only=true
		nic.lan.network=network.lan nic.lan.source="lan" nic.lan.model="virtio" nic.lan.link=false running=true autostart=false
		shutdown_timeout=5m on_delete="orphan"`) {
		path, value, _ := strings.Cut(f, "=")
		vm.Fields = append(vm.Fields, planner.FieldChange{Path: path, New: val(strings.ReplaceAll(value, "_", " "))})
	}
	net := planner.Change{Addr: addr("network.lan"), Kind: "network", Action: planner.ActionCreate, Cause: planner.CauseAbsent, Fields: []planner.FieldChange{
		{Path: "name", New: val(`"other"`)},
		{Path: "mode", New: val(`"nat"`)},
		{Path: "autostart", New: val("false")},
		{Path: "reservation.52:54:00:00:00:01.address", New: val(`"10.0.0.2"`)},
	}}
	s := newScreen(Streams{})
	if err := s.Plan(&planner.Plan{Changes: []planner.Change{net, vm}, Steps: make([]planner.Step, 2)}, nil, Downloads{}).Text(); err != nil {
		t.Fatal(err)
	}
	golden(t, "usual.txt", s.out.String())
}

// A disk or NIC that comes or goes is one line, not one for each of its attributes.
func TestABlockThatComesOrGoesIsOneLine(t *testing.T) {
	both := func(path, was, is string) planner.FieldChange {
		return planner.FieldChange{Path: path, Old: val(was), New: val(is), Impact: drivers.ImpactLive}
	}
	vm := planner.Change{Addr: addr("vm.web"), Kind: "vm", Action: planner.ActionUpdate, Impact: drivers.ImpactLive, Fields: []planner.FieldChange{
		both("disk.data.volume", "", "volume.data"), both("disk.data.source", "", `"default/data.qcow2"`), both("disk.data.bus", "", `"scsi"`),
		both("disk.own.volume", "", "vm.web.disk.own"), both("disk.own.bus", "", `"virtio"`),
		both("disk.old.volume", "volume.old", ""), both("disk.old.bus", `"virtio"`, ""),
		both("nic.lan.network", "network.a", "network.b"), both("nic.lan.source", `"a"`, `"b"`),
	}}
	s := newScreen(Streams{})
	if err := s.Plan(&planner.Plan{Changes: []planner.Change{vm}, Steps: make([]planner.Step, 1)}, nil, Downloads{}).Text(); err != nil {
		t.Fatal(err)
	}
	golden(t, "blocks.txt", s.out.String())
}

// What only follows from other changes is counted, or left to those.
func TestAChangedObjectShowsNoNoise(t *testing.T) {
	live := func(path, was, is string) planner.FieldChange {
		return planner.FieldChange{Path: path, Old: val(was), New: val(is), Impact: drivers.ImpactLive}
	}
	net := planner.Change{Addr: addr("network.lan"), Kind: "network", Action: planner.ActionUpdate, Impact: drivers.ImpactLive, Fields: []planner.FieldChange{
		live("reservation.52:54:00:00:00:01.address", `"10.0.0.2"`, ""), live("reservation.52:54:00:00:00:01.name", `"a"`, ""),
		live("reservation.52:54:00:00:00:02.address", "", `"10.0.0.3"`), live("reservation.52:54:00:00:00:03.address", `"10.0.0.4"`, `"10.0.0.5"`),
	}}
	image := planner.Change{Addr: addr("image.base"), Kind: "image", Action: planner.ActionReplace, Impact: drivers.ImpactReplace, Fields: []planner.FieldChange{
		live("source", `"a.raw"`, `"b.raw"`), live("file", `"base-1.raw"`, `"base-2.raw"`), live("digest", `"sha256:00"`, ""),
	}}
	vm := planner.Change{Addr: addr("vm.web"), Kind: "vm", Action: planner.ActionUpdate, Impact: drivers.ImpactNextBoot, Fields: []planner.FieldChange{
		live("disk.seed.source", `"default/web-seed-1.iso"`, `"default/web-seed-2.iso"`),
	}}
	first := planner.Change{Addr: addr("vm.first"), Kind: "vm", Action: planner.ActionUpdate, Impact: drivers.ImpactLive, Fields: []planner.FieldChange{
		live("disk.seed.source", "", `"default/first-seed-1.iso"`), live("disk.seed.bus", "", `"virtio"`), live("disk.seed.volume", "", "vm.first.seed"),
	}}
	s := newScreen(Streams{})
	if err := s.Plan(&planner.Plan{Changes: []planner.Change{net, image, vm, first}, Steps: make([]planner.Step, 3)}, nil, Downloads{}).Text(); err != nil {
		t.Fatal(err)
	}
	golden(t, "noise.txt", s.out.String())
}
