package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"vmplan.dev/vmplan/cmd/internal/cli"
	"vmplan.dev/vmplan/cmd/internal/view"
	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/state"
	"vmplan.dev/vmplan/state/local"
)

// ground is a host on which stories are played: what people do to it by hand, and what there is on it, in a form that does not
// come from the driver under test.
type ground interface {
	// edit does by hand what e says.
	edit(e handEdit) error
	// listing tells all there is, by kind and name, without what hosts count or number by themselves.
	listing() (map[string]string, error)
	// boots has the vms whose guests run, each with something that is another at each start.
	boots() (map[string]string, error)
}

// handEdit is something that people do to a host by hand.
type handEdit struct {
	what    string
	object  resource.Resource // that it is done to, as recorded; nil for things that are not ours
	part    string            // label of a disk or NIC, MAC of a reservation, name of a foreign thing
	leaves  string            // what is on the host after it, and not ours: "vm guest1"
	running bool              // the guest runs
	way     int               // one of several ways to do it
	drift   []string          // what a plan has to name for it: "vm.web memory"; none when it is nobody's business
}

func (e handEdit) String() string {
	on := ""
	if e.object != nil {
		on = " of " + e.object.Base().Addr.String()
	}
	return strings.TrimSpace(fmt.Sprintf("%s %s%s", e.what, e.part, on))
}

// story is a project, a host, and what happens to both: changes of the files, edits by hand, and an apply after each.
type story struct {
	can    abilities
	open   func(dir string) (ground, error) // an empty host for a project in dir
	seed   uint64
	rounds []uint64 // seeds
	most   int      // edits of a round
	edits  int      // that were made, of files and by hand
	log    *bytes.Buffer
	ctx    context.Context
}

// teller plays one story.
type teller struct {
	*story
	dir     string
	lab     *lab
	ground  ground
	theirs  map[string]bool // what is on the host and not ours
	marred  map[string]bool // resource.Key of what has something by hand that is nobody's business
	last    *printedPlan
	applied string // what the last apply printed
	hosts   int    // that others added to networks
}

func newTeller(s *story, dir string, g ground) *teller {
	return &teller{story: s, dir: dir, ground: g, theirs: map[string]bool{}, marred: map[string]bool{}}
}

// play tells the story in a new folder. What goes wrong is told by the error, with what happened until then in the log.
func (s *story) play(dir string) (err error) {
	s.log = &bytes.Buffer{}
	s.edits = 0
	r := rand.New(rand.NewPCG(s.seed, 0))
	ground, err := s.open(dir)
	if err != nil {
		return err
	}
	t := newTeller(s, dir, ground)
	t.lab = newLab(r, s.can)
	if s.can.images {
		for i := range 2 {
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("os%d.qcow2", i+1)), emptyImages()[i], 0o600); err != nil {
				return err
			}
		}
	}
	before, err := t.ground.listing()
	if err != nil {
		return err
	}
	if err := t.converge("the project", t.lab.files()); err != nil {
		return err
	}
	for _, seed := range s.rounds {
		r := rand.New(rand.NewPCG(s.seed, seed))
		if r.IntN(2) == 0 {
			err = t.editFiles(r)
		} else {
			err = t.editHost(r)
		}
		if err != nil {
			return err
		}
	}
	return t.leave(before)
}

func (t *teller) say(format string, args ...any) { fmt.Fprintf(t.log, format+"\n", args...) }

// editFiles is a round in which the files change.
func (t *teller) editFiles(r *rand.Rand) error {
	var changes []string
	for range 1 + r.IntN(t.most) {
		if change := t.lab.edit(r); change != "" {
			changes = append(changes, change)
		}
	}
	t.edits += len(changes)
	return t.converge("files: "+strings.Join(changes, ", "), t.lab.files())
}

// converge writes the files and applies them: nobody else changed anything, and after it there is nothing left to do.
func (t *teller) converge(what, files string) error {
	t.say("--- %s\n%s", what, files)
	if err := os.WriteFile(filepath.Join(t.dir, "main.hcl"), []byte(files), 0o600); err != nil {
		return err
	}
	p, err := t.plan()
	if err != nil {
		return err
	}
	if len(p.Drift) > 0 {
		return fmt.Errorf("only the files changed, and the plan names drift: %s\n%s", p.drift(), t.text())
	}
	return t.apply(p)
}

