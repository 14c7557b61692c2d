package view

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/hashicorp/hcl/v2"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/planner/apply"
)

func mistakes(src *files) hcl.Diagnostics {
	memory, _ := src.Locate(addr("vm.db"), "memory")
	description, _ := src.Locate(addr("vm.web"), "description")
	nowhere := hcl.Range{Filename: "gone.hcl", Start: hcl.Pos{Line: 3, Column: 1, Byte: 20}, End: hcl.Pos{Line: 3, Column: 2, Byte: 21}}
	return hcl.Diagnostics{
		{Severity: hcl.DiagError, Summary: "Invalid size", Detail: "\"4GiBB\" is not a size: write a number and a unit, for example \"512MiB\" or \"20GiB\".", Subject: hclRange(memory)},
		{Severity: hcl.DiagWarning, Summary: "Long description", Detail: "Hosts cut it after 80 characters.", Subject: hclRange(description)},
		{Severity: hcl.DiagError, Summary: "Unreadable file", Subject: &nowhere},
		{Severity: hcl.DiagError, Summary: "No host", Detail: "Declare one:\n\n  host \"lab\" {\n    uri = \"qemu:///system\"\n  }"},
	}
}

func TestDiagnosticsAsText(t *testing.T) {
	src := parse(t, "main.hcl", mainHCL)
	for name, streams := range map[string]Streams{"diagnostics.txt": {}, "diagnostics-color.txt": {Color: true, Width: 60}} {
		s := newScreen(streams)
		s.Diagnostics(mistakes(src), src.Files())
		golden(t, name, s.err.String())
		if s.out.Len() > 0 {
			t.Errorf("standard output got %q", &s.out)
		}
	}
}

func TestDiagnosticsAsJSON(t *testing.T) {
	src := parse(t, "main.hcl", mainHCL)
	s := newScreen(Streams{})
	if err := s.DiagnosticsJSON(mistakes(src), src.Files()); err != nil {
		t.Fatal(err)
	}
	var got diagnosticsJSON
	if err := json.Unmarshal(s.out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.Valid || got.ErrorCount != 3 || got.WarningCount != 1 || got.FormatVersion != "1.0" {
		t.Errorf("got %+v", got)
	}
	first := got.Diagnostics[0]
	if want := (resource.Position{Line: 7, Column: 3, Byte: 71}); first.Range.Start != want {
		t.Errorf("range starts at %+v, want %+v", first.Range.Start, want)
	}
	if sn := first.Snippet; sn.Code[sn.Start:sn.End] != `memory  = "4GiB"` || sn.Code != `  memory  = "4GiB"` {
		t.Errorf("snippet %+v", sn)
	}
	s = newScreen(Streams{})
	if err := s.DiagnosticsJSON(nil, nil); err != nil {
		t.Fatal(err)
	}
	if want := `{"format_version":"1.0","type":"diagnostics","valid":true,"error_count":0,"warning_count":0,"diagnostics":[]}` + "\n"; s.out.String() != want {
		t.Errorf("got %s", &s.out)
	}
}

func TestErrorsOfTheWorld(t *testing.T) {
	s := newScreen(Streams{})
	s.Error(errors.Join(
		fmt.Errorf("host.lab: %w", drivers.ErrUnavailable),
		&apply.StepError{Step: "wait vm.web", Addr: addr("vm.web"), Verb: "wait", Err: errors.New("vm.web: ssh: timed out\n  | kernel panic")},
	))
	s.Refusal("The plan goes beyond --max-impact live", []string{"vm.db (restart)", "vm.old (destroy)"})
	golden(t, "errors.txt", s.err.String())
}
