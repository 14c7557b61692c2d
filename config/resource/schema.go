package resource

import (
	"reflect"
	"slices"
	"strings"
	"sync"
)

// Attr describes one attribute or block of a struct of this package, read off its tags.
type Attr struct {
	Name     string // in the language, in state and in plan JSON
	Doc      string
	Class    Class
	Required bool
	Computed bool
	Sealed   bool     // may hold sensitive values
	Refs     []Kind   // kinds that an Addr (or, for input, a label) may point at
	Enum     []string // allowed texts
	// Block tells how the field is written: not a block, one block, or any number of labelled ones.
	Block BlockForm
	// Type is the field's type; for blocks that of the struct inside.
	Type  reflect.Type
	Index []int // of the field, for reflect.Value.FieldByIndex
}

// Class says what a field's desired value is compared with.
type Class uint8

// The classes.
const (
	ClassHost  Class = iota // with the live object
	ClassLocal              // with the record
	ClassInput              // never: config moves it elsewhere
	ClassPower              // with the live power state, by the planner
)

// BlockForm is how a block field is written.
type BlockForm uint8

// The forms.
const (
	NotBlock      BlockForm = iota
	SingleBlock             // name { … }
	LabelledBlock           // name "label" { … }
)

// Schema describes a struct type.
type Schema struct {
	Attrs     []Attr // in the order of the struct, Meta's first
	Label     []int  // index of the label field, nil when there is none
	LabelName string // what the label is called in JSON
}

// Attr gives the attribute or block called name, or nil.
func (s *Schema) Attr(name string) *Attr {
	i := slices.IndexFunc(s.Attrs, func(a Attr) bool { return a.Name == name })
	if i < 0 {
		return nil
	}
	return &s.Attrs[i]
}

var schemas sync.Map // reflect.Type → *Schema

// SchemaOf describes the struct type t (not a pointer) of this package.
func SchemaOf(t reflect.Type) *Schema {
	if s, ok := schemas.Load(t); ok {
		return s.(*Schema)
	}
	s := &Schema{}
	for _, f := range reflect.VisibleFields(t) {
		if f.Anonymous || !f.IsExported() || f.Tag.Get("schema") == "-" {
			continue
		}
		attr, label := readTag(f)
		if label {
			s.Label, s.LabelName = f.Index, attr.Name
			continue
		}
		s.Attrs = append(s.Attrs, attr)
	}
	actual, _ := schemas.LoadOrStore(t, s)
	return actual.(*Schema)
}

func readTag(f reflect.StructField) (a Attr, label bool) {
	a.Name, _, _ = strings.Cut(f.Tag.Get("json"), ",")
	a.Doc, a.Type, a.Index = f.Tag.Get("doc"), f.Type, f.Index
	for opt := range strings.SplitSeq(f.Tag.Get("schema"), ",") {
		name, arg, _ := strings.Cut(opt, "=")
		switch name {
		case "":
		case "label":
			label = true
		case "required":
			a.Required = true
		case "computed":
			a.Computed = true
		case "sealed":
			a.Sealed = true
		case "local":
			a.Class = ClassLocal
		case "input":
			a.Class = ClassInput
		case "power":
			a.Class = ClassPower
		case "ref":
			for k := range strings.SplitSeq(arg, "|") {
				a.Refs = append(a.Refs, Kind(k))
			}
		case "enum":
			a.Enum = strings.Split(arg, "|")
		default:
			panic("resource: field " + f.Name + ": unknown schema option " + name)
		}
	}
	switch elem := f.Type; {
	case elem.Kind() == reflect.Pointer && elem.Elem().Kind() == reflect.Struct:
		a.Block, a.Type = SingleBlock, elem.Elem()
	case elem.Kind() == reflect.Slice && elem.Elem().Kind() == reflect.Struct && elem.Elem() != addrType:
		a.Block, a.Type = LabelledBlock, elem.Elem()
	}
	return a, label
}

var (
	addrType   = reflect.TypeFor[Addr]()
	secretType = reflect.TypeFor[Secret]()
)
