package engine_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/sim"
	"vmplan.dev/vmplan/planner"
	"vmplan.dev/vmplan/planner/apply"
	"vmplan.dev/vmplan/planner/engine"
	"vmplan.dev/vmplan/planner/engine/standard"
)

const lab = `
host "lab" { uri = "sim:lab.json" }
vm "web" {
  title = "shop"
  disk "root" { size = "1GiB" }
}
`

// folder is a project's folder with one file.
func folder(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, text)
	return dir
}

func write(t *testing.T, dir, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "main.hcl"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// open opens the project with a lock.
func open(t *testing.T, dir string, events func(engine.Event)) *engine.Project {
	t.Helper()
	p, err := engine.Open(t.Context(), dir, engine.Options{Parts: standard.Parts(), Version: "1.0", Lock: &engine.Lock{Operation: "test"}, Events: events})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func closed(t *testing.T, p *engine.Project) {
	t.Helper()
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

// settle plans and applies.
func settle(t *testing.T, dir string) {
	t.Helper()
	p := open(t, dir, nil)
	defer closed(t, p)
	plan, err := p.Plan(t.Context(), planner.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Apply(t.Context(), plan, engine.ApplyOptions{}); err != nil {
		t.Fatal(err)
	}
}

func vms(t *testing.T, dir string) map[string]*sim.VM {
	t.Helper()
	data, err := sim.File(filepath.Join(dir, "lab.json")).Data()
	if err != nil {
		t.Fatal(err)
	}
	return data.VMs
}

// A project is planned and applied, each step is an event, and then there is nothing to do.
func TestApplyTellsItsStepsAndSettles(t *testing.T) {
	dir := folder(t, lab)
	done := 0
	p := open(t, dir, func(e engine.Event) {
		if s, ok := e.(engine.Step); ok && s.Kind == apply.EventDone {
			done++
		}
	})
	defer closed(t, p)
	plan, err := p.Plan(t.Context(), planner.Options{})
	if err != nil {
		t.Fatal(err)
	}
	summary, err := p.Apply(t.Context(), plan, engine.ApplyOptions{})
	if err != nil || !summary.OK() || done == 0 || done != summary.Done {
		t.Errorf("%d steps were told, %+v, %v", done, summary, err)
	}
	if plan, err = p.Plan(t.Context(), planner.Options{}); err != nil || !plan.Empty() {
		t.Errorf("then there is left: %v\n%v", err, plan)
	}
	if vms(t, dir)["web"].Title != "shop" {
		t.Error("the host has not what the files say")
	}
}

// What is wrong with the files is a value with its place, and nothing was printed for it.
func TestMistakesAreValues(t *testing.T) {
	dir := folder(t, "vm \"web\" {\n  memry = 1\n}\n")
	_, err := engine.Open(t.Context(), dir, engine.Options{Parts: standard.Parts()})
	var mistakes *engine.Mistakes
	if !errors.As(err, &mistakes) || len(mistakes.Diagnostics) == 0 || mistakes.Diagnostics[0].Subject.Start.Line != 2 {
		t.Errorf("opening gives %v", err)
	}
}

// A plan has its refusals when it is returned, also those that only the source of an image can tell, and is not applied then.
func TestPlanIsCompleteWhenReturned(t *testing.T) {
	dir := folder(t, lab+"image \"os\" { source = \"missing.qcow2\" }\n")
	p := open(t, dir, nil)
	defer closed(t, p)
	plan, err := p.Plan(t.Context(), planner.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if !plan.Refused() || len(plan.Findings) == 0 || plan.Findings[0].Addr.String() != "image.os" || plan.Findings[0].Range == nil {
		t.Errorf("the findings are %+v", plan.Findings)
	}
	if _, err := p.Apply(t.Context(), plan, engine.ApplyOptions{}); !errors.Is(err, engine.ErrRefused) {
		t.Errorf("applying it gives %v", err)
	}
	if vms(t, dir)["web"] != nil {
		t.Error("a refused plan was applied")
	}
}

// A plan beyond its limit, or without a lock, is not applied.
func TestApplyKeepsToLimitAndLock(t *testing.T) {
	dir := folder(t, lab)
	settle(t, dir)
	write(t, dir, strings.Replace(lab, `title = "shop"`, `machine = "pc"`, 1))
	p := open(t, dir, nil)
	plan, err := p.Plan(t.Context(), planner.Options{Limit: &planner.Limit{Impact: drivers.ImpactLive}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Apply(t.Context(), plan, engine.ApplyOptions{}); !errors.Is(err, engine.ErrRefused) || len(plan.Beyond()) != 1 {
		t.Errorf("a restart passes the limit live: %v", err)
	}
	closed(t, p)
	p, err = engine.Open(t.Context(), dir, engine.Options{Parts: standard.Parts(), Version: "1.0"})
	if err != nil {
		t.Fatal(err)
	}
	defer closed(t, p)
	if plan, err = p.Plan(t.Context(), planner.Options{}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Apply(t.Context(), plan, engine.ApplyOptions{}); err == nil || !strings.Contains(err.Error(), "without a lock") {
		t.Errorf("without a lock: %v", err)
	}
	if vms(t, dir)["web"].Machine == "pc" {
		t.Error("it was applied")
	}
}

// A saved plan is planned again: when the host moved, Stale says how.
func TestPlanAgainSaysWhatMoved(t *testing.T) {
	dir := folder(t, lab)
	settle(t, dir)
	write(t, dir, strings.Replace(lab, "shop", "store", 1))
	p := open(t, dir, nil)
	defer closed(t, p)
	saved, err := p.Plan(t.Context(), planner.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.PlanAgain(t.Context(), saved.Plan); err != nil {
		t.Errorf("of the same it gives %v", err)
	}
	if err := sim.File(filepath.Join(dir, "lab.json")).Edit(func(d *sim.Data) { d.VMs["web"].Memory = 2 * resource.GiB }); err != nil {
		t.Fatal(err)
	}
	var stale *engine.Stale
	if _, err := p.PlanAgain(t.Context(), saved.Plan); !errors.As(err, &stale) || len(stale.Moved) == 0 || !strings.Contains(stale.Moved[0], "memory") {
		t.Errorf("then it gives %v", err)
	}
}

// Power and snapshots are plans like any other.
func TestActionsArePlans(t *testing.T) {
	dir := folder(t, lab)
	settle(t, dir)
	p := open(t, dir, nil)
	defer closed(t, p)
	web, _ := resource.ParseAddr("vm.web")
	run := func(plan *engine.Plan, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		if summary, err := p.Apply(t.Context(), plan, engine.ApplyOptions{}); err != nil || !summary.OK() || plan.Empty() {
			t.Fatalf("%+v, %v", summary, err)
		}
	}
	run(p.Power([]resource.Addr{web}, planner.PowerStop))
	if vm := vms(t, dir)["web"]; vm.Power != drivers.PowerOff {
		t.Errorf("it is %s", vm.Power)
	}
	if _, err := p.Survey(t.Context(), planner.Options{}); err != nil {
		t.Fatal(err)
	}
	run(p.TakeSnapshot(web, "before", false))
	if vm := vms(t, dir)["web"]; len(vm.Snapshots) != 1 {
		t.Errorf("it has the snapshots %v", vm.Snapshots)
	}
}

// However often a project is planned, a host is connected to once, and each connection is closed.
func TestHostsAreConnectedToOnce(t *testing.T) {
	looked, open := map[*looking]bool{}, 0
	parts := standard.Parts()
	parts.Drivers["sim"] = func(h *resource.Host, env drivers.Env) (drivers.Driver, error) {
		d, err := sim.Open(h, env)
		open++
		return &looking{d, looked, &open}, err
	}
	p, err := engine.Open(t.Context(), folder(t, lab), engine.Options{Parts: parts})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := p.Plan(t.Context(), planner.Options{}); err != nil {
			t.Fatal(err)
		}
	}
	closed(t, p)
	if len(looked) != 1 || open != 0 {
		t.Errorf("%d connections were made, and %d are open", len(looked), open)
	}
}

// looking is a driver that notes whether it was connected, and closed.
type looking struct {
	drivers.Driver
	looked map[*looking]bool
	open   *int
}

func (l *looking) Observe(ctx context.Context, sel drivers.Selection) (*drivers.Observed, error) {
	l.looked[l] = true
	return l.Driver.Observe(ctx, sel)
}

func (l *looking) Close() error {
	*l.open--
	return l.Driver.Close()
}

// Files with mistakes say nothing of what is wanted: what they declared is not planned to be deleted.
func TestFilesWithMistakesPlanNothing(t *testing.T) {
	dir := folder(t, lab)
	settle(t, dir)
	write(t, dir, "host \"lab\" { uri = \"sim:lab.json\" }\n")
	if err := os.WriteFile(filepath.Join(dir, "vm.hcl"), []byte("vm \"web\" {\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	p, err := engine.Open(t.Context(), dir, engine.Options{Parts: standard.Parts(), Version: "1.0", Recorded: true})
	if err != nil {
		t.Fatal(err)
	}
	defer closed(t, p)
	plan, err := p.Plan(t.Context(), planner.Options{})
	if wrong := new(engine.Mistakes); !errors.As(err, &wrong) {
		t.Errorf("it plans %v, %v", plan, err)
	}
	if plan, err := p.Plan(t.Context(), planner.Options{Destroy: true}); err != nil || plan.Empty() {
		t.Errorf("what is recorded cannot be destroyed: %v, %v", plan, err)
	}
}

// A plan that was decoded from a file, or made by another project, is not carried out; nor is one a second time.
func TestOnlyItsOwnPlansAreApplied(t *testing.T) {
	dir := folder(t, lab)
	p := open(t, dir, nil)
	defer closed(t, p)
	plan, err := p.Plan(t.Context(), planner.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Apply(t.Context(), &engine.Plan{Plan: plan.Plan}, engine.ApplyOptions{}); err == nil || len(vms(t, dir)) > 0 {
		t.Errorf("it applies a plan of nobody: %v", err)
	}
	if _, err := p.Apply(t.Context(), plan, engine.ApplyOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Apply(t.Context(), plan, engine.ApplyOptions{}); err == nil {
		t.Error("it applies a plan twice")
	}
}
