package config

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"vmplan.dev/vmplan/config/internal/complete"
	"vmplan.dev/vmplan/config/resource"
)

// Origin says where the value of a field comes from that the object's own block does not set, such as "instancetype.small" or
// "appliance.shop", and where that was written, if it was. Text is empty when the object's block sets it: Sources.Range says where.
func (c *Config) Origin(a resource.Addr, path string) (text string, at hcl.Range) {
	o := c.eval.byID[a.Owner().String()]
	if o == nil || o.block == nil {
		return "default", hcl.Range{}
	}
	full := path
	switch {
	case a.Part == seedPart:
		full = joinPath("cloud_init", path)
	case a.Part != "":
		full = joinPath(a.Part, path)
	}
	if writtenAt(o.block.ranges, full) {
		return o.said(full), nearest(o.block.ranges, full)
	}
	if vm, ok := o.res.(*resource.VM); ok {
		if c.eval.inherited(vm, full) {
			return "clone of " + vm.Clone.String(), o.block.ranges["clone"]
		}
		if full == "disk."+complete.RootDisk+".image" || strings.HasSuffix(full, ".image") && a.Part != "" {
			return "image of " + a.Owner().String(), o.block.ranges["image"]
		}
		if text, at := c.hardwareOrigin(o, vm, full); text != "" {
			return text, at
		}
	}
	if decided(c.Set.Get(a), path) {
		return "decided by vmplan", hcl.Range{}
	}
	return "default", hcl.Range{}
}

// said tells what other block than the object's own sets the field at path, if it is another.
func (o *object) said(path string) string {
	for ; o.block.origins != nil && path != ""; path = path[:max(strings.LastIndexByte(path, '.'), 0)] {
		if _, ok := o.block.ranges[path]; ok {
			return o.block.origins[path]
		}
	}
	if a := o.scope.mod.inline; a != nil {
		return a.String()
	}
	return ""
}

// Usage says of an object by which appliance it is described, and for which instance of it. Instance is empty for what the
// instances share.
type Usage struct {
	Appliance, Instance     string
	ApplianceAt, InstanceAt hcl.Range
}

// Usage gives the appliance of the object at a; ok is false when it has none.
func (c *Config) Usage(a resource.Addr) (u Usage, ok bool) {
	o := c.eval.byID[a.Owner().String()]
	if o == nil {
		return Usage{}, false
	}
	in := o.scope
	if o.inner != nil {
		in = o.inner
	}
	if in == nil || in.call == nil || in.call.appliance == nil {
		return Usage{}, false
	}
	of := in.call.appliance
	u = Usage{Appliance: of.String(), ApplianceAt: of.header}
	if in.mod != of.shared {
		u.Instance, u.InstanceAt = in.path, in.call.header
	}
	return u, true
}

// writtenAt tells whether the block sets the field, or the block inside it that path names.
func writtenAt(ranges map[string]hcl.Range, path string) bool {
	for p := range ranges {
		if p == path || strings.HasPrefix(p, path+".") {
			return true
		}
	}
	return false
}

// hardwareOrigin says where a field of a vm comes from that hardware fills in; nothing for other fields and for defaults.
func (c *Config) hardwareOrigin(o *object, vm *resource.VM, path string) (text string, at hcl.Range) {
	attr := path
	switch {
	case strings.HasPrefix(path, diskPart) && strings.HasSuffix(path, ".bus"):
		attr = "disk_bus"
	case strings.HasPrefix(path, "nic.") && strings.HasSuffix(path, ".model"):
		attr = "nic_model"
	}
	for _, of := range []struct {
		kind resource.Kind
		id   string
	}{{kindInstancetype, vm.Instancetype}, {kindPreference, vm.Preference}, {kindPreference, o.scope.preferenceID(complete.DefaultPreference)}, {kindPreference, builtinDefault}} {
		from := c.eval.byID[of.id]
		if from == nil || !sets(from.value, attr) {
			continue
		}
		text, at := string(of.kind)+"."+from.addr.Name+from.addr.Key, hcl.Range{}
		if from.block == nil {
			text += " (built in)"
		} else {
			at = from.at(attr)
		}
		return c.namedBy(o, vm, of.kind, of.id, text, at)
	}
	minimum := map[string]string{"memory": "min_memory", "vcpus": "min_vcpus", "size": "min_disk"}[path[strings.LastIndexByte(path, '.')+1:]]
	if image := c.eval.imageObject(vm.Image); image != nil && minimum != "" && !image.block.ranges[minimum].Empty() {
		if f := c.fieldText(o, path); f == c.fieldText(image, minimum) {
			return minimum + " of " + image.addr.String(), image.at(minimum)
		}
	}
	return "", hcl.Range{}
}

// builtinDefault is the id of the preference that holds when nothing else does.
const builtinDefault = builtinPrefix + string(kindPreference) + "." + complete.DefaultPreference

// namedBy adds to the origin text, which is at a place of its own or built in, that the vm's image chose it, if it did.
func (c *Config) namedBy(o *object, vm *resource.VM, kind resource.Kind, id, text string, at hcl.Range) (string, hcl.Range) {
	image := c.eval.imageObject(vm.Image)
	if image == nil || writtenAt(o.block.ranges, string(kind)) {
		return text, at
	}
	img := image.res.(*resource.Image)
	if chosen := map[resource.Kind]string{kindInstancetype: img.Instancetype, kindPreference: img.Preference}[kind]; chosen != id {
		return text, at
	}
	if !at.Empty() {
		text += " " + place(at)
	}
	if writtenAt(image.block.ranges, string(kind)) {
		return text + ", named by " + image.addr.String(), image.at(string(kind))
	}
	return fmt.Sprintf("%s, for the os of %s", text, image.addr), image.at("os")
}

// sets tells whether an instancetype or preference sets the attribute.
func sets(value any, attr string) bool {
	v := reflect.ValueOf(value).Elem()
	a := resource.SchemaOf(v.Type()).Attr(attr)
	return a != nil && !v.FieldByIndex(a.Index).IsZero()
}

// fieldText is the value of an object's field as people read it.
func (c *Config) fieldText(o *object, path string) string {
	for _, f := range resource.Fields(o.res) {
		if f.Path == path {
			return resource.Format(f.Value)
		}
	}
	return ""
}

// decided tells whether vmplan itself decides the field.
func decided(r resource.Resource, path string) bool {
	if r == nil {
		return false
	}
	if _, ok := r.(*resource.VM); ok && (path == "uuid" || strings.HasPrefix(path, "nic.") && strings.HasSuffix(path, ".mac")) {
		return true
	}
	t := reflect.TypeOf(r).Elem()
	for {
		name, rest, more := strings.Cut(path, ".")
		a := resource.SchemaOf(t).Attr(name)
		switch {
		case a == nil:
			return false
		case a.Computed || !more:
			return a.Computed
		case a.Block == resource.LabelledBlock:
			_, rest, _ = strings.Cut(rest, ".")
		}
		t, path = a.Type, rest
		if path == "" || a.Block == resource.NotBlock {
			return false
		}
	}
}
