package resource

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"strings"
)

// Field is one set leaf of an object: its path ("memory", "disk.root.bus") and value.
type Field struct {
	Path  string
	Value any // string, bool, int, Size, Duration, Secret, Addr or a slice of those
	Class Class
}

// Change is one difference between two objects. Where a whole block came or went, Path is the block's ("disk.data"), and
// Old or New is nil with the other a pointer to the block's struct.
type Change struct {
	Path  string
	Old   any // nil when not set
	New   any // nil when not set
	Class Class
}

// Fields gives the set leaves of r in schema order, inputs and power included.
func Fields(r Resource) []Field {
	var out []Field
	walk(reflect.ValueOf(r).Elem(), "", ClassHost, func(path string, class Class, v reflect.Value) {
		out = append(out, Field{Path: path, Value: leafValue(v), Class: class})
	})
	return out
}

// BlockFields gives the set leaves of a block as a Change holds it, with paths relative to it.
func BlockFields(block any) []Field {
	var out []Field
	walk(reflect.Indirect(reflect.ValueOf(block)), "", ClassHost, func(path string, class Class, v reflect.Value) {
		out = append(out, Field{Path: path, Value: leafValue(v), Class: class})
	})
	return out
}

func walk(v reflect.Value, prefix string, class Class, leaf func(string, Class, reflect.Value)) {
	for _, a := range SchemaOf(v.Type()).Attrs {
		f, path, c := v.FieldByIndex(a.Index), prefix+a.Name, max(a.Class, class)
		if f.IsZero() {
			continue
		}
		switch a.Block {
		case SingleBlock:
			if f.Elem().IsZero() {
				leaf(path, c, reflect.ValueOf(true)) // that the block is there is all it says
			}
			walk(f.Elem(), path+".", c, leaf)
		case LabelledBlock:
			for i := range f.Len() {
				walk(f.Index(i), path+"."+labelOf(f.Index(i))+".", c, leaf)
			}
		default:
			leaf(path, c, f)
		}
	}
}

func labelOf(v reflect.Value) string {
	return v.FieldByIndex(SchemaOf(v.Type()).Label).String()
}

func leafValue(v reflect.Value) any {
	if v.IsZero() {
		return nil
	}
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	return v.Interface()
}

// Diff lists the differences between before and after, which are of one kind, in schema order. Inputs and power are left out.
func Diff(before, after Resource) []Change {
	var out []Change
	diffStruct(reflect.ValueOf(before).Elem(), reflect.ValueOf(after).Elem(), "", ClassHost, &out)
	return out
}

func diffStruct(b, a reflect.Value, prefix string, class Class, out *[]Change) {
	for _, attr := range SchemaOf(b.Type()).Attrs {
		c := max(attr.Class, class)
		if c >= ClassInput {
			continue
		}
		x, y, path := b.FieldByIndex(attr.Index), a.FieldByIndex(attr.Index), prefix+attr.Name
		switch attr.Block {
		case SingleBlock:
			diffBlock(x, y, path, c, out)
		case LabelledBlock:
			xs, ys := indexLabels(x), indexLabels(y)
			for i := range y.Len() {
				label := labelOf(y.Index(i))
				diffBlock(xs.find(label), y.Index(i).Addr(), path+"."+label, c, out)
			}
			for i := range x.Len() {
				if label := labelOf(x.Index(i)); ys.find(label).IsNil() {
					diffBlock(x.Index(i).Addr(), ys.find(label), path+"."+label, c, out)
				}
			}
		default:
			if !equalLeaf(x, y) {
				*out = append(*out, Change{Path: path, Old: leafValue(x), New: leafValue(y), Class: c})
			}
		}
	}
}

// diffBlock compares two pointers to blocks, either of which may be nil.
func diffBlock(x, y reflect.Value, path string, c Class, out *[]Change) {
	switch {
	case x.IsNil() && y.IsNil():
	case x.IsNil():
		*out = append(*out, Change{Path: path, New: y.Interface(), Class: c})
	case y.IsNil():
		*out = append(*out, Change{Path: path, Old: x.Interface(), Class: c})
	default:
		diffStruct(x.Elem(), y.Elem(), path+".", c, out)
	}
}

