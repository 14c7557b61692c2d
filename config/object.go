package config

import (
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"vmplan.dev/vmplan/config/internal/complete"
	"vmplan.dev/vmplan/config/resource"
)

// idName is the attribute by which a value refers to the object it stands for.
const idName = "id"

// reference reads an attribute that refers to an object: its value is that object, which carries its id.
func (e *evaluator) reference(a *resource.Attr, v cty.Value) (reflect.Value, *hcl.Diagnostic) {
	kinds, wanted := make([]string, len(a.Refs)), make([]string, len(a.Refs))
	for i, k := range a.Refs {
		kinds[i], wanted[i] = string(k), article(k)
	}
	want := strings.Join(wanted, " or ")
	example := kinds[0] + ".NAME"
	t := v.Type()
	switch {
	case t == cty.String:
		text := v.AsString()
		how := example
		for _, k := range kinds {
			if e.byID[text] != nil && strings.HasPrefix(text, k+".") {
				how = text
			} else if e.byID[k+"."+text] != nil {
				how = k + "." + text
			}
		}
		return reflect.Value{}, problem("Text in place of a reference", "refers to %s, and %q is a text. Write it without quotes: %s = %s.", want, text, a.Name, how)
	case isMany(v):
		return reflect.Value{}, problem("Instance not named", "refers to %s, and this is all of a block with count or for_each. Say which one, such as %s[each.key].", want, example)
	case !t.IsObjectType() || !t.HasAttribute(idName) || t.AttributeType(idName) != cty.String || v.GetAttr(idName).IsNull():
		return reflect.Value{}, problem("Not a reference", "refers to %s, written %s, and this is %s.", want, example, t.FriendlyName())
	}
	id := v.GetAttr(idName).AsString()
	if disk, ok := e.diskAt(id); ok {
		if slices.Contains(a.Refs, kindDisk) {
			return reflect.ValueOf(disk), nil
		}
		return reflect.Value{}, problem("Reference of the wrong kind", "refers to %s, and %s is a disk of a vm.", want, id)
	}
	o := e.byID[id]
	if o == nil {
		return reflect.Value{}, problem("Not a reference", "refers to %s, and there is none with the id %q.", want, id)
	}
	for _, k := range a.Refs {
		if o.addr.Kind != k {
			continue
		}
		switch {
		case a.Type == addrType:
			return reflect.ValueOf(o.addr), nil
		case k == resource.KindHost:
			return reflect.ValueOf(o.res.(*resource.Host).Label()), nil
		}
		return reflect.ValueOf(id), nil
	}
	return reflect.Value{}, problem("Reference of the wrong kind", "refers to %s, and %s is %s.", want, id, article(o.addr.Kind))
}

// isMany tells whether v is the map or tuple of the instances of a block.
func isMany(v cty.Value) bool {
	if t := v.Type(); !t.IsTupleType() && !t.IsMapType() && !t.IsObjectType() || t.IsObjectType() && t.HasAttribute(idName) || v.LengthInt() == 0 {
		return false
	}
	for it := v.ElementIterator(); it.Next(); {
		_, item := it.Element()
		t := item.Type()
		return t.IsObjectType() && t.HasAttribute(idName)
	}
	return false
}

// blockValue is what a block is in expressions: an object, with count a tuple of them, with for_each a map.
func (sc *scope) blockValue(b *block, from hcl.Range) cty.Value {
	objects, ok := sc.decodeBlock(b, from)
	if !ok {
		return cty.DynamicVal
	}
	return sc.demand("value of "+string(b.kind)+"."+b.name, from, func() cty.Value {
		values, keys := make([]cty.Value, len(objects)), make([]string, len(objects))
		for i, o := range objects {
			values[i], keys[i] = sc.eval.objectValue(o), o.addr.Key
		}
		return repeated(b.repeat, keys, values)
	})
}

// objectValue is an object in expressions: its attributes as far as they are decided, and its id.
func (e *evaluator) objectValue(o *object) cty.Value {
	if len(o.bad) > 0 {
		return cty.DynamicVal
	}
	attrs := structValue(reflect.ValueOf(o.value).Elem())
	attrs[idName] = cty.StringVal(o.id)
	if vm, ok := o.value.(*resource.VM); ok {
		e.addNICs(vm, attrs)
		nameDisks(vm, attrs)
	}
	return cty.ObjectVal(attrs)
}

