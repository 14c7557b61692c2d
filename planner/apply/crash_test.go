package apply_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/sim"
	"vmplan.dev/vmplan/planner"
	"vmplan.dev/vmplan/planner/apply"
	"vmplan.dev/vmplan/state"
	"vmplan.dev/vmplan/state/local"
)

// A process killed with kill -9 before or after any write of the journal or of the state, with the real parallelism, a real
// file of state and a host in a file: the next apply ends where an undisturbed one does, and nothing is left over.
func TestKillAtEveryStepOfTheJournal(t *testing.T) {
	empty := t.TempDir()
	if err := os.WriteFile(filepath.Join(empty, "lab.json"), []byte(`{"uuid": "20000000-0000-4000-8000-000000000001"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	built := filepath.Join(t.TempDir(), "built")
	copyDir(t, built, empty)
	if !applyInProcess(t, built, "build", killPoint{}) {
		t.Fatal("the undisturbed build was killed")
	}
	for _, c := range []struct{ name, from string }{{"build", empty}, {"change", built}, {"destroy", built}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			undisturbed := filepath.Join(t.TempDir(), "undisturbed")
			copyDir(t, undisturbed, c.from)
			if !applyInProcess(t, undisturbed, c.name, killPoint{}) {
				t.Fatal("the undisturbed run was killed")
			}
			want := describe(t, undisturbed, c.name)
			kills := 0
			for n, survived := 1, false; !survived; n++ {
				for _, after := range []bool{false, true} {
					at := killPoint{n, after}
					dir := filepath.Join(t.TempDir(), "killed")
					copyDir(t, dir, c.from)
					if survived = applyInProcess(t, dir, c.name, at); !survived {
						kills++
					}
					if !applyInProcess(t, dir, c.name, killPoint{}) {
						t.Fatalf("%v: the second apply was killed", at)
					}
					if got := describe(t, dir, c.name); got != want {
						t.Fatalf("killed %v: there is more or less than after an undisturbed run:\n%s", at, difference(got, want))
					}
				}
			}
			if kills < 10 {
				t.Errorf("only %d kills: the test has lost its grip on the journal", kills)
			}
		})
	}
}

// killPoint is where a process kills itself: before or after its nth write, counted from 1; 0 is never.
type killPoint struct {
	n     int
	after bool
}

func (k killPoint) String() string {
	if k.after {
		return fmt.Sprintf("after write %d", k.n)
	}
	return fmt.Sprintf("before write %d", k.n)
}

// The environment that makes this test binary the process to be killed.
const (
	envDir   = "VMPLAN_TEST_APPLY_DIR"
	envWhat  = "VMPLAN_TEST_APPLY_WHAT"
	envKill  = "VMPLAN_TEST_APPLY_KILL"
	envAfter = "VMPLAN_TEST_APPLY_AFTER"
)

func TestMain(m *testing.M) {
	dir := os.Getenv(envDir)
	if dir == "" {
		os.Exit(m.Run())
	}
	n, _ := strconv.Atoi(os.Getenv(envKill))
	if err := applyProject(dir, os.Getenv(envWhat), killPoint{n, os.Getenv(envAfter) != ""}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// applyInProcess applies in a process of its own, and tells whether that ended by itself.
func applyInProcess(t *testing.T, dir, what string, at killPoint) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), envDir+"="+dir, envWhat+"="+what, envKill+"="+strconv.Itoa(at.n))
	if at.after {
		cmd.Env = append(cmd.Env, envAfter+"=1")
	}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) && ctx.Err() == nil {
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() && status.Signal() == syscall.SIGKILL && at.n > 0 {
			return false
		}
	}
	if err != nil {
		t.Fatalf("killed %v: %v\n%s", at, err, out)
	}
	return true
}

// mortal is a backend whose process dies at a write.
type mortal struct {
	state.Backend
	at     killPoint
	writes atomic.Int64
}

func (m *mortal) write(do func() error) error {
	mine := m.writes.Add(1) == int64(m.at.n)
	if mine && !m.at.after {
		die()
	}
	err := do()
	if mine {
		die()
	}
	return err
}

func die() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

func (m *mortal) Append(ctx context.Context, s *state.Snapshot, entries ...state.Entry) error {
	return m.write(func() error { return m.Backend.Append(ctx, s, entries...) })
}

func (m *mortal) Write(ctx context.Context, s *state.Snapshot) error {
	return m.write(func() error { return m.Backend.Write(ctx, s) })
}

// project is a folder with a state and a host in it.
type project struct {
	backend *local.Backend
	driver  drivers.Driver
	snap    *state.Snapshot
}

func openProject(dir string) (*project, error) {
	backend, err := local.Open(filepath.Join(dir, "vmplan.vmstate"))
	if err != nil {
		return nil, err
	}
	driver, err := sim.File(filepath.Join(dir, "lab.json")).Open(nil, drivers.Env{Dir: dir})
	if err != nil {
		return nil, err
	}
	snap, err := backend.Read(context.Background())
	if err != nil {
		return nil, err
	}
	if snap.Lineage == "" {
		snap.Lineage, snap.Salt = "6c3e0a8e-0000-4000-8000-000000000001", make([]byte, 32)
	}
	return &project{backend, driver, snap}, nil
}

// plan observes and plans, as the command line does.
func (p *project) plan(what string) (*planner.Plan, error) {
	desired, opts := wanted(what)
	var want []resource.Resource
	add := func(r resource.Resource) {
		if n, err := p.driver.Normalize(r); err == nil && r.Kind() != resource.KindHost {
			want = append(want, n)
		}
	}
	for _, r := range desired.All() {
		add(r)
	}
	for _, rec := range p.snap.Sorted() {
		add(rec.Object)
	}
	seen, err := p.driver.Observe(context.Background(), drivers.Selection{Lineage: p.snap.Lineage, Want: want})
	if err != nil {
		return nil, err
	}
	return planner.New(planner.Input{
		Desired: desired, State: p.snap, Version: "0.1", Options: opts,
		Hosts: map[string]planner.Host{"lab": {Rules: p.driver, Observed: seen}},
	})
}

// applyProject is what the process does.
func applyProject(dir, what string, at killPoint) error {
	p, err := openProject(dir)
	if err != nil {
		return err
	}
	ctx := context.Background()
	unlock, err := p.backend.Lock(ctx, state.LockInfo{ID: strconv.Itoa(os.Getpid()), Who: "test", PID: os.Getpid(), Operation: what, Since: time.Now()})
	if err != nil {
		return err
	}
	plan, err := p.plan(what)
	if err != nil {
		return err
	}
	if plan.Refused() {
		return fmt.Errorf("refused:\n%s", plan)
	}
	s, err := apply.Run(ctx, plan, p.snap, apply.Env{
		Drivers: map[string]drivers.Driver{"lab": p.driver}, Backend: &mortal{Backend: p.backend, at: at},
	})
	if err := errors.Join(append(s.Errors, err)...); err != nil {
		return fmt.Errorf("%w\nplan:\n%s", err, plan)
	}
	return errors.Join(p.driver.Close(), unlock())
}

// describe is all that a run left: the host, the records, the files, and that nothing is left to do.
func describe(t *testing.T, dir, what string) string {
	t.Helper()
	p, err := openProject(dir)
	if err != nil {
		t.Fatal(err)
	}
	if plan, err := p.plan(what); err != nil || !plan.Empty() || plan.Refused() {
		t.Fatalf("%s is not at rest: %v\n%s", dir, err, plan)
	}
	data, err := sim.File(filepath.Join(dir, "lab.json")).Data()
	if err != nil {
		t.Fatal(err)
	}
	for _, vm := range data.VMs {
		vm.Boots = 0 // an interrupted run may start a guest once more
	}
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetIndent("", "  ")
	if err := errors.Join(enc.Encode(data), enc.Encode(statuses(p.snap))); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		switch f.Name() {
		case "lab.json", ".lab.json.log", "vmplan.vmstate", "vmplan.vmstate.backup", "vmplan.vmstate.journal", "vmplan.vmstate.lock":
		default:
			fmt.Fprintln(&text, "left over:", f.Name())
		}
	}
	return text.String()
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

func copyDir(t *testing.T, to, from string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

// wanted is the project as it is built, as it is changed (a new image, new seeds, a new machine, disks and vms more and less, a
// network that is replaced), and as it is destroyed.
func wanted(what string) (*resource.Set, planner.Options) {
	changed := what == "change"
	pick := func(before, after string) string {
		if changed {
			return after
		}
		return before
	}
	p := pool()
	img := &resource.Image{Meta: meta("image.os", "os"), Source: pick("one", "two"), Pool: p.Addr, PoolName: "default", File: "os-" + pick("1", "2") + ".qcow2", Format: "qcow2"}
	lan := &resource.Network{Meta: meta("network.lan", "lan"), UUID: "6f6c0f0e-0000-5000-8000-000000000002", CIDR: pick("10.1.0.0/24", "10.2.0.0/24")}
	set := resource.NewSet(&resource.Host{Meta: resource.Meta{Addr: addr("host.lab")}, URI: "sim:lab.json"}, p, img, lan)
	names := []string{"a", "b"}
	if changed {
		names = []string{"b", "c"}
	}
	for _, name := range names {
		addGuest(set, name, img, lan, guest{seed: pick("1", "2"), data: (name == "b") != changed, machine: pick("q35", map[string]string{"b": "pc"}[name])})
	}
	return set, planner.Options{Destroy: what == "destroy"}
}

type guest struct {
	seed    string
	data    bool
	machine string
}

func addGuest(set *resource.Set, name string, img *resource.Image, lan *resource.Network, g guest) {
	m := vm(name)
	on := true
	m.Image, m.Running, m.Machine = img.Addr, &on, g.machine
	if m.Machine == "" {
		m.Machine = "q35"
	}
	m.Ready = &resource.Ready{SSH: &resource.ReadySSH{}}
	mac, address := "52:54:00:00:00:0"+name, fmt.Sprintf("%s.%d", strings.TrimSuffix(lan.CIDR, ".0/24"), name[0])
	m.NICs = []resource.NIC{{Label: "lan", Network: lan.Addr, Source: "lan", MAC: mac, Address: address}}
	lan.Reservations = append(lan.Reservations, resource.Reservation{MAC: mac, Address: address, Name: name})
	disk := func(label string, v *resource.Volume) {
		v.Meta = meta("vm."+name+".disk."+label, name+"-"+label)
		v.Size, v.Format, v.Pool, v.PoolName, v.File = 2*resource.GiB, "qcow2", img.Pool, "default", name+"-"+label+".qcow2"
		set.Add(v)
		m.Disks = append(m.Disks, resource.Disk{Label: label, Volume: v.Addr, Source: resource.VolumeID(v)})
	}
	disk("root", &resource.Volume{Image: img.Addr, Backing: resource.VolumeID(img)})
	if g.data {
		disk("data", &resource.Volume{})
	}
	seed := &resource.Seed{
		Meta: meta("vm."+name+".seed", name+"-seed"), Pool: img.Pool, PoolName: "default", File: name + "-seed-" + g.seed + ".iso",
		UserData: resource.NewSecret("#cloud-config "+g.seed, make([]byte, 32)),
	}
	set.Add(seed)
	readOnly := true
	m.Disks = append(m.Disks, resource.Disk{Label: "seed", Volume: seed.Addr, Source: resource.VolumeID(seed), ReadOnly: &readOnly})
	set.Add(m)
}