// byLabel gives a pointer to the element of slice v with the label, or a nil pointer.
func byLabel(v reflect.Value, label string) reflect.Value {
	for i := range v.Len() {
		if labelOf(v.Index(i)) == label {
			return v.Index(i).Addr()
		}
	}
	return reflect.Zero(reflect.PointerTo(v.Type().Elem()))
}

// labelIndex finds the blocks of a slice by label; in a long one without looking at each.
type labelIndex struct {
	blocks reflect.Value
	at     map[string]int
}

func indexLabels(v reflect.Value) labelIndex {
	x := labelIndex{blocks: v}
	if v.Len() > 8 {
		x.at = make(map[string]int, v.Len())
		for i := range v.Len() {
			if label := labelOf(v.Index(i)); x.find(label).IsNil() {
				x.at[label] = i
			}
		}
	}
	return x
}

// find is byLabel.
func (x labelIndex) find(label string) reflect.Value {
	if x.at == nil {
		return byLabel(x.blocks, label)
	}
	if i, ok := x.at[label]; ok {
		return x.blocks.Index(i).Addr()
	}
	return reflect.Zero(reflect.PointerTo(x.blocks.Type().Elem()))
}

func equalLeaf(x, y reflect.Value) bool {
	switch x.Kind() {
	case reflect.Pointer:
		return x.IsNil() == y.IsNil() && (x.IsNil() || x.Elem().Equal(y.Elem()))
	case reflect.Struct:
		if x.Type() == secretType {
			return x.Interface().(Secret).hash == y.Interface().(Secret).hash
		}
		return x.Equal(y)
	case reflect.Slice, reflect.Map:
		return x.Len() == y.Len() && (x.Len() == 0 || reflect.DeepEqual(x.Interface(), y.Interface()))
	}
	return x.Equal(y)
}

// Overlay makes the two sides of the three-way comparison, whose Diff is what an apply would change. before is live, with
// vmplan's own (local) fields as recorded. after is the same, with what desired sets put over it and what only recorded
// set taken away; all else stays as it is live, blocks that nobody declared included. recorded may be nil. The results
// share nothing with the arguments.
func Overlay(desired, recorded, live Resource) (before, after Resource) {
	before, after = Clone(live), Clone(live)
	d, r := reflect.ValueOf(desired).Elem(), reflect.Value{}
	if recorded != nil {
		r = reflect.ValueOf(recorded).Elem()
	}
	overlay(reflect.ValueOf(before).Elem(), reflect.ValueOf(after).Elem(), d, r, ClassHost)
	before.Base().Addr, after.Base().Addr = desired.Base().Addr, desired.Base().Addr
	return before, after
}

// overlay works on structs of one type; r is invalid when nothing is recorded.
func overlay(b, a, d, r reflect.Value, class Class) {
	for _, attr := range SchemaOf(a.Type()).Attrs {
		fb, fa, fd := b.FieldByIndex(attr.Index), a.FieldByIndex(attr.Index), d.FieldByIndex(attr.Index)
		fr := reflect.Zero(fd.Type())
		if r.IsValid() {
			fr = r.FieldByIndex(attr.Index)
		}
		switch c := max(attr.Class, class); {
		case c != ClassHost:
			fb.Set(cloneValue(fr))
			fa.Set(cloneValue(fd))
		case attr.Block == LabelledBlock:
			overlayLabelled(fb, fa, fd, fr)
		case attr.Block == SingleBlock && !fd.IsNil() && !fa.IsNil():
			overlay(fb.Elem(), fa.Elem(), fd.Elem(), fr.Elem(), c)
		case !fd.IsZero() || !fr.IsZero():
			fa.Set(cloneValue(fd))
		}
	}
}

