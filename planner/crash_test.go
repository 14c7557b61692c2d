package planner_test

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers/sim"
	"vmplan.dev/vmplan/planner"
)

// lab is a project that can be written in many ways: the parameters of a random one.
type lab struct {
	PoolPath, CIDR, Image string
	VMs                   []labVM
	DB                    int  // size of a volume with a block of its own, GiB; 0: none
	DBKeep                bool // on_delete = "retain"
}

type labVM struct {
	Name           string
	Root           int // GiB
	Data           int // size of a second owned disk; 0: none
	DataKeep       bool
	DB             bool // uses the volume db
	Seed           string
	Memory, CPUs   int
	Machine        string
	Running        string // true, false, null
	Title          string
	NIC, After     bool // after: depends_on the vm before it
	Orphan, Listen bool
	Called, At     string // on the host, and in the files, when that is not Name
	Update         string
	Trigger        bool   // replaced with the image or when the db grows
	Found          bool   // on the host already, and imported
	Stay           string // on_image_change
}

// set writes the lab as config would.
func (l lab) set(t testing.TB) *resource.Set {
	pool := addr(t, "pool.default")
	set := resource.NewSet(
		&resource.Host{Meta: resource.Meta{Addr: addr(t, "host.lab")}, URI: "sim:mem"},
		&resource.Pool{Meta: meta(t, "pool.default", "default"), UUID: "10000000-0000-4000-8000-000000000001", Path: l.PoolPath},
		&resource.Image{Meta: meta(t, "image.os", "os"), Source: l.Image, Format: "qcow2", Pool: pool, PoolName: "default", File: "os-" + l.Image + ".qcow2"},
	)
	lan := &resource.Network{Meta: meta(t, "network.lan", "lan"), UUID: "10000000-0000-4000-8000-000000000002", CIDR: l.CIDR}
	set.Add(lan)
	if l.DB > 0 {
		db := &resource.Volume{Meta: meta(t, "volume.db", "db"), Size: resource.Size(l.DB) * resource.GiB, Pool: pool, PoolName: "default", File: "db.qcow2"}
		if l.DBKeep {
			db.OnDelete = "retain"
		}
		set.Add(db)
	}
	before := ""
	for i, v := range l.VMs {
		l.addVM(t, set, lan, v, i, before)
		before = cmp.Or(v.At, v.Name)
	}
	return set
}

func (l lab) addVM(t testing.TB, set *resource.Set, lan *resource.Network, v labVM, i int, before string) {
	pool, at := addr(t, "pool.default"), "vm."+cmp.Or(v.At, v.Name)
	vm := &resource.VM{
		Meta: meta(t, at, cmp.Or(v.Called, v.Name)), UUID: fmt.Sprintf("10000000-0000-4000-8000-1000000000%02x0", v.Name[0]),
		Image: addr(t, "image.os"), Memory: resource.Size(v.Memory) * resource.GiB, MaxMemory: 4 * resource.GiB, VCPUs: v.CPUs, MaxVCPUs: 4,
		Machine: v.Machine, Title: v.Title, Update: v.Update,
	}
	if v.Trigger {
		vm.Lifecycle = &resource.Lifecycle{ReplaceTriggeredBy: []string{"image.os", "volume.db.size"}}
	}
	switch v.Running {
	case "true":
		vm.Running = ptr(true)
	case "false":
		vm.Running = ptr(false)
	}
	if v.Orphan {
		vm.OnDelete = "orphan"
	}
	if v.Listen {
		vm.Ready = &resource.Ready{SSH: &resource.ReadySSH{}}
	}
	if v.After && before != "" {
		vm.DependsOn = []resource.Addr{addr(t, "vm."+before)}
	}
	own := func(label string, size int, vol *resource.Volume) {
		vol.Meta = meta(t, at+".disk."+label, v.Name+"-"+label)
		vol.Size, vol.Pool, vol.PoolName, vol.File = resource.Size(size)*resource.GiB, pool, "default", v.Name+"-"+label+".qcow2"
		set.Add(vol)
		vm.Disks = append(vm.Disks, resource.Disk{Label: label, Volume: vol.Addr, Source: "default/" + vol.File})
	}
	root := &resource.Volume{}
	if !v.Found {
		root.Image, root.Backing, root.OnImageChange = addr(t, "image.os"), "default/os-"+l.Image+".qcow2", v.Stay
	}
	own("root", v.Root, root)
	if v.Data > 0 {
		vol := &resource.Volume{}
		if v.DataKeep {
			vol.OnDelete = "retain"
		}
		own("data", v.Data, vol)
	}
	if v.DB && l.DB > 0 {
		vm.Disks = append(vm.Disks, resource.Disk{Label: "db", Volume: addr(t, "volume.db"), Source: "default/db.qcow2"})
	}
	if v.Seed != "" {
		seed := &resource.Seed{
			Meta: meta(t, at+".seed", v.Name+"-seed"), Pool: pool, PoolName: "default",
			File: v.Name + "-seed-" + v.Seed + ".iso", UserData: resource.NewSecret(v.Seed, []byte("salt")),
		}
		set.Add(seed)
		vm.Disks = append(vm.Disks, resource.Disk{Label: "seed", Volume: seed.Addr, Source: "default/" + seed.File, ReadOnly: ptr(true)})
	}
	if v.NIC {
		mac := fmt.Sprintf("52:54:00:00:00:%02x", v.Name[0])
		address := fmt.Sprintf("%s.%d", l.CIDR[:len(l.CIDR)-len(".0/24")], v.Name[0])
		lan.Reservations = append(lan.Reservations, resource.Reservation{MAC: mac, Address: address, Name: v.Name})
		vm.NICs = append(vm.NICs, resource.NIC{Label: "lan", Network: lan.Addr, Source: "lan", MAC: mac, Address: address})
	}
	set.Add(vm)
}

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

