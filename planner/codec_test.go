package planner_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/sim"
	"vmplan.dev/vmplan/planner"
)

func encode(t testing.TB, p *planner.Plan) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := planner.Encode(&b, p); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func decode(t testing.TB, text []byte) *planner.Plan {
	t.Helper()
	p, err := planner.Decode(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// A saved plan reads as it did, and the plan that is made again of the same inputs is the same.
func TestSavedPlanIsMadeAgainTheSame(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 2))
		from, to := randomLab(r), randomLab(r)
		w := newWorld(t)
		w.settle(from.set(t), planner.Options{})
		p := w.plan(to.set(t), planner.Options{})
		if p.Refused() {
			continue // and is never saved
		}
		text := encode(t, p)
		q := decode(t, text)
		if again := encode(t, q); !bytes.Equal(text, again) {
			t.Fatalf("decoded and encoded again it differs:\n%s\n%s", text, again)
		}
		if q.String() != p.String() {
			t.Fatalf("decoded it reads otherwise:\n%s\n%s", p, q)
		}
		again := w.plan(to.set(t), planner.Options{})
		if edited := planner.Differences(q, again); len(edited) > 0 {
			t.Fatalf("made again it differs: %q", edited)
		}
	}
}

func TestSavedPlanHoldsNoSecret(t *testing.T) {
	w := newWorld(t)
	const secret = "a-very-secret-text"
	p := w.plan(project(t, func(s *resource.Set) {
		s.Get(addr(t, "vm.web.seed")).(*resource.Seed).UserData = resource.NewSecret(secret, []byte("salt"))
	}), planner.Options{})
	text := encode(t, p)
	if bytes.Contains(text, []byte(secret)) || strings.Contains(p.String(), secret) {
		t.Error("the plan shows the secret")
	}
	other := w.plan(project(t, func(s *resource.Set) {
		s.Get(addr(t, "vm.web.seed")).(*resource.Seed).UserData = resource.NewSecret("another", []byte("salt"))
	}), planner.Options{})
	edited := strings.Join(planner.Differences(decode(t, text), other), "\n")
	if !strings.Contains(edited, "vm.web.seed: its secrets are not those that the plan was made with") {
		t.Errorf("with another secret: %q", edited)
	}
}

