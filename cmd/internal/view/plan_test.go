package view

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/mattn/go-runewidth"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/planner"
)

func TestAPlanAsText(t *testing.T) {
	for name, streams := range map[string]Streams{
		"plan.txt":        {},
		"plan-narrow.txt": {Width: 60},
		"plan-color.txt":  {Color: true, Width: 120},
	} {
		s := newScreen(streams)
		src := parse(t, "main.hcl", mainHCL)
		if err := s.Plan(src.located(bigPlan()), src, bigDownloads()).Text(); err != nil {
			t.Fatal(err)
		}
		golden(t, name, s.out.String()+"=== errors\n"+s.err.String())
	}
}

func TestNothingToDo(t *testing.T) {
	s := newScreen(Streams{})
	if err := s.Plan(&planner.Plan{}, nil, Downloads{}).Text(); err != nil {
		t.Fatal(err)
	}
	if got, want := s.out.String(), "No changes. The hosts are as the files say.\n"; got != want || s.err.Len() > 0 {
		t.Errorf("got %q and %q, want %q", got, &s.err, want)
	}
}

func TestAPlanAsJSON(t *testing.T) {
	s := newScreen(Streams{})
	src := parse(t, "main.hcl", mainHCL)
	if err := s.Plan(src.located(bigPlan()), src, bigDownloads()).JSON(); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(s.out.String(), "\n"); n != 1 {
		t.Errorf("%d lines, want one", n)
	}
	var v any
	if err := json.Unmarshal(s.out.Bytes(), &v); err != nil {
		t.Fatal(err)
	}
	pretty, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "plan.json", string(pretty)+"\n")
}

func TestAPlanAsMarkdown(t *testing.T) {
	s := newScreen(Streams{Color: true, Width: 40})
	src := parse(t, "main.hcl", mainHCL)
	if err := s.Plan(src.located(bigPlan()), src, bigDownloads()).Markdown(); err != nil {
		t.Fatal(err)
	}
	golden(t, "plan.md", s.out.String())
}

// A comment on a pull request has a limit: the longest details go first, losses are never left out.
func TestALongPlanAsMarkdownKeepsWhatMatters(t *testing.T) {
	p := bigPlan()
	for i := range 400 {
		c := planner.Change{Addr: addr(fmt.Sprintf("vm.fleet[%d]", i)), Kind: "vm", Action: planner.ActionCreate, Cause: "not on the host"}
		for j := range 20 {
			c.Fields = append(c.Fields, planner.FieldChange{Path: fmt.Sprintf("disk.d%d.volume", j), New: val("volume.some_volume_of_another_block")})
		}
		p.Changes = append(p.Changes, c)
	}
	s := newScreen(Streams{})
	v := s.Plan(p, nil, Downloads{})
	v.Full = true
	if err := v.Markdown(); err != nil {
		t.Fatal(err)
	}
	got := s.out.String()
	if len(got) > markdownLimit || len(got) < markdownLimit/2 {
		t.Errorf("%d bytes, limit %d", len(got), markdownLimit)
	}
	for _, want := range []string{"disk root (20 GiB)", "volume default/cache.qcow2 (20 GiB)", "_21 lines cut: see `vmplan plan`._", "`vm.fleet[399]`"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing", want)
		}
	}
	for i := range 5000 {
		p.Changes = append(p.Changes, planner.Change{Addr: addr(fmt.Sprintf("vm.crowd[%d]", i)), Kind: "vm", Action: planner.ActionCreate})
	}
	s = newScreen(Streams{})
	v = s.Plan(p, nil, Downloads{})
	v.Full = true
	if err := v.Markdown(); err != nil {
		t.Fatal(err)
	}
	got = s.out.String()
	if len(got) > markdownLimit || !strings.Contains(got, "more objects: see") || !strings.Contains(got, "disk root (20 GiB)") {
		t.Errorf("%d bytes, end %q", len(got), got[max(0, len(got)-100):])
	}
}

