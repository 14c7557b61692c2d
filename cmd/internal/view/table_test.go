package view

import (
	"encoding/json"
	"strings"
	"testing"

	"vmplan.dev/vmplan/config"
	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/state"
)

func someObjects() []Object {
	web := &resource.VM{Meta: resource.Meta{Addr: addr(`vm.web["a"]`), Host: "lab", Name: "web-a"}, VCPUs: 2, Memory: 4 * resource.GiB}
	live := resource.Clone(web)
	live.Memory = 2 * resource.GiB
	off := &resource.VM{Meta: resource.Meta{Addr: addr("vm.off"), Host: "lab", Name: "off"}}
	seed := &resource.Seed{
		Meta: resource.Meta{Addr: addr(`vm.web["a"].seed`), Host: "lab"}, PoolName: "default", File: "web-a-seed.iso",
		UserData: resource.NewSecret("#cloud-config\npassword: hunter2\n", make([]byte, 32)),
	}
	return []Object{
		{&state.Record{Object: web, Status: state.StatusReady, DependsOn: []resource.Addr{seed.Addr}}, &drivers.Object{
			Resource: live, Power: drivers.PowerOn, Addresses: map[string][]string{"lan": {"10.0.0.2"}, "b": {"10.1.0.2", "10.1.0.3"}},
		}},
		{&state.Record{Object: seed, Status: state.StatusCreating}, &drivers.Object{Resource: seed, Path: "/srv/vm/web-a-seed.iso", Users: []string{"vm/web-a"}}},
		{&state.Record{Object: off, Status: state.StatusReady}, nil},
	}
}

func TestTables(t *testing.T) {
	s := newScreen(Streams{})
	objects := someObjects()
	var records []*state.Record
	for _, o := range objects {
		records = append(records, o.Record)
	}
	for _, err := range []error{
		s.VMs(objects, false), s.Records(records, false), s.Objects(objects, false), s.RecordDetails(records[:1], false),
		s.VMs(nil, false), s.Records(nil, false),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	golden(t, "tables.txt", s.out.String()+"=== errors\n"+s.err.String())
}

func TestTablesAsJSON(t *testing.T) {
	s := newScreen(Streams{})
	if err := s.Objects(someObjects(), true); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(s.out.String(), "hunter2") {
		t.Error("a secret is printed")
	}
	var got []map[string]any
	if err := json.Unmarshal(s.out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	first, last := got[0], got[2]
	if first["addr"] != `vm.web["a"]` || first["recorded"].(map[string]any)["memory"] == nil || first["live"].(map[string]any)["power"] != "on" {
		t.Errorf("first %v", first)
	}
	if last["live"].(map[string]any)["present"] != false {
		t.Errorf("last %v", last)
	}
	for name, print := range map[string]func() error{
		"vms":     func() error { return s.VMs(nil, true) },
		"records": func() error { return s.Records(nil, true) },
	} {
		s.out.Reset()
		if err := print(); err != nil || s.out.String() != "[]\n" {
			t.Errorf("no %s: %q, %v", name, &s.out, err)
		}
	}
}

func someOutputs() []config.Output {
	return []config.Output{
		{Name: "addresses", Type: "map(string)", Value: map[string]any{"b": "10.0.0.3", "a": "10.0.0.2"}, Known: true},
		{Name: "count", Type: "number", Value: json.Number("3"), Known: true},
		{Name: "lease", Type: "string"},
		{Name: "motd", Type: "string", Value: "hello\n\"world\"\n", Known: true},
		{Name: "none", Type: "string", Known: true},
		{Name: "password", Type: "string", Value: "hunter2", Sensitive: true, Known: true},
		{Name: "ports", Type: "list(any)", Value: []any{json.Number("80"), true, []any{}, map[string]any{}}, Known: true},
	}
}

func TestOutputs(t *testing.T) {
	s := newScreen(Streams{})
	if err := s.Outputs(someOutputs(), false); err != nil {
		t.Fatal(err)
	}
	golden(t, "outputs.txt", s.out.String())
	s.out.Reset()
	if err := s.Outputs(someOutputs(), true); err != nil {
		t.Fatal(err)
	}
	if got := s.out.String(); strings.Contains(got, "hunter2") || !strings.Contains(got, `"count":{"sensitive":false,"type":"number","known":true,"value":3}`) {
		t.Errorf("JSON %s", got)
	}
}

func TestOutputsEndAnApply(t *testing.T) {
	s := newScreen(Streams{})
	if err := s.ResultingOutputs(someOutputs()[1:2], false); err != nil || s.out.String() != "\nOutputs:\n\ncount = 3\n" {
		t.Errorf("%q, %v", &s.out, err)
	}
	s.out.Reset()
	want := `{"type":"outputs","outputs":{"count":{"sensitive":false,"type":"number","known":true,"value":3}}}` + "\n"
	if err := s.ResultingOutputs(someOutputs()[1:2], true); err != nil || s.out.String() != want {
		t.Errorf("%q, %v", &s.out, err)
	}
}

func TestOneOutput(t *testing.T) {
	by := map[string]config.Output{}
	for _, o := range someOutputs() {
		by[o.Name] = o
	}
	for _, c := range []struct {
		name      string
		json, raw bool
		want, err string
	}{
		{name: "motd", raw: true, want: "hello\n\"world\"\n"},
		{name: "motd", json: true, want: `"hello\n\"world\"\n"` + "\n"},
		{name: "count", want: "3\n"},
		{name: "count", raw: true, want: "3"},
		{name: "password", err: "is sensitive"},
		{name: "password", raw: true, want: "hunter2"},
		{name: "lease", raw: true, err: "no value now"},
		{name: "ports", raw: true, err: "use --json"},
	} {
		s := newScreen(Streams{})
		err := s.Output(by[c.name], c.json, c.raw)
		if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) || s.out.String() != c.want {
			t.Errorf("%+v: %q, %v", c, &s.out, err)
		}
	}
}
