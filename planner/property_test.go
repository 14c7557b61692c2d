package planner_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/sim"
	"vmplan.dev/vmplan/planner"
	"vmplan.dev/vmplan/state"
)

// The same input, put together in another order, gives the same bytes; and New leaves it as it was.
func TestPlanIsPure(t *testing.T) {
	for seed := range seeds(60) {
		r := rand.New(rand.NewPCG(seed, 3))
		from, to := randomLab(r), randomLab(r)
		w := newWorld(t)
		w.settle(from.set(t), planner.Options{})
		opts := planner.Options{Destroy: r.IntN(5) == 0}
		in := w.input(to.set(t), opts)
		before := inputText(t, in)
		p, err := planner.New(in)
		if err != nil {
			t.Fatal(err)
		}
		want := encode(t, p)
		if after := inputText(t, in); after != before {
			t.Fatalf("the input was changed:\n%s", difference(after, before))
		}
		for range 3 {
			q, err := planner.New(shuffled(r, in))
			if err != nil {
				t.Fatal(err)
			}
			if got := encode(t, q); !bytes.Equal(got, want) {
				t.Fatalf("the plan depends on order:\n%s\n%s", got, want)
			}
		}
	}
}

// Each object ends up as the plan said it would.
func TestObjectsBecomeWhatThePlanForetells(t *testing.T) {
	for seed := range seeds(60) {
		r := rand.New(rand.NewPCG(seed, 5))
		w := newWorld(t)
		w.settle(randomLab(r).set(t), planner.Options{})
		to := randomLab(r)
		p := w.plan(to.set(t), planner.Options{})
		if p.Refused() {
			continue
		}
		w.apply(p, inOrder(p), nil)
		foretold(t, p, w.plan(to.set(t), planner.Options{}))
		if t.Failed() {
			t.Fatalf("seed %d:\n%s", seed, p)
		}
	}
}

func inputText(t testing.TB, in planner.Input) string {
	t.Helper()
	var b strings.Builder
	write := func(v any) {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(append(text, '\n'))
	}
	for _, r := range in.Desired.All() {
		write(resource.Encoded{Resource: r})
	}
	for _, rec := range in.State.Sorted() {
		write(rec)
	}
	seen := in.Hosts["lab"].Observed
	for _, key := range slices.Sorted(maps.Keys(seen.Objects)) {
		write(seen.Objects[key])
	}
	return b.String()
}

func shuffled(r *rand.Rand, in planner.Input) planner.Input {
	var desired []resource.Resource
	for _, o := range in.Desired.All() {
		desired = append(desired, o)
	}
	r.Shuffle(len(desired), func(i, j int) { desired[i], desired[j] = desired[j], desired[i] })
	out := in
	out.Desired = resource.NewSet(desired...)
	records := in.State.Sorted()
	r.Shuffle(len(records), func(i, j int) { records[i], records[j] = records[j], records[i] })
	snap := *in.State
	snap.Records = map[resource.Addr]*state.Record{}
	for _, rec := range records {
		snap.Records[rec.Object.Base().Addr] = rec
	}
	out.State = &snap
	h := in.Hosts["lab"]
	seen := *h.Observed
	seen.Objects = map[string]*drivers.Object{}
	keys := slices.Sorted(maps.Keys(h.Observed.Objects))
	r.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	for _, key := range keys {
		o := *h.Observed.Objects[key]
		o.Users = slices.Clone(o.Users)
		r.Shuffle(len(o.Users), func(i, j int) { o.Users[i], o.Users[j] = o.Users[j], o.Users[i] })
		seen.Objects[key] = &o
	}
	out.Hosts = map[string]planner.Host{"lab": {Rules: h.Rules, Observed: &seen}}
	return out
}

// handEdits are what people do to a host by hand: each gives what a plan must name as drift ("" for none), and whether it applies.
var handEdits = []func(r *rand.Rand, l lab, d *sim.Data) (drift string, ok bool){
	func(r *rand.Rand, l lab, d *sim.Data) (string, bool) {
		v, vm := anyVM(r, l, d)
		if vm == nil {
			return "", false
		}
		vm.Memory = 3 * resource.GiB
		return "vm." + v.Name + " memory", true
	},
	func(r *rand.Rand, l lab, d *sim.Data) (string, bool) {
		v, vm := anyVM(r, l, d)
		if vm == nil || v.Title == "" { // a title that nobody sets is nobody's business
			return "", false
		}
		vm.Title = "by hand"
		return "vm." + v.Name + " title", true
	},
	func(r *rand.Rand, l lab, d *sim.Data) (string, bool) {
		v, vm := anyVM(r, l, d)
		if vm == nil || v.Title != "" {
			return "", false
		}
		vm.Description = "by hand"
		return "", true
	},
	func(r *rand.Rand, l lab, d *sim.Data) (string, bool) {
		v, vm := anyVM(r, l, d)
		if vm == nil || v.Running == "null" {
			return "", false
		}
		vm.Power = map[drivers.Power]drivers.Power{drivers.PowerOn: drivers.PowerOff, drivers.PowerOff: drivers.PowerOn}[vm.Power]
		vm.Live = nil
		return "vm." + v.Name + " power", true
	},
	func(r *rand.Rand, l lab, d *sim.Data) (string, bool) {
		v, vm := anyVM(r, l, d)
		if vm == nil || v.Running != "true" {
			return "", false
		}
		delete(d.VMs, v.Name)
		return "vm." + v.Name + " delete", true
	},
	func(r *rand.Rand, l lab, d *sim.Data) (string, bool) {
		v, vm := anyVM(r, l, d)
		if vm == nil || vm.Power != drivers.PowerOn || v.Data == 0 {
			return "", false
		}
		live := *resource.Clone(&vm.VM)
		live.Disks = slices.DeleteFunc(live.Disks, func(d resource.Disk) bool { return d.Label == "data" })
		vm.Live = &live
		return "vm." + v.Name + " disk.data", true
	},
	func(_ *rand.Rand, _ lab, d *sim.Data) (string, bool) {
		n := d.Networks["lan"]
		if len(n.Reservations) == 0 {
			return "", false
		}
		mac := n.Reservations[0].MAC
		n.Reservations = n.Reservations[1:]
		return "network.lan reservation." + mac, true
	},
	func(_ *rand.Rand, _ lab, d *sim.Data) (string, bool) {
		d.Networks["lan"].Inactive = true
		return "network.lan active", true
	},
	func(_ *rand.Rand, _ lab, d *sim.Data) (string, bool) {
		d.Networks["theirs"] = &sim.Network{Network: resource.Network{CIDR: "10.8.0.0/24"}}
		return "", true
	},
}

