package engine_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/planner"
	"vmplan.dev/vmplan/planner/engine"
	"vmplan.dev/vmplan/planner/engine/standard"
)

// TestAProjectThatIsNotTrusted connects to no host that is not named, and applies nothing.
func TestAProjectThatIsNotTrusted(t *testing.T) {
	dir := t.TempDir()
	text := "host \"lab\" { uri = \"sim:lab.json\" }\nnetwork \"lan\" { cidr = \"10.17.3.0/24\" }\n"
	if err := os.WriteFile(filepath.Join(dir, "main.hcl"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	open := func(t *testing.T, trust engine.Trust) *engine.Project {
		t.Helper()
		p, err := engine.Open(t.Context(), dir, engine.Options{Parts: standard.Parts(), Trust: trust, Lock: &engine.Lock{Operation: "test"}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := p.Close(); err != nil {
				t.Error(err)
			}
		})
		return p
	}
	t.Run("no host is named", func(t *testing.T) {
		p := open(t, engine.Trust{Untrusted: true})
		if _, err := p.Plan(t.Context(), planner.Options{}); !errors.Is(err, drivers.ErrUntrusted) {
			t.Errorf("the plan ends with %v", err)
		}
	})
	p := open(t, engine.Trust{Untrusted: true, Hosts: []string{"sim:lab.json"}})
	plan, err := p.Plan(t.Context(), planner.Options{})
	if err != nil || plan.Empty() {
		t.Fatalf("with the host named the plan is %v, %v", plan, err)
	}
	if _, err := p.Apply(t.Context(), plan, engine.ApplyOptions{}); err == nil || !strings.Contains(err.Error(), "not trusted") {
		t.Errorf("it is applied: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "lab.json")); err == nil {
		t.Error("the host was written to")
	}
}