// addNICs puts the addresses of a vm's nics in place, and the first one's as that of the vm.
func (e *evaluator) addNICs(vm *resource.VM, attrs map[string]cty.Value) {
	e.nics.looked = true
	attrs["address"] = cty.NullVal(cty.String)
	nics := attrs["nic"].AsValueMap()
	for i := range vm.NICs {
		nic := &vm.NICs[i]
		fields := nics[nic.Label].AsValueMap()
		fields["address"] = e.nicAddress(vm, nic)
		nics[nic.Label] = cty.ObjectVal(fields)
		if i == 0 {
			attrs["address"] = fields["address"]
		}
	}
	if len(nics) > 0 {
		attrs["nic"] = cty.ObjectVal(nics)
	}
}

// kindDisk stands for the disks of vms in schemas, which are objects of no kind of their own.
const kindDisk resource.Kind = "disk"

// nameDisks makes the disks of a vm something to refer to: vm.web.disk.root.
func nameDisks(vm *resource.VM, attrs map[string]cty.Value) {
	disks := attrs["disk"].AsValueMap()
	for label, disk := range disks {
		fields := disk.AsValueMap()
		fields[idName] = cty.StringVal(vm.Addr.WithPart(diskPart + label).String())
		disks[label] = cty.ObjectVal(fields)
	}
	if len(disks) > 0 {
		attrs["disk"] = cty.ObjectVal(disks)
	}
}

// diskAt finds the disk of a vm by its id.
func (e *evaluator) diskAt(id string) (resource.Addr, bool) {
	a, err := resource.ParseAddr(id)
	label, isDisk := strings.CutPrefix(a.Part, diskPart)
	owner := e.byID[a.Owner().String()]
	if err != nil || !isDisk || owner == nil {
		return resource.Addr{}, false
	}
	vm, ok := owner.res.(*resource.VM)
	return a, ok && vm.Disk(label) != nil
}

// nicAddress is the address of a nic as far as it is known: fixed, decided, recorded or, in outputs after apply, live.
func (e *evaluator) nicAddress(vm *resource.VM, nic *resource.NIC) cty.Value {
	switch {
	case nic.Address != "" && nic.Address != complete.AutoAddress:
		return cty.StringVal(nic.Address)
	case nic.Address == complete.AutoAddress:
		if a, ok := e.decider(nil).DecidedAddress(vm, nic); ok {
			return cty.StringVal(a)
		}
		e.nics.asked = true
	}
	for _, a := range e.live[vm.Addr][nic.Label] {
		if !strings.Contains(a, ":") {
			return cty.StringVal(a)
		}
	}
	if all := e.live[vm.Addr][nic.Label]; len(all) > 0 {
		return cty.StringVal(all[0])
	}
	return cty.UnknownVal(cty.String).Mark(guestMark(vm.Addr.String() + ".nic." + nic.Label))
}

// visible tells whether expressions see an attribute: not secrets, nor what is decided only after they are evaluated.
func visible(a *resource.Attr) bool {
	return a.Type != secretType && !a.Sealed && (!a.Computed || a.Name == "uuid")
}

// structValue gives the attributes of a struct that expressions see; what is not set is null.
func structValue(v reflect.Value) map[string]cty.Value {
	schema := resource.SchemaOf(v.Type())
	attrs := make(map[string]cty.Value, len(schema.Attrs)+2)
	for i := range schema.Attrs {
		a := &schema.Attrs[i]
		f := v.FieldByIndex(a.Index)
		switch {
		case !visible(a):
		case a.Block == resource.SingleBlock:
			attrs[a.Name] = cty.NullVal(cty.DynamicPseudoType)
			if !f.IsNil() {
				attrs[a.Name] = cty.ObjectVal(structValue(f.Elem()))
			}
		case a.Block == resource.LabelledBlock:
			byLabel := map[string]cty.Value{}
			for j := range f.Len() {
				item := f.Index(j)
				byLabel[item.FieldByIndex(resource.SchemaOf(item.Type()).Label).String()] = cty.ObjectVal(structValue(item))
			}
			attrs[a.Name] = cty.ObjectVal(byLabel)
		default:
			attrs[a.Name] = leafValue(a, f)
		}
	}
	return attrs
}

var refValueType = cty.Object(map[string]cty.Type{idName: cty.String})

