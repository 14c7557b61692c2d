package view

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/planner"
)

var update = flag.Bool("update", false, "write what is printed now to testdata, as what is expected")

// golden compares got with testdata/NAME.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s:\n%s\n\nwant:\n%s\n\ndifference:\n%s", name, got, want, strings.Join(unified(string(want), got, 3, name), "\n"))
	}
}

// screen is a Printer on buffers.
type screen struct {
	*Printer
	out, err bytes.Buffer
}

func newScreen(s Streams) *screen {
	sc := &screen{}
	s.Out, s.Err = &sc.out, &sc.err
	sc.Printer = New(s)
	return sc
}

func addr(text string) resource.Addr {
	a, err := resource.ParseAddr(text)
	if err != nil {
		panic(err)
	}
	return a
}

const mainHCL = `host "lab" {
  uri = "qemu:///system"
}

vm "db" {
  machine = "q35"
  memory  = "4GiB"
  cloud_init {
    user_data = file("db.yaml")
  }
}

vm "web" {
  for_each    = toset(["a", "b"])
  memory      = "4GiB"
  description = <<-EOT
    the web
    servers
  EOT
}
`

// files are Sources made of one parsed file.
type files struct {
	name string
	file *hcl.File
}

func parse(t *testing.T, name, src string) *files {
	t.Helper()
	f, diags := hclparse.NewParser().ParseHCL([]byte(src), name)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return &files{name, f}
}

func (s *files) Files() map[string]*hcl.File { return map[string]*hcl.File{s.name: s.file} }

// Locate finds blocks by their labels, and attributes by name.
func (s *files) Locate(a resource.Addr, path string) (resource.Range, bool) {
	for _, b := range s.file.Body.(*hclsyntax.Body).Blocks {
		if b.Type == string(a.Kind) && b.Labels[0] == a.Name {
			r := b.DefRange()
			if attr := b.Body.Attributes[path]; attr != nil {
				r = attr.SrcRange
			}
			return *rangeForm(r), true
		}
	}
	return resource.Range{}, false
}

// located is the plan with the places in the files.
func (s *files) located(p *planner.Plan) *planner.Plan {
	p.Locate(s.Locate)
	return p
}

// val is the value that is shown as the text; the zero value for none.
func val(text string) resource.Value {
	var v any = resource.Word(text)
	if plain, err := strconv.Unquote(text); err == nil {
		v = plain
	} else if n, err := strconv.Atoi(text); err == nil {
		v = n
	} else if size, err := resource.ParseSize(text); err == nil {
		v = size
	} else if b, err := strconv.ParseBool(text); err == nil {
		v = b
	} else if a, err := resource.ParseAddr(text); err == nil && a.Kind != "" {
		v = a
	}
	switch text {
	case "":
		v = nil
	case "(sensitive)":
		v = resource.NewSecret("hunter2", []byte("salt"))
	}
	return resource.ValueOf(v)
}