func randomLab(r *rand.Rand) lab {
	l := lab{
		PoolPath: pick(r, "/srv/a", "/srv/a", "/srv/a", "/srv/b"), CIDR: pick(r, "10.1.0.0/24", "10.1.0.0/24", "10.2.0.0/24"),
		Image: pick(r, "one", "one", "two"), DB: pick(r, 0, 4, 8), DBKeep: r.IntN(4) == 0,
	}
	for _, name := range []string{"a", "b", "c"} {
		if r.IntN(3) == 0 {
			continue
		}
		l.VMs = append(l.VMs, labVM{
			Name: name, Root: pick(r, 10, 10, 20), Data: pick(r, 0, 1, 2), DataKeep: r.IntN(4) == 0, DB: r.IntN(3) == 0,
			Seed: pick(r, "", "x", "y"), Memory: pick(r, 1, 1, 2), CPUs: pick(r, 1, 1, 2), Machine: pick(r, "q35", "q35", "pc"),
			Running: pick(r, "true", "true", "false", "null"), Title: pick(r, "", "t"), NIC: r.IntN(3) > 0, After: r.IntN(4) == 0,
			Orphan: r.IntN(8) == 0, Listen: r.IntN(3) == 0, Stay: pick(r, "", "", "ignore", "warn"),
		})
	}
	return l
}

// randomOrder is one of the orders that the graph allows.
func randomOrder(r *rand.Rand, p *planner.Plan) []int {
	at := map[string]int{}
	waits := make([]int, len(p.Steps))
	next := make([][]int, len(p.Steps))
	var ready, order []int
	for i, s := range p.Steps {
		at[s.ID] = i
		for _, d := range s.DependsOn {
			next[at[d]] = append(next[at[d]], i)
			waits[i]++
		}
		if waits[i] == 0 {
			ready = append(ready, i)
		}
	}
	for len(ready) > 0 {
		n := r.IntN(len(ready))
		i := ready[n]
		ready[n] = ready[len(ready)-1]
		ready = ready[:len(ready)-1]
		order = append(order, i)
		for _, j := range next[i] {
			if waits[j]--; waits[j] == 0 {
				ready = append(ready, j)
			}
		}
	}
	return order
}

// settle applies the lab until there is nothing to do, which must be after one apply. Seeds that a guest detached because the
// plan restarted it, and what was refused, are told apart.
func (w *world) settle(set *resource.Set, opts planner.Options) bool {
	w.t.Helper()
	p := w.plan(set, opts)
	if p.Refused() {
		return false
	}
	w.apply(p, inOrder(p), nil)
	if again := w.plan(set, opts); !again.Empty() || again.Refused() {
		w.t.Fatalf("after\n%s\nthere is left:\n%s", p, again)
	}
	return true
}

