package resource

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func anyKind(t *rapid.T) Kind { return rapid.SampledFrom(kindOrder).Draw(t, "kind of object") }

func dump(t failer, r Resource) string {
	data, err := json.Marshal(Encoded{r})
	if err != nil {
		t.Fatalf("%v", err)
	}
	return string(data)
}

type failer interface {
	Fatalf(format string, args ...any)
}

func noChange(t failer, what string, before, after Resource) {
	if d := Diff(before, after); len(d) > 0 {
		t.Fatalf("%s: %s\nbefore %s\nafter  %s", what, describe(d), dump(t, before), dump(t, after))
	}
}

func describe(changes []Change) []string {
	var out []string
	for _, c := range changes {
		out = append(out, fmt.Sprintf("%s: %s → %s", c.Path, Format(c.Old), Format(c.New)))
	}
	return out
}

func TestObjectsReadBackAsWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := genResource(t, anyKind(t))
		text := dump(t, r)
		var e Encoded
		if err := json.Unmarshal([]byte(text), &e); err != nil {
			t.Fatal(err)
		}
		if again := dump(t, e.Resource); again != text {
			t.Fatalf("%s\nbecame\n%s", text, again)
		}
		noChange(t, "decoding", r, e.Resource)
	})
}

func TestDecodingRefusesWhatItDoesNotKnow(t *testing.T) {
	for _, text := range []string{
		`{"addr":"vm.a","kind":"vm","spec":{"memmory":1}}`, `{"addr":"vm.a","kind":"cow","spec":{}}`, `{"addr":"vm","kind":"vm","spec":{}}`,
		`{"addr":"vm.a","kind":"vm"}`, `{"addr":"vm.a","kind":"vm","spec":[]}`, `[]`, `{"addr":"vm.a","kind":"vm","spec":{"memory":-1}}`,
	} {
		var e Encoded
		if err := json.Unmarshal([]byte(text), &e); err == nil {
			t.Errorf("%s was read as %v", text, e.Resource)
		}
	}
}

func TestACloneSharesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := genResource(t, anyKind(t))
		text, clone := dump(t, r), Clone(r)
		noChange(t, "cloning", r, clone)
		spoil(reflect.ValueOf(clone))
		if got := dump(t, r); got != text {
			t.Fatalf("changing the clone changed the original:\n%s\nbecame\n%s", text, got)
		}
	})
}

// spoil overwrites everything that can be reached from v.
func spoil(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			spoil(v.Elem())
		}
	case reflect.Slice:
		for i := range v.Len() {
			spoil(v.Index(i))
		}
	case reflect.Struct:
		if v.Type() == secretType {
			v.SetZero()
			return
		}
		for i := range v.NumField() {
			spoil(v.Field(i))
		}
	default:
		v.SetZero()
	}
}

func TestDiffIsEmptyBetweenEqualsAndSymmetric(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := anyKind(t)
		a, b := genResource(t, k), genResource(t, k)
		noChange(t, "itself", a, Clone(a))
		there, back := Diff(a, b), Diff(b, a)
		if len(there) != len(back) {
			t.Fatalf("%s\nand back\n%s", describe(there), describe(back))
		}
		for _, c := range there {
			i := slices.IndexFunc(back, func(d Change) bool { return d.Path == c.Path })
			if i < 0 || Format(back[i].Old) != Format(c.New) || Format(back[i].New) != Format(c.Old) {
				t.Fatalf("%v has no counterpart in %s", c, describe(back))
			}
		}
	})
}

// Law 1: once an apply has made what the files say, there is nothing left to do.
func TestNothingIsLeftToDoOnceAllIsDone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := anyKind(t)
		desired, recorded, live := genResource(t, k), genResource(t, k), asLive(genResource(t, k))
		texts := []string{dump(t, desired), dump(t, recorded), dump(t, live)}
		before, after := Overlay(desired, recorded, live)
		done := asLive(after)
		again, wanted := Overlay(desired, desired, done)
		noChange(t, "after apply", again, wanted)
		spoil(reflect.ValueOf(before))
		spoil(reflect.ValueOf(after))
		for i, r := range []Resource{desired, recorded, live} {
			if got := dump(t, r); got != texts[i] {
				t.Fatalf("the result shares memory with argument %d:\n%s\nbecame\n%s", i, texts[i], got)
			}
		}
	})
}

