package planner_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers/sim"
	"vmplan.dev/vmplan/planner"
)

var update = flag.Bool("update", false, "write the expected plans anew")

// Each file of testdata is a story on one simulated host, told by its sections in their order:
//
//	-- files --        what the project's files say from now on: objects by address, see package resource
//	-- host --         somebody changes the host: a JSON merge patch of its file, see package sim
//	-- refactor --     what the files say of moved, removed and imported objects from now on
//	-- options --      planner.Options of the plans that follow
//	-- plan --         the plan that is expected; it is applied, and leaves nothing to do
//	-- plan only --    the same, but not applied
//	-- apply --        the last plan is applied, and may leave something to do
//	-- until STEP --   the last plan is applied up to the step, which is begun but has no effect yet
func TestStories(t *testing.T) {
	names, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(names) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) { tell(t, name) })
	}
}

func tell(t *testing.T, name string) {
	archive, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	s := &story{t: t, world: newWorld(t), set: resource.NewSet()}
	for i := range archive.Files {
		s.section(&archive.Files[i])
	}
	if *update {
		if err := os.WriteFile(name, txtar.Format(archive), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

type story struct {
	t     *testing.T
	world *world
	set   *resource.Set
	opts  planner.Options
	last  *planner.Plan
}

func (s *story) section(f *txtar.File) {
	s.t.Helper()
	switch {
	case f.Name == "files":
		s.set = readSet(s.t, f.Data)
	case f.Name == "host":
		s.patch(f.Data)
	case f.Name == "refactor":
		s.world.refactor = refactor{}
		s.decode(f.Data, &s.world.refactor)
	case f.Name == "options":
		s.opts = planner.Options{}
		s.decode(f.Data, &s.opts)
	case f.Name == "plan" || f.Name == "plan only":
		s.last = s.world.plan(s.set, s.opts)
		got := s.last.String()
		if *update {
			f.Data = []byte(got)
		} else if got != string(f.Data) {
			s.t.Errorf("the plan differs (-update writes it anew):\n%s\ngot\n%s", difference(got, string(f.Data)), got)
		}
		if f.Name == "plan" {
			s.world.apply(s.last, inOrder(s.last), nil)
			s.opts.Replace = nil
			again := s.world.plan(s.set, s.opts)
			if !again.Empty() {
				s.t.Errorf("after\n%s\nthere is left\n%s", s.last, again)
			}
			foretold(s.t, s.last, again)
		}
	case f.Name == "apply":
		s.world.apply(s.last, inOrder(s.last), nil)
	case strings.HasPrefix(f.Name, "until "):
		s.until(strings.TrimPrefix(f.Name, "until "))
	default:
		s.t.Fatalf("there is no section %q", f.Name)
	}
}

// foretold checks that the objects are now as the last plan said they would be: what it left open is the host's choice.
func foretold(t testing.TB, last, now *planner.Plan) {
	t.Helper()
	want := map[resource.Addr]resource.Resource{}
	for _, c := range slices.Concat(last.Changes, last.Unchanged) {
		if c.After.Resource != nil && c.Kind != resource.KindHost {
			want[c.Addr] = c.After.Resource
		}
	}
	for _, c := range now.Unchanged {
		after, ok := want[c.Addr]
		delete(want, c.Addr)
		if !ok {
			t.Errorf("%s was not foretold", c.Addr)
			continue
		}
		for _, d := range resource.Diff(after, c.Before.Resource) {
			if d.Old != nil {
				t.Errorf("%s: %s was foretold as %s, and is %s", c.Addr, d.Path, resource.Format(d.Old), resource.Format(d.New))
			}
		}
	}
	for addr := range want {
		if len(now.Options.Targets) > 0 { // an object that only its change brought into the plan
			break
		}
		t.Errorf("%s was foretold, and is not there", addr)
	}
}

func (s *story) until(step string) {
	for i := range s.last.Steps {
		if s.last.Steps[i].ID == step {
			s.world.apply(s.last, inOrder(s.last), &crash{step: i, intent: true})
			return
		}
	}
	s.t.Fatalf("there is no step %q", step)
}

func (s *story) decode(text []byte, into any) {
	s.t.Helper()
	if err := json.Unmarshal(text, into); err != nil {
		s.t.Fatal(err)
	}
}

func (s *story) patch(text []byte) {
	s.t.Helper()
	err := s.world.host.Edit(func(d *sim.Data) {
		var doc, patch map[string]any
		old, err := json.Marshal(d)
		if err != nil {
			s.t.Fatal(err)
		}
		s.decode(old, &doc)
		s.decode(text, &patch)
		merge(doc, patch)
		merged, err := json.Marshal(doc)
		if err != nil {
			s.t.Fatal(err)
		}
		*d = sim.Data{}
		s.decode(merged, d)
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

// merge is RFC 7396.
func merge(doc, patch map[string]any) {
	for k, v := range patch {
		inner, isMap := v.(map[string]any)
		was, wasMap := doc[k].(map[string]any)
		switch {
		case v == nil:
			delete(doc, k)
		case isMap && wasMap:
			merge(was, inner)
		default:
			doc[k] = v
		}
	}
}

func readSet(t testing.TB, text []byte) *resource.Set {
	t.Helper()
	var objects map[string]json.RawMessage
	if err := json.Unmarshal(text, &objects); err != nil {
		t.Fatal(err)
	}
	set := resource.NewSet()
	for where, spec := range objects {
		a := addr(t, where)
		kind := a.Kind
		if strings.HasPrefix(a.Part, "disk.") {
			kind = resource.KindVolume
		} else if a.Part == "seed" {
			kind = resource.KindSeed
		}
		r, err := resource.New(kind)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(spec, r); err != nil {
			t.Fatalf("%s: %v", where, err)
		}
		complete(r, a)
		set.Add(r)
	}
	return set
}

// complete fills in what stories need not say.
func complete(r resource.Resource, a resource.Addr) {
	base := r.Base()
	base.Addr = a
	if base.Name == "" {
		base.Name = strings.ReplaceAll(strings.TrimPrefix(a.Name+"-"+a.KeyText(), "-")+"-"+a.Part, ".", "-")
		base.Name = strings.TrimRight(base.Name, "-")
	}
	switch r := r.(type) {
	case *resource.Host:
		base.Name = ""
		return
	case *resource.Seed: // the JSON of a secret is its hash; here it is taken for the text
		r.UserData = resource.NewSecret(r.UserData.Hash(), []byte("salt"))
	case *resource.Image:
		for i := 0; r.Build != nil && i < len(r.Build.Files); i++ {
			r.Build.Files[i].Content = resource.NewSecret(r.Build.Files[i].Content.Hash(), []byte("salt"))
		}
	}
	if base.Host == "" {
		base.Host = "lab"
	}
}