// On a terminal of any width the plan says every word that it says without one, whole, and no line that could be broken is wider.
func TestAPlanFitsEveryTerminal(t *testing.T) {
	p := bigPlan()
	long := strings.Repeat("0123456789", 9)
	p.Changes = append(p.Changes, planner.Change{
		Addr: addr(`vm.wide["a b"]`), Kind: "vm", Action: planner.ActionUpdate, Impact: drivers.ImpactRestart, Power: "restart",
		Cause: "a cause that takes up more room than there is in one line of a narrow terminal", Fields: []planner.FieldChange{
			{Path: "title", Old: val(`"the old title, of a few words"`), New: val(`"the new title, of a few more words than the old one had"`), Impact: drivers.ImpactLive, Note: "a note that is so long that it has to be broken as well"},
			{Path: "description", Old: val(`"` + long + `"`), New: val(`"` + long + `1"`), Impact: drivers.ImpactLive},
			{Path: "disk.data.volume", New: val("volume.data"), Impact: drivers.ImpactRestart},
			{Path: "disk.data.bus", New: val(`"scsi"`), Impact: drivers.ImpactRestart},
			{Path: "disk.data.cache", New: val(`"writethrough"`), Impact: drivers.ImpactRestart},
		},
	})
	words := func(width int) []string {
		s := newScreen(Streams{Width: width})
		src := parse(t, "main.hcl", mainHCL)
		if err := s.Plan(src.located(p), src, bigDownloads()).Text(); err != nil {
			t.Fatal(err)
		}
		for line := range strings.SplitSeq(s.out.String(), "\n") {
			if bare := strings.TrimLeft(line, " →"); width > 0 && runewidth.StringWidth(line) > width && strings.Contains(bare, " ") && !strings.Contains(line, "[") {
				t.Errorf("on %d columns there is the line %q", width, line)
			}
		}
		if width == 60 || width == 80 {
			golden(t, fmt.Sprintf("plan-%d.txt", width), s.out.String())
		}
		out := strings.Fields(s.out.String())
		slices.Sort(out)
		return out
	}
	want := words(0)
	for width := 60; width <= 200; width += 5 {
		if got := words(width); !slices.Equal(got, want) {
			t.Errorf("on %d columns the words are\n%q\nand not\n%q", width, got, want)
		}
	}
}

// The same change of many instances is shown once, and names all of them; what differs in anything is shown on its own.
func TestInstancesWithTheSameChangeAreFolded(t *testing.T) {
	fleet := func(n int, action planner.Action, loses string) (p planner.Plan) {
		p.Steps = make([]planner.Step, n)
		for i := range n {
			a := addr(fmt.Sprintf("vm.fleet[%d]", i))
			c := planner.Change{Addr: a, Kind: "vm", Name: fmt.Sprintf("fleet-%d", i), Action: action, Impact: drivers.ImpactLive, Cause: "changed in the files", Fields: []planner.FieldChange{
				{Path: "memory", Old: val("1 GiB"), New: val("2 GiB"), Impact: drivers.ImpactLive},
				{Path: "nic.lan.mac", New: resource.ValueOf(resource.DefaultMAC("", a, "lan", 0)), Impact: drivers.ImpactLive},
			}}
			if loses != "" {
				c.Loses = []string{loses}
			}
			if i == 2 {
				c.Fields[0].New = val("3 GiB")
			}
			p.Changes = append(p.Changes, c)
		}
		return p
	}
	for _, c := range []struct {
		plan planner.Plan
		full bool
		want []string
		not  string
	}{
		{plan: fleet(30, planner.ActionUpdate, ""), want: []string{"vm.fleet[0]  change", "and 28 more, in the same way: vm.fleet[1], ", " and 18 others (--full shows each)", "2 GiB", "3 GiB"}, not: "vm.fleet[29]"},
		{plan: fleet(30, planner.ActionUpdate, ""), full: true, want: []string{"vm.fleet[29]  change"}, not: "in the same way"},
		{plan: fleet(30, planner.ActionReplace, "disk root (1 GiB)"), want: []string{"and 28 more, in the same way: ", "vm.fleet[29]"}, not: "others"},
		{plan: fleet(3, planner.ActionUpdate, ""), want: []string{"vm.fleet[0]  change", "vm.fleet[1]  change", "vm.fleet[2]  change"}, not: "in the same way"},
	} {
		s := newScreen(Streams{})
		v := s.Plan(&c.plan, nil, Downloads{})
		v.Full = c.full
		if err := v.Text(); err != nil {
			t.Fatal(err)
		}
		for _, want := range c.want {
			if !strings.Contains(s.out.String(), want) {
				t.Errorf("%q is missing in\n%s", want, &s.out)
			}
		}
		if strings.Contains(s.out.String(), c.not) {
			t.Errorf("%q is in\n%s", c.not, &s.out)
		}
	}
}