func anyVM(r *rand.Rand, l lab, d *sim.Data) (labVM, *sim.VM) {
	if len(l.VMs) == 0 {
		return labVM{}, nil
	}
	v := l.VMs[r.IntN(len(l.VMs))]
	return v, d.VMs[v.Name]
}

// Whatever people do to a host by hand, the plan names exactly that as drift, and apply repairs exactly that.
func TestDriftIsNamedAndRepaired(t *testing.T) {
	for seed := range seeds(150) {
		r := rand.New(rand.NewPCG(seed, 4))
		l := randomLab(r)
		set := l.set(t)
		w := newWorld(t)
		w.settle(set, planner.Options{})
		edit := handEdits[r.IntN(len(handEdits))]
		var want string
		var done bool
		w.edit(func(d *sim.Data) { want, done = edit(r, l, d) })
		if !done {
			continue
		}
		p := w.plan(set, planner.Options{})
		if got := driftOf(p); got != want {
			t.Fatalf("%+v\ndrift %q, want %q in\n%s", l, got, want, p)
		}
		if want == "" {
			if !p.Empty() {
				t.Fatalf("nothing that the files set was changed, and yet:\n%s", p)
			}
			continue
		}
		if !w.settle(set, planner.Options{}) {
			t.Fatalf("refused:\n%s", p)
		}
		again := newWorld(t)
		again.settle(set, planner.Options{})
		if got, want := comparable(w.text()), comparable(again.text()); got != want {
			t.Fatalf("repaired by\n%s\nit is not as it was:\n%s", p, difference(got, want))
		}
	}
}

// driftOf writes all drift of a plan as the edits do; of a block its path.
func driftOf(p *planner.Plan) string {
	seen := map[string]bool{}
	for _, c := range p.Drift {
		if c.Action == planner.ActionDelete {
			seen[fmt.Sprintf("%s delete", c.Addr)] = true
		}
		for _, f := range c.Fields {
			path := f.Path
			if steps := strings.Split(path, "."); len(steps) > 2 {
				path = strings.Join(steps[:2], ".")
			}
			seen[fmt.Sprintf("%s %s", c.Addr, path)] = true
		}
	}
	return strings.Join(slices.Sorted(maps.Keys(seen)), ", ")
}

// comparable leaves out the order that lists without one have.
func comparable(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimSuffix(lines[i], ",")
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// A run is killed, and before the next one the files change: what comes then is still whole, and a destroy leaves nothing.
func TestCrashThenOtherFiles(t *testing.T) {
	for seed := range seeds(200) {
		r := rand.New(rand.NewPCG(seed, 5))
		from, to, other := randomLab(r), randomLab(r), randomLab(r)
		if r.IntN(3) == 0 {
			other = from
		}
		for _, l := range []*lab{&from, &to, &other} {
			l.DBKeep = false
			for i := range l.VMs {
				l.VMs[i].Orphan, l.VMs[i].DataKeep = false, false
			}
		}
		w := newWorld(t)
		w.settle(from.set(t), planner.Options{})
		p := w.plan(to.set(t), planner.Options{})
		if p.Refused() || p.Empty() {
			continue
		}
		c := crash{step: r.IntN(len(p.Steps)), intent: true, effect: r.IntN(2) == 0}
		w.apply(p, randomOrder(r, p), &c)
		q := w.plan(other.set(t), planner.Options{})
		if q.Refused() {
			t.Fatalf("seed %d: after\n%s\ncut short at %+v, refused:\n%s", seed, p, c, q)
		}
		if !w.settle(other.set(t), planner.Options{}) {
			t.Fatal("refused")
		}
		w.settle(other.set(t), planner.Options{Destroy: true})
		w.mustBeEmpty(resource.NewSet(), planner.Options{})
		d, err := w.host.Data()
		if err != nil {
			t.Fatal(err)
		}
		if n := len(d.VMs) + len(d.Volumes) + len(d.Networks) + len(d.Pools) + len(w.snap.Records); n > 0 {
			t.Fatalf("seed %d: after\n%s\nat %+v, then\n%s\nthere is left:\n%s", seed, p, c, q, w.text())
		}
	}
}