func TestWhatNobodyDeclaredStays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := anyKind(t)
		live := asLive(genResource(t, k))
		silent, _ := New(k)
		before, after := Overlay(silent, nil, live)
		noChange(t, "no file says anything", before, after)
		before, after = Overlay(silent, silent, live)
		noChange(t, "no file says or said anything", before, after)
		noChange(t, "before is live", live, before)
	})
}

func TestWhatIsNoLongerDeclaredGoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		recorded := genResource(t, anyKind(t))
		silent, _ := New(recorded.Kind())
		_, after := Overlay(silent, recorded, asLive(recorded))
		if left := Fields(after); len(left) > 0 {
			t.Fatalf("%v is left", left)
		}
	})
}

func TestOrderOfBlocksIsNoChange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		vm := genResource(t, KindVM).(*VM)
		shuffled := Clone(vm)
		slices.Reverse(shuffled.Disks)
		slices.Reverse(shuffled.NICs)
		noChange(t, "reordering", vm, shuffled)
		before, after := Overlay(shuffled, vm, asLive(vm))
		noChange(t, "reordering in the files", before, after)
	})
}

func TestDisksAreKnownByLabel(t *testing.T) {
	disk := func(label, bus string) Disk { return Disk{Label: label, Bus: bus} }
	vm := func(disks ...Disk) *VM {
		return &VM{Meta: Meta{Addr: Addr{Kind: KindVM, Name: "web"}}, Memory: GiB, Disks: disks}
	}
	root, data, usb := disk("root", "virtio"), disk("data", "virtio"), disk("stick", "usb")
	for name, c := range map[string]struct {
		desired, recorded, live *VM
		want                    []string
	}{
		"the first goes, the second keeps its identity": {vm(data), vm(root, data), vm(root, data), []string{"disk.root: {…} → (not set)"}},
		"one is added":                           {vm(root, data), vm(root), vm(root), []string{"disk.data: (not set) → {…}"}},
		"one was taken away by hand":             {vm(root, data), vm(root, data), vm(root), []string{"disk.data: (not set) → {…}"}},
		"one was added by hand and stays":        {vm(root), vm(root), vm(root, usb), nil},
		"one was changed by hand":                {vm(root), vm(root), vm(disk("root", "scsi")), []string{`disk.root.bus: "scsi" → "virtio"`}},
		"a field no longer declared is unset":    {vm(disk("root", "")), vm(root), vm(root), []string{`disk.root.bus: "virtio" → (not set)`}},
		"a field never declared is left alone":   {vm(disk("root", "")), vm(disk("root", "")), vm(root), nil},
		"one goes that is gone already":          {vm(root), vm(root, data), vm(root), nil},
		"one that bears a label of ours appears": {vm(root, data), vm(root), vm(root, disk("data", "sata")), []string{`disk.data.bus: "sata" → "virtio"`}},
	} {
		t.Run(name, func(t *testing.T) {
			before, after := Overlay(c.desired, c.recorded, c.live)
			if got := describe(Diff(before, after)); !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestKeepTakesAChangeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := anyKind(t)
		a, b := genResource(t, k), genResource(t, k)
		kept := Clone(b)
		for _, c := range Diff(a, b) {
			if !Keep(kept, a, c.Path) {
				t.Fatalf("there is no field %s", c.Path)
			}
		}
		noChange(t, "all changes taken back", a, kept)
	})
}

func TestFieldsListsWhatIsSet(t *testing.T) {
	vm := &VM{
		Meta:   Meta{Name: "web"},
		Memory: 2 * GiB,
		Disks:  []Disk{{Label: "root", Bus: "virtio"}},
		Ready:  &Ready{SSH: &ReadySSH{}, Agent: &Empty{}},
	}
	var got []string
	for _, f := range Fields(vm) {
		got = append(got, f.Path+" = "+Format(f.Value))
	}
	want := []string{`name = "web"`, `memory = 2 GiB`, `disk.root.bus = "virtio"`, `ready.ssh = true`, `ready.agent = true`}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestFillComputedAddsWhatOnlyTheHostKnows(t *testing.T) {
	img := &Image{Meta: Meta{Name: "debian"}, Source: "a", File: "f"}
	got := FillComputed(img, &Image{Source: "b", File: "g", Digest: "sha256:1"}).(*Image)
	if got.Digest != "sha256:1" || got.Source != "a" || got.File != "f" || img.Digest != "" {
		t.Errorf("got %+v from %+v", got, img)
	}
}