// editHost is a round in which people work on the host.
func (t *teller) editHost(r *rand.Rand) error {
	// A restart would take up what waits for one, and the host would not be as before.
	if err := t.restartPending(); err != nil {
		return err
	}
	snap, err := t.state()
	if err != nil {
		return err
	}
	var ours, others []handEdit
	done := map[resource.Addr]bool{}
	boots, err := t.ground.boots()
	if err != nil {
		return err
	}
	for range 1 + r.IntN(t.most) {
		e := t.randomEdit(r, snap.Sorted(), boots)
		switch {
		case e.what == "" || e.object != nil && done[e.object.Base().Addr]:
			continue
		case len(e.drift) == 0:
			others = append(others, e)
		default:
			ours = append(ours, e)
		}
		if e.object != nil {
			done[e.object.Base().Addr] = true
		}
	}
	// First what is nobody's business, for it has to stay.
	if err := t.byHand(others); err != nil {
		return err
	}
	before, err := t.ground.listing()
	if err != nil {
		return err
	}
	if err := t.byHand(ours); err != nil {
		return err
	}
	return t.repair(ours, before)
}

func (t *teller) restartPending() error {
	if len(t.last.Pending) == 0 {
		return nil
	}
	t.say("--- apply --restart-pending")
	if code, out := t.vmplan("apply", "--restart-pending", "--auto-approve", t.dir); code != 0 {
		return fmt.Errorf("apply --restart-pending exits with %d:\n%s", code, out)
	}
	p, err := t.plan()
	if err == nil && len(p.Pending) > 0 {
		return fmt.Errorf("after apply --restart-pending something is pending:\n%s", t.text())
	}
	return err
}

func (t *teller) byHand(edits []handEdit) error {
	for _, e := range edits {
		t.say("--- by hand: %s", e)
		if err := t.ground.edit(e); err != nil {
			return fmt.Errorf("edit by hand: %s: %w", e, err)
		}
		if e.leaves != "" {
			t.theirs[e.leaves] = true
		}
		if e.object != nil && len(e.drift) == 0 {
			t.marred[resource.Key(e.object)] = true
		}
		t.edits++
	}
	return nil
}

// repair plans and applies: the plan names exactly the edits as drift, and apply repairs exactly those.
func (t *teller) repair(edits []handEdit, before map[string]string) error {
	want := map[string]bool{}
	for _, e := range edits {
		for _, d := range e.drift {
			want[d] = true
		}
	}
	p, err := t.plan()
	if err != nil {
		return err
	}
	if wanted := strings.Join(slices.Sorted(maps.Keys(want)), ", "); p.drift() != wanted {
		return fmt.Errorf("the plan names as drift:\n  %s\nbut by hand was changed:\n  %s\n%s", p.drift(), wanted, t.text())
	}
	if len(edits) == 0 && !p.Empty {
		return fmt.Errorf("nothing of ours was changed, and yet:\n%s", t.text())
	}
	if err := t.apply(p); err != nil {
		return err
	}
	after, err := t.ground.listing()
	if err != nil {
		return err
	}
	if diff := compareListings(before, after); diff != "" {
		return fmt.Errorf("apply did not make the host what it was before:\n%s\nthe apply was\n%s", diff, t.applied)
	}
	return nil
}

// apply carries out what the plan says, after which nothing is left to do.
func (t *teller) apply(p *printedPlan) error {
	if p.Refused {
		return fmt.Errorf("the plan is refused:\n%s", t.text())
	}
	before, err := t.ground.boots()
	if err != nil {
		return err
	}
	code, out := t.vmplan("apply", "--auto-approve", t.dir)
	if code != 0 {
		return fmt.Errorf("apply exits with %d:\n%s", code, out)
	}
	t.applied = out
	after, err := t.ground.boots()
	if err != nil {
		return err
	}
	for vm, was := range before {
		now, power := after[vm], p.power(vm)
		if power != anew && (now == was) != (power == "") {
			return fmt.Errorf("boots: the guest of %s was in boot %s and is in boot %q; the plan said %q\n%s", vm, was, now, power, out)
		}
	}
	again, err := t.plan()
	if err != nil {
		return err
	}
	if !again.Empty || len(again.Drift) > 0 || again.Refused {
		return fmt.Errorf("after an apply\n%s\nthere is something left to do:\n%s", out, t.text())
	}
	return nil
}

