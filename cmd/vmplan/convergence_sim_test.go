package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/sim"
)

// TestConvergesOnASimulatedHost: random projects, edited in their files and behind vmplan's back, 2,000 times or, in make soak, 10,000.
func TestConvergesOnASimulatedHost(t *testing.T) {
	t.Parallel()
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // each of thousands of runs leaves its garbage
	tell(t, func(seed uint64) *story {
		return &story{
			seed: seed, rounds: roundsOf(20), most: 8,
			can: abilities{uri: "sim:host.json", poolPath: "/srv", defaultPool: true, images: true, stopPools: true, resize: true, plug: true, cables: true, running: 9, memory: []int{512, 1024, 2048}},
			open: func(dir string) (ground, error) {
				host := sim.File(filepath.Join(dir, "host.json"))
				return simGround{host}, host.Edit(func(d *sim.Data) { d.Pools[theirPool] = &sim.Pool{} })
			},
		}
	}, times(2_000), 2, true)
}

// times is how often a test tries what it tries with chance: n, or VMPLAN_TEST_FACTOR times as often, as make soak has it.
func times(n int) int {
	if factor, err := strconv.Atoi(os.Getenv("VMPLAN_TEST_FACTOR")); err == nil {
		return n * factor
	}
	return n
}

func roundsOf(n int) []uint64 {
	rounds := make([]uint64, n)
	for i := range rounds {
		rounds[i] = uint64(i + 1)
	}
	return rounds
}

// seedOf is the seed of a test: that of the environment, where "random" makes one up, or the same every time, so that a
// change is judged by what it changes.
func seedOf(t *testing.T) uint64 {
	t.Helper()
	text := cmp.Or(os.Getenv("VMPLAN_TEST_SEED"), "1")
	if text == "random" {
		return rand.Uint64N(1 << 32)
	}
	seed, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("VMPLAN_TEST_SEED: %v", err)
	}
	return seed
}

// emptyImages are two images without anything in them, and of different content.
var emptyImages = sync.OnceValue(func() [2][]byte {
	var out [2][]byte
	dir, err := os.MkdirTemp("", "vmplan-images")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	for i := range out {
		path := filepath.Join(dir, fmt.Sprint(i))
		if text, err := exec.Command("qemu-img", "create", "-q", "-f", "qcow2", path, fmt.Sprintf("%dM", 8+i)).CombinedOutput(); err != nil {
			panic(fmt.Sprintf("qemu-img: %v\n%s", err, text))
		}
		if out[i], err = os.ReadFile(path); err != nil {
			panic(err)
		}
	}
	return out
})

// simGround is a simulated host.
type simGround struct{ host *sim.Host }

func (g simGround) boots() (map[string]string, error) {
	d, err := g.host.Data()
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for name, vm := range d.VMs {
		if vm.Power != drivers.PowerOff {
			out[name] = fmt.Sprint(vm.Boots)
		}
	}
	return out, nil
}

func (g simGround) listing() (map[string]string, error) {
	d, err := g.host.Data()
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	add := func(kind, name string, v any) {
		text, e := json.MarshalIndent(v, "    ", " ")
		if e != nil {
			err = e
		}
		out[kind+" "+name] = "    " + string(text)
	}
	for name, vm := range d.VMs {
		vm.Boots = 0
		for _, def := range []*resource.VM{&vm.VM, vm.Live} {
			if def != nil {
				slices.SortFunc(def.Disks, func(a, b resource.Disk) int { return strings.Compare(a.Label, b.Label) })
				slices.SortFunc(def.NICs, func(a, b resource.NIC) int { return strings.Compare(a.Label, b.Label) })
				def.NICs = slices.Clip(append([]resource.NIC(nil), def.NICs...)) // none is nil
			}
		}
		if vm.Live != nil && vm.Live.Graphics != nil {
			vm.Live.Graphics.Port = 0 // chosen at each start
		}
		if vm.Live != nil && len(resource.Diff(vm.Live, &vm.VM)) == 0 {
			vm.Live = nil
		}
		add("vm", name, vm)
	}
	for name, n := range d.Networks {
		slices.SortFunc(n.Reservations, func(a, b resource.Reservation) int { return strings.Compare(a.MAC, b.MAC) })
		n.Leases = nil
		add("network", name, n)
	}
	for name, v := range d.Volumes {
		add("volume", name, v)
	}
	for name, p := range d.Pools {
		add("pool", name, p)
	}
	return out, err
}