// bigPlan has every kind of change.
func bigPlan() *planner.Plan {
	change := func(a string, kind resource.Kind, action planner.Action, impact drivers.Impact, cause string, fields ...planner.FieldChange) planner.Change {
		return planner.Change{Addr: addr(a), Kind: kind, Name: addr(a).Name, Host: "lab", Action: action, Impact: impact, Cause: cause, Fields: fields}
	}
	set := func(path, value string) planner.FieldChange { return planner.FieldChange{Path: path, New: val(value)} }
	moved := func(path, from, to string, impact drivers.Impact) planner.FieldChange {
		return planner.FieldChange{Path: path, Old: val(from), New: val(to), Impact: impact}
	}
	old := change("vm.old", "vm", planner.ActionDelete, drivers.ImpactDestroy, "no longer in the files", moved("memory", "1 GiB", "", drivers.ImpactDestroy))
	old.Power, old.Keeps = "stop", []string{"volume default/old-data.qcow2 (50 GiB): on_delete = retain"}
	oldRoot := change("vm.old.disk.root", "volume", planner.ActionDelete, drivers.ImpactDestroy, "its vm goes")
	oldRoot.Loses = []string{"disk root (20 GiB)"}
	db := change("vm.db", "vm", planner.ActionUpdate, drivers.ImpactRestart, "differs from the files",
		moved("machine", `"pc"`, `"q35"`, drivers.ImpactRestart), moved("memory", "2 GiB", "4 GiB", drivers.ImpactLive),
		planner.FieldChange{Path: "disk.seed.source", Old: val(`"default/db-seed-11111111.iso"`), New: val(`"default/db-seed-22222222.iso"`), Impact: drivers.ImpactNextBoot, Note: "cloud-init reads it when the guest boots"})
	db.Power = "restart"
	seed := change("vm.db.seed", "seed", planner.ActionReplace, drivers.ImpactReplace, "its content changes",
		planner.FieldChange{Path: "user_data", Old: val("(sensitive)"), New: val("(sensitive)"), Impact: drivers.ImpactReplace})
	seed.Before.Resource = &resource.Seed{File: "db-seed-11111111.iso", UserData: resource.NewSecret("hunter2", nil)}
	seed.After.Resource = &resource.Seed{File: "db-seed-22222222.iso", UserData: resource.NewSecret("hunter3", nil)}
	web := change(`vm.web["a"]`, "vm", planner.ActionCreate, drivers.ImpactLive, "not on the host",
		set("memory", "4 GiB"), set("vcpus", "2"), set("description", `"the web\nservers\n"`), set("disk.root.source", `"default/web-a-root.qcow2"`), set("nic.lan.mac", `"52:54:00:aa:bb:cc"`))
	web.Power = "start"
	webRoot := change(`vm.web["a"].disk.root`, "volume", planner.ActionCreate, drivers.ImpactLive, "not on the host", set("size", "20 GiB"))
	webB := change(`vm.web["b"]`, "vm", planner.ActionUpdate, drivers.ImpactLive, "differs from the files",
		moved("description", `"the web\nserver\n"`, `"the web\nservers\n"`, drivers.ImpactLive), moved("memory", "2 GiB", "4 GiB", drivers.ImpactLive))
	lan := change("network.lan", "network", planner.ActionUpdate, drivers.ImpactLive, "differs from the files", moved("domain", `"a.example"`, "", drivers.ImpactLive))
	cache := change("volume.cache", "volume", planner.ActionReplace, drivers.ImpactReplace, "size shrinks",
		moved("size", "20 GiB", "10 GiB", drivers.ImpactReplace))
	cache.Loses = []string{"volume default/cache.qcow2 (20 GiB)"}
	return &planner.Plan{
		Lineage: "6f6c0f0e-5d5b-5c1f-9b1a-000000000000", Serial: 7,
		Changes: []planner.Change{
			lan, change("image.debian", "image", planner.ActionCreate, drivers.ImpactLive, "not on the host", set("source", `"https://example.org/debian.qcow2"`)),
			cache, db, seed, change("vm.found", "vm", planner.ActionAdopt, drivers.ImpactLive, "was released"),
			change("vm.idle", "vm", planner.ActionStop, drivers.ImpactLive, "running = false"),
			change("vm.left", "vm", planner.ActionRelease, drivers.ImpactRecord, `on_delete = "orphan"`),
			change("vm.lost", "vm", planner.ActionForget, drivers.ImpactRecord, "gone from the host already"),
			old, oldRoot, web, webRoot, webB, change("vm.zzz", "vm", planner.ActionStart, drivers.ImpactLive, "is off"),
		},
		Drift: []planner.Change{
			change("network.lan", "network", planner.ActionUpdate, drivers.ImpactLive, "", moved("domain", `"lab.example"`, `"a.example"`, drivers.ImpactLive)),
			change("vm.lost", "vm", planner.ActionDelete, drivers.ImpactDestroy, ""),
		},
		Unchanged: []planner.Change{{
			Addr: addr("pool.default"), Kind: "pool", Name: "default", Host: "lab", Action: planner.ActionNone,
			Before: resource.Encoded{Resource: &resource.Pool{Path: "/srv"}}, After: resource.Encoded{Resource: &resource.Pool{Path: "/srv"}},
		}},
		Pending: []planner.Change{
			change("vm.busy", "vm", planner.ActionUpdate, drivers.ImpactNextBoot, "waits for the guest's next start", moved("cpu", `"host-model"`, `"qemu64"`, drivers.ImpactNextBoot)),
		},
		Steps: []planner.Step{{
			ID: "stop vm.old", Op: drivers.Encoded{Op: drivers.NewStop(&resource.VM{Meta: resource.Meta{Addr: addr("vm.old")}}, false)},
			Addr: addr("vm.old"), Host: "lab", Cause: "no longer in the files",
		}},
		Findings: []planner.Finding{
			{Severity: planner.SeverityWarning, Addr: addr("vm.db"), Path: "memory", Summary: "Little memory left", Detail: "The host has 3 GiB free. Give vm.db less, or stop another vm."},
			{Severity: planner.SeverityWarning, Addr: addr("volume.cache"), Summary: "Old `bits`", Detail: "They are from 2019."},
		},
	}
}

func bigDownloads() Downloads {
	return Downloads{bytes: map[resource.Addr]int64{addr("image.debian"): 1_300_000_000}, total: 1_300_000_000}
}

// TestTextFitsTheTerminal: what is only read is as wide as the terminal, words stay whole, and lists keep their form.
func TestTextFitsTheTerminal(t *testing.T) {
	text := "Lists what could be deleted,\nand deletes it:\n\n- bases that nothing\n  uses;\n- what the cache holds.\n\nExit codes: 0."
	for width, want := range map[int]string{
		0:   text,
		26:  "Lists what could be\ndeleted, and deletes it:\n\n- bases that nothing\n  uses;\n- what the cache holds.\n\nExit codes: 0.",
		500: "Lists what could be deleted, and deletes it:\n\n- bases that nothing uses;\n- what the cache holds.\n\nExit codes: 0.",
	} {
		if got := New(Streams{Width: width}).Fill(text); got != want {
			t.Errorf("on %d columns:\n%s\nwant:\n%s", width, got, want)
		}
	}
}
