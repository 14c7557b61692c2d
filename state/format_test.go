package state_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"strings"
	"testing"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/state"
	"vmplan.dev/vmplan/state/statetest"
)

var update = flag.Bool("update", false, "write the golden files")

const secretText = "hunter2"

// everything is a state with each kind of record.
func everything() *state.Snapshot {
	s := statetest.Snapshot(2)
	s.Serial = 3
	web := resource.Addr{Module: "module.shop", Kind: resource.KindVM, Name: "web", Key: `["a"]`}
	for _, r := range []*state.Record{
		{Object: &resource.Host{Meta: resource.Meta{Addr: resource.Addr{Kind: resource.KindHost, Name: "lab"}, Name: "lab"}, URI: "qemu:///system"}, Status: state.StatusReady},
		{Object: &resource.Seed{Meta: resource.Meta{Addr: web.WithPart("seed"), Host: "lab"}, UserData: resource.NewSecret(secretText, s.Salt)}, Status: state.StatusCreating},
		{Object: &resource.Volume{Meta: resource.Meta{Addr: web.WithPart("disk.root"), Host: "lab", Name: "web-a-root"}, Size: 20 * resource.GiB}, Status: state.StatusDeleting},
		{Object: &resource.VM{Meta: resource.Meta{Addr: web, Host: "lab", Name: "web-a"}, Title: "<é> & \u2028"}, Status: state.StatusReleased, Power: state.PowerOff},
	} {
		s.Records[r.Object.Base().Addr] = r
	}
	return s
}