func TestDecodeRefusesWhatIsNoPlan(t *testing.T) {
	good := string(encode(t, newWorld(t).plan(project(t), planner.Options{})))
	for name, c := range map[string]struct {
		text string
		want error
	}{
		"empty":        {"", planner.ErrCorrupt},
		"another file": {`{"lineage":"x"}`, planner.ErrCorrupt},
		"cut short":    {good[:len(good)/2], planner.ErrCorrupt},
		"more behind":  {good + "{}", planner.ErrCorrupt},
		"edited":       {strings.Replace(good, `"memory":1073741824`, `"memory":2073741824`, 1), planner.ErrCorrupt},
		"newer":        {strings.Replace(good, `"version":2`, `"version":3`, 1), planner.ErrNewer},
		"older":        {strings.Replace(good, `"version":2`, `"version":1`, 1), planner.ErrOlder},
		"unknown":      {sealed(`{"lineage":"x","surprise":1}`), planner.ErrCorrupt},
		"no operation": {sealed(`{"steps":[{"id":"a"}]}`), planner.ErrCorrupt},
		"refused":      {sealed(`{"findings":[{"severity":"error","addr":"","summary":"old plan","detail":"x"}]}`), planner.ErrCorrupt},
		"no action":    {sealed(`{"changes":[{"action":"\u001b[2J"}]}`), planner.ErrCorrupt},
		"no power":     {sealed(`{"changes":[{"action":"update","power":"\u001b[2J"}]}`), planner.ErrCorrupt},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := planner.Decode(strings.NewReader(c.text)); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

// sealed puts the head of a plan file around body.
func sealed(body string) string {
	sum := sha256.Sum256([]byte(body))
	return fmt.Sprintf(`{"format":"vmplan plan","version":2,"sha256":"%s","plan":%s}`, hex.EncodeToString(sum[:]), body)
}

func FuzzDecode(f *testing.F) {
	w := newWorld(f)
	f.Add([]byte(`{}`))
	f.Add([]byte(`null`))
	now := w.input(resource.NewSet(), planner.Options{})
	made := w.plan(project(f), planner.Options{})
	f.Fuzz(func(t *testing.T, body []byte) {
		if _, err := planner.Decode(bytes.NewReader(body)); err == nil && !bytes.Contains(body, []byte("vmplan plan")) {
			t.Error("read a plan that has no head")
		}
		p, err := planner.Decode(strings.NewReader(sealed(string(body))))
		if err != nil {
			return
		}
		first := encode(t, p)
		if second := encode(t, decode(t, first)); !bytes.Equal(first, second) {
			t.Errorf("encoded twice it differs:\n%s\n%s", first, second)
		}
		_ = p.String()
		planner.Verify(p, now)
		planner.Differences(p, made)
	})
}

// What moves between plan and apply is named, and how.
func TestVerifyNamesWhatMoved(t *testing.T) {
	base := project(t)
	change := func(s *resource.Set) { s.Get(addr(t, "vm.web")).(*resource.VM).Title = "shop" }
	for name, c := range map[string]struct {
		live func(*sim.Data)
		in   func(*planner.Input)
		want string
	}{
		"nothing": {},
		"memory": {
			live: func(d *sim.Data) { d.VMs["web"].Memory = 2 * resource.GiB },
			want: "vm.web: memory 1 GiB → 2 GiB since the plan",
		},
		"running memory": {
			live: func(d *sim.Data) {
				live := d.VMs["web"].VM
				live.Memory = 2 * resource.GiB
				d.VMs["web"].Live = &live
			},
			want: "vm.web: memory of the running guest 1 GiB → 2 GiB since the plan",
		},
		"power": {
			live: func(d *sim.Data) { d.VMs["web"].Power = drivers.PowerOff },
			want: "vm.web: power on → off since the plan",
		},
		"gone": {
			live: func(d *sim.Data) { delete(d.VMs, "web") },
			want: "vm.web: vm/web was deleted since the plan",
		},
		"mark": {
			live: func(d *sim.Data) { d.VMs["web"].Mark = nil },
			want: "vm.web: its ownership mark was changed since the plan",
		},
		"an object that the plan is not about": {live: func(d *sim.Data) { d.Networks["lan"].Reservations = nil }},
		"state": {
			in:   func(in *planner.Input) { s := *in.State; s.Serial++; in.State = &s },
			want: "the state was changed since the plan (serial 0 → 1)",
		},
		"files": {
			in:   func(in *planner.Input) { in.ConfigHash = "other" },
			want: "the files were changed since the plan",
		},
		"variable": {
			in:   func(in *planner.Input) { in.Variables = map[string]string{"memory": `"2GiB"`} },
			want: `var.memory is "2GiB", and was not set when the plan was made`,
		},
		"another vmplan": {
			in:   func(in *planner.Input) { in.Version = "0.2" },
			want: "the plan was made by vmplan 0.1, and this is 0.2",
		},
		"another project": {
			in:   func(in *planner.Input) { s := *in.State; s.Lineage = "x"; in.State = &s },
			want: "the plan is of another project (lineage " + lineage + ", not x)",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.settle(base, planner.Options{})
			p := decode(t, encode(t, w.plan(project(t, change), planner.Options{})))
			if c.live != nil {
				w.edit(c.live)
			}
			in := w.input(project(t, change), planner.Options{})
			if c.in != nil {
				c.in(&in)
			}
			if got := strings.Join(planner.Verify(p, in), "\n"); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// A snapshot that came or went since is named, where the plan is about those of the vm; else it is nobody's affair.
func TestVerifyNamesSnapshots(t *testing.T) {
	vm := func(edit func(*resource.VM)) *resource.Set {
		return project(t, func(s *resource.Set) {
			data := &resource.Volume{Meta: meta(t, "vm.web.disk.data", "web-data"), Size: resource.GiB, Pool: addr(t, "pool.default"), PoolName: "default", File: "web-data.qcow2"}
			s.Add(data)
			web := s.Get(addr(t, "vm.web")).(*resource.VM)
			web.Disks = append(web.Disks, resource.Disk{Label: "data", Volume: data.Addr, Source: resource.VolumeID(data)})
			edit(web)
		})
	}
	base := vm(func(*resource.VM) {})
	snapshots := func(names ...string) func(*sim.Data) {
		return func(d *sim.Data) {
			d.VMs["web"].Snapshots = nil
			for _, name := range names {
				d.VMs["web"].Snapshots = append(d.VMs["web"].Snapshots, sim.Snapshot{SnapshotInfo: drivers.SnapshotInfo{Name: name}})
			}
		}
	}
	protected := vm(func(v *resource.VM) { v.Machine, v.Protect = "pc", &resource.Protect{Snapshot: true} })
	for name, c := range map[string]struct {
		files         *resource.Set
		opts          planner.Options
		before, after func(*sim.Data)
		want          string
	}{
		"left by a protected change": {
			files: protected, after: snapshots("vmplan-protect"), want: "vm.web: snapshot vmplan-protect was taken since the plan",
		},
		"somebody's": {files: protected, after: snapshots("mine"), want: "vm.web: snapshot mine was taken since the plan"},
		"gone": {
			files: protected, before: snapshots("mine", "other"), after: snapshots("other"),
			want: "vm.web: snapshot mine was deleted since the plan",
		},
		"the same":       {files: protected, before: snapshots("mine"), after: snapshots("mine")},
		"vm destroyed":   {files: base, opts: planner.Options{Destroy: true}, after: snapshots("mine"), want: "vm.web: snapshot mine was taken since the plan"},
		"disk destroyed": {files: project(t), after: snapshots("mine"), want: "vm.web: snapshot mine was taken since the plan"},
		"only its title": {files: vm(func(v *resource.VM) { v.Title = "shop" }), after: snapshots("mine")},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.settle(base, planner.Options{})
			if c.before != nil {
				w.edit(c.before)
			}
			p := decode(t, encode(t, w.plan(c.files, c.opts)))
			if p.Empty() || p.Refused() {
				t.Fatalf("no plan to save: %s", p)
			}
			w.edit(c.after)
			if got := strings.Join(planner.Verify(p, w.input(c.files, c.opts)), "\n"); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
