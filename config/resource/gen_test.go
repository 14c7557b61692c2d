package resource

import (
	"reflect"
	"slices"
	"strings"

	"pgregory.net/rapid"
)

// salt is what tests seal secrets with.
var salt = []byte("0123456789abcdef0123456789abcdef")

// secretText is in every generated secret, and must be in nothing that is printed.
const secretText = "hunter2"

var names = rapid.StringMatching(`[a-z_][a-z0-9_-]{0,5}`)

func genAddr(t *rapid.T) Addr {
	a := Addr{Kind: rapid.SampledFrom(kindOrder).Draw(t, "kind"), Name: names.Draw(t, "name")}
	var mods []string
	for range rapid.IntRange(0, 2).Draw(t, "depth") {
		mods = append(mods, rapid.SampledFrom([]string{"module.", "appliance."}).Draw(t, "word")+names.Draw(t, "module")+genKey(t))
	}
	if slices.Contains(instanceKinds, a.Kind) {
		for range rapid.IntRange(0, 2).Draw(t, "instances") {
			mods = append(mods, "vm."+names.Draw(t, "instance")+genKey(t))
		}
	}
	a.Module, a.Key = strings.Join(mods, "."), genKey(t)
	if a.Kind == KindVM && rapid.Bool().Draw(t, "part") {
		a.Part = rapid.SampledFrom([]string{"seed", "disk.root", "disk.data-1"}).Draw(t, "what")
	}
	return a
}

func genKey(t *rapid.T) string {
	switch rapid.IntRange(0, 2).Draw(t, "form") {
	case 0:
		return StringKey(rapid.String().Draw(t, "key"))
	case 1:
		return IndexKey(rapid.IntRange(0, 1000).Draw(t, "index"))
	}
	return ""
}

// genResource makes an object of kind k with any of its fields set, nested blocks included.
func genResource(t *rapid.T, k Kind) Resource {
	r, err := New(k)
	if err != nil {
		t.Fatal(err)
	}
	fill(t, reflect.ValueOf(r).Elem())
	r.Base().Addr = genAddr(t)
	return r
}

func fill(t *rapid.T, v reflect.Value) {
	s := SchemaOf(v.Type())
	if s.Label != nil {
		v.FieldByIndex(s.Label).SetString(names.Draw(t, "label"))
	}
	for _, a := range s.Attrs {
		if rapid.Bool().Draw(t, a.Name) {
			v.FieldByIndex(a.Index).Set(genField(t, v.FieldByIndex(a.Index).Type(), a))
		}
	}
}

func genField(t *rapid.T, typ reflect.Type, a Attr) reflect.Value {
	v := reflect.New(typ).Elem()
	switch {
	case a.Block == SingleBlock:
		v.Set(reflect.New(a.Type))
		fill(t, v.Elem())
	case a.Block == LabelledBlock:
		seen := map[string]bool{}
		for range rapid.IntRange(0, 11).Draw(t, "blocks") {
			e := reflect.New(a.Type).Elem()
			fill(t, e)
			if !seen[labelOf(e)] {
				v.Set(reflect.Append(v, e))
			}
			seen[labelOf(e)] = true
		}
	case typ == secretType:
		v.Set(reflect.ValueOf(NewSecret(secretText+rapid.StringN(0, 3, -1).Draw(t, "secret"), salt)))
	case typ == addrType:
		v.Set(reflect.ValueOf(genAddr(t)))
	case typ.Kind() == reflect.Map:
		v.Set(reflect.ValueOf(map[string]string{names.Draw(t, "key"): names.Draw(t, "value")}))
	case typ.Kind() == reflect.Slice:
		for range rapid.IntRange(1, 3).Draw(t, "elements") {
			v.Set(reflect.Append(v, genField(t, typ.Elem(), Attr{})))
		}
	case typ.Kind() == reflect.Pointer:
		v.Set(reflect.New(typ.Elem()))
		v.Elem().Set(genField(t, typ.Elem(), Attr{}))
	case typ.Kind() == reflect.String:
		v.SetString(rapid.StringN(1, 4, -1).Draw(t, "text"))
	case typ.Kind() == reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, "bool"))
	case v.CanInt():
		v.SetInt(rapid.Int64Range(1, 1<<40).Draw(t, "number"))
	case v.CanUint():
		v.SetUint(rapid.Uint64Range(1, 1<<50).Draw(t, "size"))
	default:
		t.Fatalf("no generator for %v", typ)
	}
	return v
}

// asLive gives r as a driver would report it: without what only vmplan knows.
func asLive(r Resource) Resource {
	live := Clone(r)
	clearLocal(reflect.ValueOf(live).Elem())
	return live
}

func clearLocal(v reflect.Value) {
	for _, a := range SchemaOf(v.Type()).Attrs {
		f := v.FieldByIndex(a.Index)
		switch {
		case a.Class != ClassHost:
			f.SetZero()
		case a.Block == SingleBlock && !f.IsNil():
			clearLocal(f.Elem())
		case a.Block == LabelledBlock:
			for i := range f.Len() {
				clearLocal(f.Index(i))
			}
		}
	}
}