// What is refused is no plan: only why is printed, and nothing that looks as if it could be applied.
func TestARefusedPlanIsNotShownAsAPlan(t *testing.T) {
	p := bigPlan()
	p.Findings = append(p.Findings, planner.Finding{Severity: planner.SeverityError, Addr: addr("volume.cache"), Summary: "Refused", Detail: "lifecycle.prevent_destroy is set."})
	s := newScreen(Streams{})
	if err := s.Plan(p, nil, bigDownloads()).Text(); err != nil {
		t.Fatal(err)
	}
	if s.out.Len() > 0 || !strings.Contains(s.err.String(), "lifecycle.prevent_destroy") || !strings.Contains(s.err.String(), "No plan") {
		t.Errorf("out %q, err %q", &s.out, &s.err)
	}
	if err := s.Plan(p, nil, bigDownloads()).Markdown(); err != nil {
		t.Fatal(err)
	}
	if got := s.out.String(); !strings.HasPrefix(got, "### Plan refused") || strings.Contains(got, "to create") || strings.Contains(got, "no changes") {
		t.Errorf("as Markdown:\n%s", got)
	}
	empty := &planner.Plan{Findings: p.Findings}
	s = newScreen(Streams{})
	if err := s.Plan(empty, nil, Downloads{}).Markdown(); err != nil || strings.Contains(s.out.String(), "no changes") {
		t.Errorf("%v, as Markdown:\n%s", err, &s.out)
	}
}

// A name with backticks ends no code span.
func TestCodeSpansHoldBackticks(t *testing.T) {
	for text, want := range map[string]string{
		"a":         "`a`",
		"a`b":       "`` a`b ``",
		"``<b>":     "``` ``<b> ```",
		"a\n# b":    "`a # b`",
		"`":         "`` ` ``",
		"\x1b[31mx": "`\\u001b[31mx`",
	} {
		if got := code(text); got != want {
			t.Errorf("%q is %s, want %s", text, got, want)
		}
	}
}

// Files of strangers have names that a terminal would obey, or that look like lines of a plan.
func TestNamesOfFilesStayOnTheirLine(t *testing.T) {
	hostile := "a\x1b[2J\nPlan: nothing\n.hcl"
	r := &resource.Range{File: hostile, Start: resource.Position{Line: 1}}
	p := &planner.Plan{Changes: []planner.Change{{Addr: addr("vm.web"), Action: planner.ActionDelete, Range: r, Fields: []planner.FieldChange{{Path: "title", Range: r}}}}}
	s := newScreen(Streams{})
	s.Diagnostics(hcl.Diagnostics{{Severity: hcl.DiagError, Summary: "Bad", Subject: &hcl.Range{Filename: hostile, Start: hcl.Pos{Line: 1}}}}, nil)
	if err := s.Plan(p, nil, Downloads{}).Text(); err != nil {
		t.Fatal(err)
	}
	text := s.out.String() + s.err.String()
	if strings.Contains(text, "\x1b") || strings.Contains(text, "\nPlan: nothing") || !strings.Contains(text, `a\u001b[2J\nPlan: nothing`) {
		t.Errorf("it prints %q", text)
	}
}