// A project goes from one random form to another; the apply is killed at any moment; the next one ends where an undisturbed
// one would have.
func TestAnyCrashConverges(t *testing.T) {
	for seed := range seeds(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			from, to := randomLab(r), randomLab(r)
			opts := planner.Options{}
			if r.IntN(6) == 0 {
				opts.Destroy = true
			}
			how := refactored(r, &from, &to)
			start := func() *world {
				w := newWorld(t)
				if !w.settle(from.set(t), planner.Options{}) {
					t.Fatal("an empty host must take anything")
				}
				w.refactor = how
				w.edit(to.putFound)
				return w
			}
			undisturbed := start()
			p := undisturbed.plan(to.set(t), opts)
			if p.Refused() {
				return
			}
			if !undisturbed.settle(to.set(t), opts) {
				t.Fatal("refused the second time")
			}
			want := undisturbed.text()
			for range 3 {
				order := randomOrder(r, p)
				for n := range order {
					for _, c := range []crash{{step: n}, {step: n, intent: true}, {step: n, intent: true, effect: true}} {
						w := start()
						w.apply(p, order, &c)
						again := w.plan(to.set(t), opts)
						if again.Refused() {
							t.Fatalf("killed at %q (%+v) of\n%s\nthe next plan is refused:\n%s", p.Steps[order[n]].ID, c, p, again)
						}
						w.apply(again, inOrder(again), nil)
						if got := w.text(); got != want {
							t.Fatalf("killed at %q (%+v) of\n%s\nthen applied\n%s\n%s", p.Steps[order[n]].ID, c, p, again, difference(got, want))
						}
						if third := w.plan(to.set(t), opts); !third.Empty() {
							t.Fatalf("killed at %q (%+v) of\n%s\nthen applied\n%s\nleft to do\n%s", p.Steps[order[n]].ID, c, p, again, third)
						}
					}
				}
			}
		})
	}
}

// refactored has vms move to other addresses, change their names, leave, be there already, and be updated in other ways.
func refactored(r *rand.Rand, from, to *lab) refactor {
	var how refactor
	had := map[string]bool{}
	for _, v := range from.VMs {
		had[v.Name] = true
	}
	for i := range to.VMs {
		v := &to.VMs[i]
		v.Update, v.Trigger = pick(r, "", "", "stage", "restart"), r.IntN(4) == 0
		switch {
		case !had[v.Name] && r.IntN(2) == 0:
			// What is being taken over is not replaced by a trigger of the same plan, but may be by one of the next.
			v.Found, v.Called, v.Trigger = true, "found-"+v.Name, false
			how.Imports = append(how.Imports, resource.Import{To: resource.Addr{Kind: resource.KindVM, Name: v.Name}, ID: v.Called})
		case had[v.Name] && r.IntN(3) == 0:
			v.At = "new-" + v.Name
			vm := resource.Addr{Kind: resource.KindVM, Name: v.Name}
			how.Moves = append(how.Moves, resource.Move{From: vm, To: resource.Addr{Kind: resource.KindVM, Name: v.At}})
		}
		// A staged guest gets its name when it is off: a crash that leaves it off brings that forward.
		if had[v.Name] && v.Update != "stage" && r.IntN(4) == 0 {
			v.Called = "called-" + v.Name
		}
		delete(had, v.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(had)) {
		if r.IntN(2) == 0 {
			how.Removed = append(how.Removed, resource.Removal{From: resource.Addr{Kind: resource.KindVM, Name: name}, Cascade: r.IntN(2) == 0})
		}
	}
	return how
}

// putFound puts those vms on the host that are to be imported, as somebody else made them: with another identity, and a disk
// that is called otherwise.
func (l lab) putFound(d *sim.Data) {
	for _, v := range l.VMs {
		if !v.Found {
			continue
		}
		root := "default/theirs-" + v.Name + ".img"
		d.Volumes[root] = &sim.Volume{Size: resource.Size(v.Root) * resource.GiB, Format: "qcow2"}
		d.VMs[v.Called] = &sim.VM{VM: resource.VM{
			UUID: fmt.Sprintf("20000000-0000-4000-8000-1000000000%02x", v.Name[0]), Memory: resource.GiB, MaxMemory: 4 * resource.GiB,
			VCPUs: 1, MaxVCPUs: 4, Machine: "q35", Firmware: "bios",
			Disks: []resource.Disk{{Label: "root", Source: root, Bus: "virtio", Device: "disk"}},
		}}
	}
}

// difference lists the lines that only one of the texts has.
func difference(got, want string) string {
	count := map[string]int{}
	for line := range strings.Lines(got) {
		count[line]++
	}
	for line := range strings.Lines(want) {
		count[line]--
	}
	out := ""
	for _, line := range slices.Sorted(maps.Keys(count)) {
		if n := count[line]; n != 0 {
			out += fmt.Sprintf("%+d %s", n, line)
		}
	}
	return out
}

// seeds is how many random projects a test tries: n, or VMPLAN_TEST_FACTOR times as many.
func seeds(n uint64) uint64 {
	if factor, err := strconv.ParseUint(os.Getenv("VMPLAN_TEST_FACTOR"), 10, 64); err == nil {
		return n * factor
	}
	return n
}
