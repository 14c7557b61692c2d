package resource

import "reflect"

// FillComputed gives a copy of r with the computed attributes that r lacks and found has, such as an image's digest. They
// are of one kind; nothing else of found counts.
func FillComputed(r, found Resource) Resource {
	filled := Clone(r)
	to, from := reflect.ValueOf(filled).Elem(), reflect.ValueOf(found).Elem()
	for _, a := range SchemaOf(to.Type()).Attrs {
		if f := to.FieldByIndex(a.Index); a.Computed && f.IsZero() {
			f.Set(from.FieldByIndex(a.Index))
		}
	}
	return filled
}

// Inherit fills in what r leaves open, with what model of the same kind has: attributes that are not set, blocks that are
// missing, and what is open in blocks that both have. Labelled blocks stand in the order of model, then those of r alone.
func Inherit(r, model Resource) {
	inherit(reflect.ValueOf(r).Elem(), reflect.ValueOf(Clone(model)).Elem())
}

func inherit(to, from reflect.Value) {
	for _, a := range SchemaOf(to.Type()).Attrs {
		x, y := to.FieldByIndex(a.Index), from.FieldByIndex(a.Index)
		switch {
		case a.Block == LabelledBlock:
			inheritBlocks(x, y)
		case x.IsZero():
			x.Set(y)
		case a.Block == SingleBlock && !y.IsZero():
			inherit(x.Elem(), y.Elem())
		}
	}
}

func inheritBlocks(to, from reflect.Value) {
	all := reflect.MakeSlice(to.Type(), 0, to.Len()+from.Len())
	for i := range from.Len() {
		block := from.Index(i)
		if own := byLabel(to, labelOf(block)); !own.IsNil() {
			inherit(own.Elem(), block)
			block = own.Elem()
		}
		all = reflect.Append(all, block)
	}
	for i := range to.Len() {
		if byLabel(from, labelOf(to.Index(i))).IsNil() {
			all = reflect.Append(all, to.Index(i))
		}
	}
	if all.Len() > 0 {
		to.Set(all)
	}
}
