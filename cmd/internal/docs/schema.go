package main

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"vmplan.dev/vmplan/config/resource"
)

// resourcesSchema is the JSON Schema of all kinds as resource.Plain gives them: a definition for each kind, and one for any.
func resourcesSchema() (string, error) {
	defs := map[string]any{}
	var kinds []map[string]string
	for _, k := range []resource.Kind{
		resource.KindHost, resource.KindPool, resource.KindNetwork, resource.KindImage, resource.KindVolume, resource.KindSeed, resource.KindVM,
	} {
		r, err := resource.New(k)
		if err != nil {
			return "", err
		}
		defs[string(k)] = structSchema(reflect.TypeOf(r).Elem())
		kinds = append(kinds, map[string]string{"$ref": "#/$defs/" + string(k)})
	}
	defs["any"] = map[string]any{"anyOf": kinds}
	text, err := json.MarshalIndent(map[string]any{
		"$schema": "https://json-schema.org/draft/2020-12/schema",
		"title":   "Objects of vmplan",
		"description": "The set fields of an object. Sizes are numbers of bytes, durations numbers of seconds, references addresses; the value of a sensitive field is null. " +
			"Written by make docs.",
		"$defs": defs,
	}, "", "  ")
	return string(text) + "\n", err
}

func structSchema(t reflect.Type) map[string]any {
	s, properties := resource.SchemaOf(t), map[string]any{}
	out := map[string]any{"type": "object", "additionalProperties": false, "properties": properties}
	if s.Label != nil {
		properties[s.LabelName] = map[string]any{"type": "string", "description": "The block's label."}
		out["required"] = []string{s.LabelName}
	}
	for _, a := range s.Attrs {
		var p map[string]any
		switch a.Block {
		case resource.SingleBlock:
			p = structSchema(a.Type)
		case resource.LabelledBlock:
			p = map[string]any{"type": "array", "items": structSchema(a.Type)}
		default:
			p = leafSchema(a.Type)
		}
		if a.Doc != "" {
			p["description"] = strings.TrimSpace(a.Doc)
		}
		properties[a.Name] = p
	}
	return out
}

// leafSchema is the schema of what resource.Value's Plain gives of the type.
func leafSchema(t reflect.Type) map[string]any {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	text := map[string]any{"type": "string"}
	switch t {
	case reflect.TypeFor[resource.Size]():
		return map[string]any{"type": "integer", "minimum": 0}
	case reflect.TypeFor[resource.Duration]():
		return map[string]any{"type": "number"}
	case reflect.TypeFor[resource.Secret]():
		return map[string]any{"type": "null"}
	case reflect.TypeFor[resource.Addr]():
		return text
	}
	switch t.Kind() {
	case reflect.String:
		return text
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Int:
		return map[string]any{"type": "integer"}
	case reflect.Slice:
		return map[string]any{"type": "array", "items": text}
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": text}
	}
	panic(fmt.Sprintf("docs: no schema for %v", t))
}