func TestCounts(t *testing.T) {
	create := planner.Change{Addr: addr("vm.web"), Action: planner.ActionCreate}
	for want, c := range map[string]struct {
		changes []planner.Change
		d       Downloads
	}{
		"1 to create": {changes: []planner.Change{create, {Addr: addr("vm.web.disk.root"), Action: planner.ActionCreate}}},
		"1 to create, at least 1.5 GiB to download": {[]planner.Change{create}, Downloads{total: 3 << 29, unknown: 1}},
		"1 to create, an unknown size to download":  {[]planner.Change{create}, Downloads{unknown: 1}},
		"1 to change: 1 at next boot; 0 disks lost": {changes: []planner.Change{
			{Addr: addr("vm.web"), Action: planner.ActionUpdate, Impact: drivers.ImpactNextBoot},
			{Addr: addr("vm.web.seed"), Kind: "seed", Action: planner.ActionReplace, Impact: drivers.ImpactReplace},
		}},
		"1 to change: 1 live; 0 disks lost": {changes: []planner.Change{{Addr: addr("vm.web.disk.data"), Action: planner.ActionCreate}}},
		"5 to change: 5 with a restart (vm.m[0], vm.m[1], vm.m[2], 2 more); 0 disks lost": {changes: func() (cs []planner.Change) {
			for i := range 5 {
				cs = append(cs, planner.Change{Addr: addr(fmt.Sprintf("vm.m[%d]", i)), Action: planner.ActionUpdate, Impact: drivers.ImpactRestart, Power: "restart"})
			}
			return cs
		}()},
	} {
		if got := count(groups(c.changes), c.d).String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// Names and messages come from hosts and images, that is, from strangers.
func TestNothingDrivesTheTerminal(t *testing.T) {
	evil := "\x1b]0;owned\x07\u202e"
	p := &planner.Plan{
		Changes: []planner.Change{{
			Addr: addr("vm.web"), Kind: "vm", Action: planner.ActionUpdate, Cause: evil, Loses: []string{evil}, Keeps: []string{evil},
			Fields: []planner.FieldChange{{Path: "title", Old: resource.ValueOf(evil), New: resource.ValueOf(evil), Note: evil}, {Path: "description", Old: resource.ValueOf("a\n" + evil), New: resource.ValueOf("")}},
		}},
		Findings: []planner.Finding{{Severity: planner.SeverityWarning, Summary: evil, Detail: evil}},
	}
	s := newScreen(Streams{})
	v := s.Plan(p, nil, Downloads{})
	if err := v.Text(); err != nil {
		t.Fatal(err)
	}
	if err := v.Markdown(); err != nil {
		t.Fatal(err)
	}
	if got := s.out.String() + s.err.String(); strings.ContainsAny(got, "\x1b\x07\u202e") {
		t.Errorf("control characters in\n%q", got)
	}
}

func TestUnifiedDiffs(t *testing.T) {
	var a, b []string
	for i := range 30 {
		a = append(a, fmt.Sprint("line ", i))
		b = append(b, fmt.Sprint("line ", i))
	}
	b[4] = "other"
	b = append(b[:20], b[21:]...)
	got := strings.Join(unified(strings.Join(a, "\n")+"\n", strings.Join(b, "\n")+"\n", 2, "main.hcl"), "\n")
	want := `--- main.hcl
+++ main.hcl
@@ -3,5 +3,5 @@
 line 2
 line 3
-line 4
+other
 line 5
 line 6
@@ -19,5 +19,4 @@
 line 18
 line 19
-line 20
 line 21
 line 22`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if same := unified("a\nb\n", "a\nb\n", 3, ""); len(same) != 0 {
		t.Errorf("no change gives %q", same)
	}
}

// Whatever a plan holds can be shown in every way.
func TestEveryPlanCanBeShown(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	value := func() resource.Value {
		return val(pick("", "", `"text"`, `"a longer text with words"`, `"two\nlines"`, "1 GiB", "2", "true", "vm.web", "(sensitive)"))
	}
	for range 2000 {
		p := &planner.Plan{Steps: bigPlan().Steps[:r.IntN(2)]}
		for range r.IntN(6) {
			c := planner.Change{
				Addr:   addr(pick("vm.web", "vm.web[0]", "vm.web[1]", "vm.web[2]", `vm.db["a b"]`, "vm.web.seed", "vm.web[0].disk.root", "network.lan", "image.base", "volume.data", "module.m.vm.a")),
				Kind:   resource.Kind(pick("vm", "seed", "volume", "network", "image", "pool")),
				Action: planner.Action(pick("create", "update", "replace", "delete", "start", "stop", "adopt", "release", "forget", "restore", "flatten")),
				Impact: drivers.Impact(r.IntN(6)), Power: pick("", "", "start", "stop", "restart"), Cause: pick("", "a cause"),
			}
			for range r.IntN(5) {
				c.Fields = append(c.Fields, planner.FieldChange{
					Path: pick("title", "disk.seed.source", "disk.seed.bus", "disk.root.bus", "nic.lan.mac", "nic.lan.address", "reservation.52:54:00:00:00:01.name", "ready.ssh", "bandwidth.inbound.average", "file", "digest"),
					Old:  value(), New: value(), Impact: drivers.Impact(r.IntN(6)), Note: pick("", "a note"),
				})
			}
			list := []*[]planner.Change{&p.Changes, &p.Changes, &p.Drift, &p.Pending, &p.Unchanged}[r.IntN(5)]
			*list = append(*list, c)
		}
		s := newScreen(Streams{Width: []int{0, 20, 60, 120}[r.IntN(4)], Color: r.IntN(2) == 0})
		v := s.Plan(p, nil, Downloads{})
		v.Full = r.IntN(2) == 0
		for _, show := range []func() error{v.Text, v.JSON, v.Markdown} {
			if err := show(); err != nil {
				t.Fatal(err)
			}
		}
		if strings.Contains(s.out.String(), "hunter2") {
			t.Fatalf("a secret is shown:\n%s", &s.out)
		}
	}
}