func overlayLabelled(fb, fa, fd, fr reflect.Value) {
	before, live, desired, recorded := indexLabels(fb), indexLabels(fa), indexLabels(fd), indexLabels(fr)
	merged := reflect.MakeSlice(fa.Type(), 0, fd.Len())
	for i := range fd.Len() {
		label := labelOf(fd.Index(i))
		elem := reflect.New(fd.Type().Elem()).Elem()
		elem.Set(cloneValue(fd.Index(i)))
		if l := live.find(label); !l.IsNil() {
			elem.Set(l.Elem())
			overlay(before.find(label).Elem(), elem, fd.Index(i), recorded.find(label).Elem(), ClassHost)
		}
		merged = reflect.Append(merged, elem)
	}
	for i := range fa.Len() {
		label := labelOf(fa.Index(i))
		if desired.find(label).IsNil() && recorded.find(label).IsNil() {
			merged = reflect.Append(merged, fa.Index(i))
		}
	}
	if merged.Len() > 0 || fa.Len() > 0 {
		fa.Set(merged)
	}
}

// Clone makes a deep copy.
func Clone[R Resource](r R) R {
	return cloneValue(reflect.ValueOf(r)).Interface().(R)
}

func cloneValue(v reflect.Value) reflect.Value {
	c := reflect.New(v.Type()).Elem()
	c.Set(v)
	detach(c)
	return c
}

// detach gives the copy v its own of what it shares with what it was copied from.
func detach(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			p := reflect.New(v.Type().Elem())
			p.Elem().Set(v.Elem())
			detach(p.Elem())
			v.Set(p)
		}
	case reflect.Slice:
		if v.IsNil() {
			return
		}
		s := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		reflect.Copy(s, v)
		if shares(v.Type().Elem()) {
			for i := range s.Len() {
				detach(s.Index(i))
			}
		}
		v.Set(s)
	case reflect.Map:
		if texts, ok := v.Interface().(map[string]string); ok {
			v.Set(reflect.ValueOf(maps.Clone(texts)))
		}
	case reflect.Struct:
		if v.Type() == secretType || v.Type() == addrType {
			return
		}
		for i := range v.NumField() {
			switch f := v.Field(i); f.Kind() {
			case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Struct:
				detach(f)
			}
		}
	}
}

// shares tells whether a plain copy of a value of type t shares memory with it.
func shares(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		return true
	case reflect.Struct:
		if t == secretType || t == addrType {
			return false
		}
		for i := range t.NumField() {
			if shares(t.Field(i).Type) {
				return true
			}
		}
	}
	return false
}

// Secrets collects the texts of all secrets of r that are known in clear, by hash.
func Secrets(r Resource, into map[string]string) {
	eachSecret(reflect.ValueOf(r), func(s *Secret) {
		if s.clear != nil {
			into[s.hash] = *s.clear
		}
	})
}

// Reveal gives decoded secrets of r their texts again, by hash, and lists the hashes it has no text for.
func Reveal(r Resource, texts map[string]string) (missing []string) {
	eachSecret(reflect.ValueOf(r), func(s *Secret) {
		switch text, ok := texts[s.hash]; {
		case s.hash == "":
		case ok:
			s.clear = &text
		default:
			missing = append(missing, s.hash)
			s.clear = nil
		}
	})
	return missing
}

func eachSecret(v reflect.Value, do func(*Secret)) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			eachSecret(v.Elem(), do)
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Struct {
			for i := range v.Len() {
				eachSecret(v.Index(i), do)
			}
		}
	case reflect.Struct:
		if s, ok := v.Addr().Interface().(*Secret); ok {
			do(s)
		} else if v.Type() != addrType {
			for i := range v.NumField() {
				eachSecret(v.Field(i), do)
			}
		}
	}
}

// Format writes a field's value for people: sizes with a unit, texts quoted and URLs without passwords and tokens, secrets as "(sensitive)", nil as "(not set)".
func Format(v any) string {
	switch v := v.(type) {
	case nil:
		return "(not set)"
	case string:
		return fmt.Sprintf("%q", redactText(v))
	case Word:
		return string(v)
	case present:
		return "{…}"
	case []string, map[string]string:
		text, _ := json.Marshal(v)
		return string(text)
	case []Addr:
		parts := make([]string, len(v))
		for i, a := range v {
			parts[i] = a.String()
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case fmt.Stringer:
		return v.String()
	}
	if rv := reflect.ValueOf(v); rv.Kind() == reflect.Pointer {
		return "{…}"
	}
	return fmt.Sprint(v)
}
