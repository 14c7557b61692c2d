package resource

import "reflect"

// Plain gives the object in the types of JSON, for other programs: its set fields by name, with values as Value.Plain has
// them. A block is an object, and labelled blocks are a list of objects in their order, each with its label. sensitive lists
// the paths of fields whose values must not be shown, and which are nil in object. No object gives nil.
func Plain(r Resource) (object map[string]any, sensitive []string) {
	if r == nil {
		return nil, nil
	}
	object = plainStruct(reflect.ValueOf(r).Elem(), "", &sensitive)
	return object, sensitive
}

func plainStruct(v reflect.Value, prefix string, sensitive *[]string) map[string]any {
	schema, out := SchemaOf(v.Type()), map[string]any{}
	if schema.Label != nil {
		out[schema.LabelName] = labelOf(v)
	}
	for _, a := range schema.Attrs {
		f, path := v.FieldByIndex(a.Index), prefix+a.Name
		if f.IsZero() {
			continue
		}
		switch a.Block {
		case SingleBlock:
			out[a.Name] = plainStruct(f.Elem(), path+".", sensitive)
		case LabelledBlock:
			list := make([]any, f.Len())
			for i := range list {
				list[i] = plainStruct(f.Index(i), path+"."+labelOf(f.Index(i))+".", sensitive)
			}
			out[a.Name] = list
		default:
			value := ValueOf(leafValue(f))
			if value.IsSecret() {
				*sensitive = append(*sensitive, path)
			}
			out[a.Name] = value.Plain()
		}
	}
	return out
}