func (g simGround) edit(e handEdit) error {
	var err error
	if failed := g.host.Edit(func(d *sim.Data) { err = editSim(d, e) }); failed != nil {
		return failed
	}
	return err
}

func editSim(d *sim.Data, e handEdit) error {
	switch o := e.object.(type) {
	case nil:
		if e.what == addVM {
			d.VMs[e.part] = &sim.VM{VM: resource.VM{Memory: resource.GiB}}
		} else {
			d.Networks[e.part] = &sim.Network{Network: resource.Network{CIDR: "10.8.0.0/24"}}
		}
	case *resource.VM:
		return editSimVM(d, d.VMs[o.Name], o, e)
	case *resource.Network:
		editSimNetwork(d.Networks[o.Name], e)
	case *resource.Pool:
		p := d.Pools[o.Name]
		if e.what == stop {
			p.Inactive = true
		} else {
			p.Autostart = flipped(p.Autostart)
		}
	case *resource.Volume:
		delete(d.Volumes, resource.VolumeID(o))
	}
	return nil
}

func flipped(b *bool) *bool {
	now := b == nil || !*b
	return &now
}

func editSimVM(d *sim.Data, vm *sim.VM, was *resource.VM, e handEdit) error {
	if vm == nil {
		return fmt.Errorf("there is no vm %s", was.Name)
	}
	def := &vm.VM
	both := func(edit func(*resource.VM)) {
		if edit(def); vm.Live != nil {
			edit(vm.Live)
		}
	}
	nic := func(edit func(*resource.NIC)) {
		i := slices.IndexFunc(def.NICs, func(n resource.NIC) bool { return n.Label == e.part })
		edit(&def.NICs[i])
	}
	// People change the definition, the running guest, or both.
	if e.running && e.way%3 > 0 && len(e.drift) > 0 && e.what != setTitle && e.what != setDescription && e.what != flipAutostart && e.what != setModel && e.what != setVCPUs {
		live := resource.Clone(&vm.VM)
		if vm.Live != nil {
			live = vm.Live
		}
		if e.way%3 == 1 {
			def = live
		}
		defer func() { vm.Live = live }()
	}
	switch e.what {
	case setMemory:
		if def.Memory -= 64 * resource.MiB; e.way%2 == 0 && def.Memory+128*resource.MiB <= def.MaxMemory {
			def.Memory += 128 * resource.MiB
		}
	case setVCPUs:
		if def.VCPUs++; def.VCPUs > def.MaxVCPUs {
			def.VCPUs = 1
		}
	case setTitle:
		both(func(d *resource.VM) { d.Title = "by hand" })
	case setDescription:
		both(func(d *resource.VM) { d.Description = "by hand" })
	case flipAutostart:
		def.Autostart = flipped(def.Autostart)
	case flipPower:
		vm.Power, vm.Live = drivers.PowerOff, nil
		if !e.running {
			vm.Power = drivers.PowerOn
		}
	case undefine:
		delete(d.VMs, was.Name)
	case unplugDisk:
		def.Disks = slices.DeleteFunc(def.Disks, func(d resource.Disk) bool { return d.Label == e.part })
	case plugForeign:
		both(func(vm *resource.VM) {
			vm.Disks = append(vm.Disks, resource.Disk{Label: e.part, Source: theirPool + "/" + e.part})
		})
		d.Volumes[theirPool+"/"+e.part] = &sim.Volume{Size: resource.GiB}
	case unplugNIC:
		def.NICs = slices.DeleteFunc(def.NICs, func(n resource.NIC) bool { return n.Label == e.part })
	case flipLink:
		nic(func(n *resource.NIC) { n.Link = flipped(n.Link) })
	case setModel:
		nic(func(n *resource.NIC) {
			n.Model = map[string]string{"virtio": "rtl8139", "e1000": "virtio"}[n.Model]
		})
	}
	return nil
}

func editSimNetwork(n *sim.Network, e handEdit) {
	switch e.what {
	case dropHost:
		n.Reservations = slices.DeleteFunc(n.Reservations, func(r resource.Reservation) bool { return r.MAC == e.part })
	case addHost:
		i, _ := strconv.Atoi(e.part)
		n.Reservations = append(n.Reservations, resource.Reservation{
			MAC: fmt.Sprintf("52:54:00:99:00:%02x", i), Address: fmt.Sprintf("%s.%d", n.CIDR[:strings.LastIndex(n.CIDR, ".")], 160+i),
		})
	case stop:
		n.Inactive = true
	case flipAutostart:
		n.Autostart = flipped(n.Autostart)
	}
}
