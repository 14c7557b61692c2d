package config

import (
	"maps"
	"reflect"
	"slices"

	"vmplan.dev/vmplan/config/internal/complete"
	"vmplan.dev/vmplan/config/resource"
)

// Kinds of blocks that only fill in the fields of vms: they do not get into the Set.
const (
	kindInstancetype resource.Kind = "instancetype"
	kindPreference   resource.Kind = "preference"
)

// BlockType describes a resource block of the language, for the reference pages.
type BlockType struct {
	Kind resource.Kind
	Type reflect.Type // the struct it is decoded to, for resource.SchemaOf
	// Barred are attributes of the struct that the block does not take.
	Barred []string
	// Builtins are pointers to what can be referred to without being declared, by name.
	Builtins map[string]any
}

// PlainBlocks lists the types of blocks that make no object.
func PlainBlocks() []string {
	return []string{"vmplan", "variable", "locals", "output", moduleWord, applianceBlock, checkBlock, movedBlock, removedBlock, importBlock}
}

// BlockTypes gives the resource blocks in the order of their names.
func BlockTypes() []BlockType {
	var out []BlockType
	for _, kind := range slices.Sorted(maps.Keys(blockTypes)) {
		b := BlockType{Kind: kind, Type: blockTypes[kind], Barred: barred[kind], Builtins: map[string]any{}}
		switch kind {
		case kindInstancetype:
			for name, v := range complete.BuiltinInstancetypes {
				b.Builtins[name] = &v
			}
		case kindPreference:
			for name, v := range complete.BuiltinPreferences {
				b.Builtins[name] = &v
			}
		}
		out = append(out, b)
	}
	return out
}