func leafValue(a *resource.Attr, f reflect.Value) cty.Value {
	if f.Kind() == reflect.Pointer {
		if f.IsNil() {
			return cty.NullVal(cty.Bool)
		}
		f = f.Elem()
	}
	switch x := f.Interface().(type) {
	case resource.Addr:
		return refValue(x.String())
	case []resource.Addr:
		return cty.NullVal(cty.DynamicPseudoType) // depends_on is not a value
	case []string:
		return textList(x)
	case map[string]string:
		return textMap(x)
	case resource.Size:
		return optional(sizeText(x))
	case resource.Duration:
		return optional(durationText(x))
	case bool:
		return cty.BoolVal(x)
	case int:
		if x == 0 {
			return cty.NullVal(cty.Number)
		}
		return cty.NumberIntVal(int64(x))
	case string:
		switch {
		case len(a.Refs) == 0 || x == "":
		case a.Refs[0] == resource.KindHost:
			return refValue("host." + x)
		default:
			return refValue(x)
		}
		if len(a.Refs) > 0 {
			return cty.NullVal(refValueType)
		}
		return optional(x)
	}
	panic("config: attribute " + a.Name + " has a type that expressions do not know: " + f.Type().String())
}

func refValue(id string) cty.Value {
	if id == "" {
		return cty.NullVal(refValueType)
	}
	return cty.ObjectVal(map[string]cty.Value{idName: cty.StringVal(id)})
}

func optional(text string) cty.Value {
	if text == "" {
		return cty.NullVal(cty.String)
	}
	return cty.StringVal(text)
}

func textList(texts []string) cty.Value {
	if len(texts) == 0 {
		return cty.NullVal(cty.List(cty.String))
	}
	items := make([]cty.Value, len(texts))
	for i, t := range texts {
		items[i] = cty.StringVal(t)
	}
	return cty.ListVal(items)
}

func textMap(texts map[string]string) cty.Value {
	if len(texts) == 0 {
		return cty.NullVal(cty.Map(cty.String))
	}
	items := make(map[string]cty.Value, len(texts))
	for key, t := range texts {
		items[key] = cty.StringVal(t)
	}
	return cty.MapVal(items)
}

// sizeText writes a size so that it reads back as the same: "4GiB", or in bytes.
func sizeText(s resource.Size) string {
	if s == 0 {
		return ""
	}
	for _, unit := range []struct {
		name string
		size resource.Size
	}{{"TiB", resource.TiB}, {"GiB", resource.GiB}, {"MiB", resource.MiB}, {"KiB", resource.KiB}} {
		if s%unit.size == 0 {
			return strconv.FormatUint(uint64(s/unit.size), 10) + unit.name
		}
	}
	return strconv.FormatUint(uint64(s), 10) + "B"
}

func durationText(d resource.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}

func isBuiltin(name string) bool {
	kind, rest, _ := strings.Cut(name, ".")
	switch resource.Kind(kind) {
	case kindInstancetype:
		_, ok := complete.BuiltinInstancetypes[rest]
		return ok
	case kindPreference:
		_, ok := complete.BuiltinPreferences[rest]
		return ok
	}
	return false
}

// builtinPrefix stands before the id of an instancetype or preference that no file declares: a file may declare one of the
// same name, for its own module.
const builtinPrefix = "builtin."

func builtinValue(name string) cty.Value {
	kind, rest, _ := strings.Cut(name, ".")
	var attrs map[string]cty.Value
	if resource.Kind(kind) == kindInstancetype {
		attrs = structValue(reflect.ValueOf(complete.BuiltinInstancetypes[rest]))
	} else {
		attrs = structValue(reflect.ValueOf(complete.BuiltinPreferences[rest]))
	}
	attrs[idName] = cty.StringVal(builtinPrefix + name)
	return cty.ObjectVal(attrs)
}

// addBuiltins makes the built-in instancetypes and preferences known to references.
func (e *evaluator) addBuiltins() {
	add := func(kind resource.Kind, name string, value any) {
		id := builtinPrefix + string(kind) + "." + name
		e.byID[id] = &object{addr: resource.Addr{Kind: kind, Name: name}, id: id, value: value}
	}
	for name, t := range complete.BuiltinInstancetypes {
		add(kindInstancetype, name, &t)
	}
	for name, p := range complete.BuiltinPreferences {
		add(kindPreference, name, &p)
	}
}
