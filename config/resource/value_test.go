package resource

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// What a field of any kind holds comes back from JSON as it was, and shows no secret on the way.
func TestValuesComeBackFromJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := genResource(t, rapid.SampledFrom(kindOrder).Draw(t, "kind"))
		for _, f := range Fields(r) {
			v := ValueOf(f.Value)
			text, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(text), secretText) {
				t.Fatalf("%s: %s shows the secret", f.Path, text)
			}
			var back Value
			if err := json.Unmarshal(text, &back); err != nil {
				t.Fatalf("%s: %s: %v", f.Path, text, err)
			}
			if !back.Equal(v) || back.String() != v.String() || back.IsSecret() != v.IsSecret() {
				t.Fatalf("%s: %s came back as %s", f.Path, v, back)
			}
		}
	})
}

// Other programs get numbers where people get units.
func TestPlainValuesAreOfTheTypesOfJSON(t *testing.T) {
	on := true
	for _, c := range []struct {
		value any
		want  string
	}{
		{nil, `null`},
		{"x", `"x"`},
		{Word("on"), `"on"`},
		{"qemu+ssh://root:hunter2@lab/system", `"qemu+ssh://root:xxxxx@lab/system"`},
		{"https://bob:hunter2@example.org/a?token=hunter2", `"https://xxxxx@example.org/a?…"`},
		{on, `true`},
		{2, `2`},
		{2 * GiB, `2147483648`},
		{Size(math.MaxInt64), `9223372036854775807`},
		{Duration(90 * time.Second), `90`},
		{Duration(1500 * time.Millisecond), `1.5`},
		{Addr{Kind: KindVM, Name: "web", Key: `["a"]`}, `"vm.web[\"a\"]"`},
		{[]Addr{{Kind: KindPool, Name: "p"}}, `["pool.p"]`},
		{[]string{"a", "b"}, `["a","b"]`},
		{map[string]string{"a": "b"}, `{"a":"b"}`},
		{&Empty{}, `{}`},
		{NewSecret(secretText, salt), `null`},
	} {
		text, err := json.Marshal(ValueOf(c.value).Plain())
		if back := strings.ReplaceAll(string(text), `\u2026`, "…"); err != nil || back != c.want {
			t.Errorf("%v is %s, want %s (%v)", c.value, text, c.want, err)
		}
	}
}

// Every type that a field of the model has can be a Value.
func TestEveryFieldHasAValue(t *testing.T) {
	var check func(typ reflect.Type)
	check = func(typ reflect.Type) {
		for _, a := range SchemaOf(typ).Attrs {
			if a.Block != NotBlock {
				check(a.Type)
				continue
			}
			leaf := a.Type
			if leaf.Kind() == reflect.Pointer {
				leaf = leaf.Elem()
			}
			if ValueOf(reflect.New(leaf).Elem().Interface()).IsZero() {
				t.Errorf("%s.%s is not kept", typ, a.Name)
			}
		}
	}
	for _, k := range kindOrder {
		r, err := New(k)
		if err != nil {
			t.Fatal(err)
		}
		check(reflect.TypeOf(r).Elem())
	}
}

// Whatever is read as a value is written the same way again.
func FuzzValue(f *testing.F) {
	for _, seed := range []string{
		`null`, `{"text":"a"}`, `{"size":1}`, `{"size":"1GiB"}`, `{"duration":"1m"}`, `{"address":"vm.a"}`, `{"secret":"00"}`,
		`{"texts":["a"]}`, `{"addresses":["vm.a","pool.b"]}`, `{"map":{"a":"b"}}`, `{"block":{}}`, `{"bool":true,"number":1}`, `{"other":1}`, `{"number":1.5}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var v, again Value
		if json.Unmarshal(data, &v) != nil {
			return
		}
		_, _ = v.String(), v.Plain()
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatalf("%s was read and cannot be written: %v", data, err)
		}
		if err := json.Unmarshal(text, &again); err != nil || !again.Equal(v) {
			t.Fatalf("%s came back as %s: %v", text, again, err)
		}
	})
}

// A whole object as other programs get it: no text of a secret, and each secret named.
func TestAPlainObjectNamesItsSecrets(t *testing.T) {
	vm := &VM{Meta: Meta{Name: "web"}, Memory: GiB, ShutdownTimeout: Duration(time.Minute), Disks: []Disk{{Label: "root", Bus: "virtio"}}}
	seed := &Seed{UserData: NewSecret(secretText, salt), File: "seed.iso"}
	build := &Image{Build: &Build{Commands: []Command{{Number: "1", Secret: NewSecret(secretText, salt)}}}}
	for _, c := range []struct {
		r    Resource
		want string
	}{
		{vm, `{"disk":[{"bus":"virtio","label":"root"}],"memory":1073741824,"name":"web","shutdown_timeout":60} []`},
		{seed, `{"file":"seed.iso","user_data":null} ["user_data"]`},
		{build, `{"build":{"command":[{"number":"1","secret":null}]}} ["build.command.1.secret"]`},
	} {
		object, sensitive := Plain(c.r)
		text, err := json.Marshal(object)
		paths, _ := json.Marshal(append([]string{}, sensitive...))
		if got := string(text) + " " + string(paths); err != nil || got != c.want {
			t.Errorf("got  %s\nwant %s (%v)", got, c.want, err)
		}
	}
}
