package view

import (
	"os"
	"reflect"
	"strings"
	"testing"
)

// The JSON forms are a contract: each of their keys is documented.
func TestEveryKeyOfTheJSONIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../../../docs/json.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[reflect.Type]bool{}
	var check func(reflect.Type)
	check = func(typ reflect.Type) {
		for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice || typ.Kind() == reflect.Map {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct || typ.PkgPath() != reflect.TypeFor[planJSON]().PkgPath() || seen[typ] {
			return
		}
		seen[typ] = true
		for i := range typ.NumField() {
			name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
			if name != "" && !strings.Contains(string(text), "`"+name+"`") {
				t.Errorf("docs/json.md does not mention `%s` of %s", name, typ.Name())
			}
			check(typ.Field(i).Type)
		}
	}
	for _, form := range []any{planJSON{}, eventLine{}, summaryLine{}, outputsLine{}, diagnosticsJSON{}, objectJSON{}} {
		check(reflect.TypeOf(form))
	}
	if !strings.Contains(string(text), "`"+formatVersion+"`") {
		t.Errorf("docs/json.md does not say format_version %s", formatVersion)
	}
	if len(seen) < 12 {
		t.Errorf("only %d forms were looked at", len(seen))
	}
}
