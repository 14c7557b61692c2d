package resource

import (
	"reflect"
	"strings"
)

// Keep gives the field or block of to at path (as Field and Change name it) the value it has in from, which is of the same
// kind; a labelled block that only one of them has comes or goes as a whole. It tells whether there is such a field.
func Keep(to, from Resource, path string) bool {
	return keep(reflect.ValueOf(to).Elem(), reflect.ValueOf(from).Elem(), path)
}

func keep(to, from reflect.Value, path string) bool {
	name, rest, _ := strings.Cut(path, ".")
	attr := SchemaOf(to.Type()).Attr(name)
	if attr == nil {
		return false
	}
	t, f := to.FieldByIndex(attr.Index), from.FieldByIndex(attr.Index)
	switch {
	case rest == "":
		t.Set(cloneValue(f))
		return true
	case attr.Block == SingleBlock && (t.IsNil() || f.IsNil()):
		t.Set(cloneValue(f))
		return true
	case attr.Block == SingleBlock:
		return keep(t.Elem(), f.Elem(), rest)
	case attr.Block == LabelledBlock:
		label, inner, _ := strings.Cut(rest, ".")
		return keepLabelled(t, f, label, inner)
	}
	return false
}

func keepLabelled(to, from reflect.Value, label, inner string) bool {
	t, f := byLabel(to, label), byLabel(from, label)
	switch {
	case t.IsNil() && f.IsNil():
		return true
	case f.IsNil():
		kept := reflect.MakeSlice(to.Type(), 0, to.Len())
		for i := range to.Len() {
			if labelOf(to.Index(i)) != label {
				kept = reflect.Append(kept, to.Index(i))
			}
		}
		to.Set(kept)
		return true
	case t.IsNil():
		to.Set(reflect.Append(to, cloneValue(f.Elem())))
		return true
	case inner == "":
		t.Elem().Set(cloneValue(f.Elem()))
		return true
	}
	return keep(t.Elem(), f.Elem(), inner)
}
