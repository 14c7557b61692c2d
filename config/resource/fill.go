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