// leave destroys the project: nothing of it stays, and all that is not its.
func (t *teller) leave(before map[string]string) error {
	t.say("--- destroy")
	if code, out := t.vmplan("apply", "--destroy", "--auto-approve", t.dir); code != 0 {
		return fmt.Errorf("destroy exits with %d:\n%s", code, out)
	}
	after, err := t.ground.listing()
	if err != nil {
		return err
	}
	for name := range t.theirs {
		if _, ok := after[name]; !ok {
			return fmt.Errorf("destroy took %s, which was not ours", name)
		}
		delete(after, name)
	}
	if diff := compareListings(before, after); diff != "" {
		return fmt.Errorf("destroy left the host not as it was before:\n%s", diff)
	}
	snap, err := t.state()
	if err == nil && len(snap.Records) > 0 {
		err = fmt.Errorf("after a destroy %d objects are recorded", len(snap.Records))
	}
	return err
}

// printedPlan is what plan --format json prints, as far as the stories go by it.
type printedPlan struct {
	Empty   bool
	Refused bool
	Pending []struct{ Addr string }
	Drift   []struct {
		Addr    string
		Actions []string
		Fields  []struct{ Path string }
	}
	Objects []struct {
		Kind, Name string
		Actions    []string
	}
}

// anew is what a plan does to the power of a vm that it deletes or replaces.
const anew = "anew"

// power is what the plan does to the power of the vm whose host calls it so; "" when its guest runs on.
func (p *printedPlan) power(vm string) string {
	for _, o := range p.Objects {
		if o.Kind != "vm" || o.Name != vm {
			continue
		}
		if slices.Contains(o.Actions, "delete") || slices.Contains(o.Actions, "replace") {
			return anew
		}
		for _, power := range []string{"start", "stop", "restart"} {
			if slices.Contains(o.Actions, power) {
				return power
			}
		}
	}
	return ""
}

// drift writes all drift as edits do: of a block its path.
func (p *printedPlan) drift() string {
	seen := map[string]bool{}
	for _, c := range p.Drift {
		if slices.Contains(c.Actions, "delete") {
			seen[c.Addr+" delete"] = true
		}
		for _, f := range c.Fields {
			path := f.Path
			if steps := strings.Split(path, "."); len(steps) > 2 {
				path = strings.Join(steps[:2], ".")
			}
			seen[c.Addr+" "+path] = true
		}
	}
	return strings.Join(slices.Sorted(maps.Keys(seen)), ", ")
}

func (t *teller) plan() (*printedPlan, error) {
	code, out := t.vmplan("plan", "--format", "json", t.dir)
	p := &printedPlan{}
	if err := checkLines(schemas, "plan", out); err != nil {
		return nil, err
	}
	if err := json.Unmarshal([]byte(out), p); err != nil {
		return nil, fmt.Errorf("plan exits with %d:\n%s", code, out)
	}
	t.last = p
	return p, nil
}

// text is the plan as people see it.
func (t *teller) text() string {
	_, out := t.vmplan("plan", t.dir)
	return out
}

// vmplan runs the command line in this process.
func (t *teller) vmplan(args ...string) (code int, output string) {
	var out, errs bytes.Buffer
	app := &cli.App{
		Version: version, Parts: parts,
		Streams: view.Streams{In: strings.NewReader(""), Out: &out, Err: &errs},
	}
	code = app.Run(t.ctx, args)
	if code != 0 {
		out.Write(errs.Bytes())
	}
	return code, out.String()
}

func (t *teller) state() (*state.Snapshot, error) {
	b, err := local.Open(filepath.Join(t.dir, "vmplan.vmstate"))
	if err != nil {
		return nil, err
	}
	return b.Read(t.ctx)
}

func compareListings(before, after map[string]string) string {
	var out []string
	for name, was := range before {
		switch now, ok := after[name]; {
		case !ok:
			out = append(out, fmt.Sprintf("%s is gone", name))
		case now != was:
			out = append(out, fmt.Sprintf("%s:\n%s", name, lineDifference(was, now)))
		}
	}
	for name, now := range after {
		if _, ok := before[name]; !ok {
			out = append(out, fmt.Sprintf("%s has come\n%s", name, now))
		}
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}

// lineDifference lists the lines that only one of the texts has.
func lineDifference(was, now string) string {
	count := map[string]int{}
	for line := range strings.Lines(was) {
		count[line]--
	}
	for line := range strings.Lines(now) {
		count[line]++
	}
	out := ""
	for _, line := range slices.Sorted(maps.Keys(count)) {
		if n := count[line]; n != 0 {
			out += fmt.Sprintf("%+d %s", n, line)
		}
	}
	return out
}