// Old state files must stay readable for ever: the golden file is never to be changed for format 1.
func TestFormat1IsWhatItAlwaysWas(t *testing.T) {
	const golden = "testdata/format_v1.vmstate"
	data, err := state.Encode(everything())
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(golden, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(data, want) {
		t.Errorf("the state is written as\n%s\nwant\n%s", data, want)
	}
	s, err := state.Decode(want)
	if err != nil {
		t.Fatal(err)
	}
	again, err := state.Encode(s)
	if err != nil || !bytes.Equal(again, want) {
		t.Errorf("read and written again it is\n%s\n%v", again, err)
	}
	if bytes.Contains(data, []byte(secretText)) {
		t.Error("a secret is in the state in clear")
	}
	lineage, serial, err := state.DecodeHead(want)
	if err != nil || lineage != s.Lineage || serial != 3 {
		t.Errorf("head: %s, %d, %v", lineage, serial, err)
	}
}

func TestAStateTellsOfARestoreThatWasNotFinished(t *testing.T) {
	s := statetest.Snapshot(1)
	addr := resource.Addr{Kind: resource.KindVM, Name: "vm0"}
	s.Records[addr].Restoring = "before-upgrade"
	data, err := state.Encode(s)
	if err != nil {
		t.Fatal(err)
	}
	if s, err = state.Decode(data); err != nil || s.Records[addr].Restoring != "before-upgrade" {
		t.Errorf("%v is read of\n%s\n%v", s, data, err)
	}
}

func TestAnEditedStateIsReadOnceItsChecksumIsTakenOut(t *testing.T) {
	data, err := state.Encode(everything())
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.Replace(string(data), `"web-a-root"`, `"other"`, 1), "\n")
	if _, err := state.Decode([]byte(strings.Join(lines, "\n"))); !errors.Is(err, state.ErrCorrupt) || !strings.Contains(err.Error(), "take the checksum out") {
		t.Errorf("with its checksum: %v", err)
	}
	kept := lines[:0]
	for _, l := range lines {
		if !strings.Contains(l, `"checksum"`) {
			kept = append(kept, l)
		}
	}
	s, err := state.Decode([]byte(strings.Join(kept, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	names := ""
	for _, r := range s.Sorted() {
		names += r.Object.Base().Name + " "
	}
	if !strings.Contains(names, "other") {
		t.Errorf("names: %s", names)
	}
}

func TestReformattingIsNoDamage(t *testing.T) {
	data, err := state.Encode(everything())
	if err != nil {
		t.Fatal(err)
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, data, "", "\t"); err != nil {
		t.Fatal(err)
	}
	s, err := state.Decode(pretty.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if again, err := state.Encode(s); err != nil || !bytes.Equal(again, data) {
		t.Errorf("it became\n%s\n%v", again, err)
	}
}

func TestDamageIsNamedWithItsPlace(t *testing.T) {
	const head = "{\n  \"vmplan_state\": 1, \"lineage\": \"l\", \"serial\": 1, \"salt\": \"\",\n  \"records\": [\n"
	const vm = `{"object":{"addr":"vm.a","kind":"vm","spec":{}},"status":"ready"}`
	for name, c := range map[string]struct{ text, says string }{
		"a second record":      {head + vm + ",\n" + vm + "\n]}", "line 5, column 66: a second record of vm.a"},
		"an unknown kind":      {head + strings.Replace(vm, `"vm"`, `"cow"`, 1) + "]}", `line 4, column 67: there is no kind "cow"`},
		"an unknown status":    {head + strings.Replace(vm, "ready", "lost", 1) + "]}", `unknown status "lost"`},
		"an unknown attribute": {head + strings.Replace(vm, `"spec":{}`, `"spec":{"horns":2}`, 1) + "]}", "horns"},
		"no object":            {head + `{"status":"ready"}]}`, "no object"},
		"a bad address":        {head + strings.Replace(vm, "vm.a", "vm..", 1) + "]}", "is not a name"},
		"a record of text":     {head + `"vm"]}`, "line 4, column 5"},
		"a missing comma":      {head + vm + "\n" + vm + "]}", "line 5, column 2"},
		"records of text":      {strings.Replace(head, "[\n", `"none"}`, 1), "not a list"},
		"more behind":          {head + vm + "]} {}", "after top-level value"},
		"no lineage":           {strings.Replace(head, `"l"`, `""`, 1) + "]}", "no lineage"},
		"a negative serial":    {strings.Replace(head, `"serial": 1`, `"serial": -1`, 1) + "]}", "line 2"},
		"format 0":             {strings.Replace(head, `state": 1`, `state": 0`, 1) + "]}", "no format 0"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := state.Decode([]byte(c.text))
			if !errors.Is(err, state.ErrCorrupt) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %+v, %v; want an error with %q", s, err, c.says)
			}
		})
	}
}

func TestWhatCouldNotBeReadBackIsNotWritten(t *testing.T) {
	for name, spoil := range map[string]func(s *state.Snapshot, r *state.Record){
		"no lineage":      func(s *state.Snapshot, _ *state.Record) { s.Lineage = "" },
		"no object":       func(_ *state.Snapshot, r *state.Record) { r.Object = nil },
		"no status":       func(_ *state.Snapshot, r *state.Record) { r.Status = "" },
		"no address":      func(_ *state.Snapshot, r *state.Record) { r.Object.Base().Addr = resource.Addr{} },
		"a wrong key":     func(_ *state.Snapshot, r *state.Record) { r.Object.Base().Addr.Name = "other" },
		"a bad reference": func(_ *state.Snapshot, r *state.Record) { r.DependsOn[0].Name = "a b" },
	} {
		t.Run(name, func(t *testing.T) {
			s := statetest.Snapshot(1)
			for _, r := range s.Records {
				spoil(s, r)
			}
			if data, err := state.Encode(s); err == nil {
				t.Errorf("written as\n%s", data)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	data, err := state.Encode(everything())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"vmplan_state":1,"lineage":"l","serial":1,"salt":"","records":[]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := state.Decode(data)
		if err != nil {
			if !errors.Is(err, state.ErrCorrupt) && !errors.Is(err, state.ErrNewer) {
				t.Fatalf("neither damaged nor newer: %v", err)
			}
			return
		}
		first, err := state.Encode(s)
		if err != nil {
			t.Fatal(err)
		}
		again, err := state.Decode(first)
		if err != nil {
			t.Fatalf("%s\nis not read back: %v", first, err)
		}
		if second, err := state.Encode(again); err != nil || !bytes.Equal(first, second) {
			t.Fatalf("%s\nbecame\n%s\n%v", first, second, err)
		}
	})
}

func FuzzDecodeJournal(f *testing.F) {
	f.Add(journal(f, "a", "b"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		j, err := state.DecodeJournal(data)
		if err != nil {
			if !errors.Is(err, state.ErrCorrupt) && !errors.Is(err, state.ErrNewer) {
				t.Fatalf("neither damaged nor newer: %v", err)
			}
			return
		}
		if j.Size > len(data) {
			t.Fatalf("%d of %d bytes are whole", j.Size, len(data))
		}
		whole, err := state.DecodeJournal(data[:j.Size])
		if err != nil || len(whole.Entries) != len(j.Entries) || whole.Size != j.Size {
			t.Fatalf("without its torn end it is another: %+v, %v", whole, err)
		}
	})
}

func journal(t testing.TB, names ...string) []byte {
	t.Helper()
	out, err := state.JournalHead(statetest.Snapshot(0))
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range names {
		r := statetest.Record(name, i)
		line, err := state.JournalLine([]state.Entry{{Step: "x", Addr: r.Object.Base().Addr, Phase: state.PhaseIntent, Record: r}})
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, line...)
	}
	return out
}

func TestAJournalOfANewerFormatIsRefused(t *testing.T) {
	newer := []byte("17a97b15 {\"vmplan_journal\":2}\n")
	if _, err := state.DecodeJournal(newer); !errors.Is(err, state.ErrNewer) {
		t.Errorf("got %v", err)
	}
}

// BenchmarkDecode reads the state of 10,000 vms with a disk and a seed each.
func BenchmarkDecode(b *testing.B) {
	data, err := state.Encode(statetest.Snapshot(30_000))
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := state.Decode(data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	s := statetest.Snapshot(30_000)
	for b.Loop() {
		if _, err := state.Encode(s); err != nil {
			b.Fatal(err)
		}
	}
}

// Older versions recorded what stands behind the question mark of an image's URL, and names in it: it is gone with the next write,
// and nothing else changes.
func TestCredentialsThatAnOlderVersionRecorded(t *testing.T) {
	image := func(source string) *resource.Image {
		return &resource.Image{Meta: resource.Meta{Addr: resource.Addr{Kind: resource.KindImage, Name: "debian"}}, Source: source, File: "debian-1.qcow2"}
	}
	const older, wanted = "https://me:xxxxx@host/a.img?sig=" + secretText, "https://you:" + secretText + "@host/a.img?sig=" + secretText
	s := statetest.Snapshot(0)
	rec := &state.Record{Object: image(older), Status: state.StatusReady}
	want := image(wanted)
	resource.SealLocations(want, s.Salt)

	head, err := state.JournalHead(s)
	if err != nil {
		t.Fatal(err)
	}
	line, err := state.JournalLine([]state.Entry{{Step: "create", Addr: want.Addr, Phase: state.PhaseDone, Record: rec}})
	if err != nil {
		t.Fatal(err)
	}
	j, err := state.DecodeJournal(append(head, line...))
	if err != nil {
		t.Fatal(err)
	}
	fromJournal, err := state.Fold(nil, j)
	s.Records[want.Addr] = rec
	data, err2 := state.Encode(s)
	if err = errors.Join(err, err2); err != nil || !bytes.Contains(data, []byte(older)) {
		t.Fatalf("it was not written as older versions did: %s, %v", data, err)
	}
	fromFile, err := state.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	for from, s := range map[string]*state.Snapshot{"journal": fromJournal, "file": fromFile} {
		if diff := resource.Diff(s.Records[want.Addr].Object, want); len(diff) > 0 {
			t.Errorf("out of the %s it differs from what is wanted: %+v", from, diff)
		}
		if data, err := state.Encode(s); err != nil || bytes.Contains(data, []byte(secretText)) {
			t.Errorf("out of the %s it is written again as %s, %v", from, data, err)
		}
	}
}
