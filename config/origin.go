package config

import (
	"reflect"
	"strings"

	"github.com/hashicorp/hcl/v2"

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
		switch from, attr := sourceOfHardware(vm, full); {
		case full == "disk."+rootDisk+".image" || strings.HasSuffix(full, ".image") && a.Part != "":
			return "image of " + a.Owner().String(), o.block.ranges["image"]
		case attr != "":
			for _, id := range []string{from, string(kindPreference) + "." + defaultPreference} {
				if text, at, ok := c.origin(id, attr); ok {
					return text, at
				}
			}
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

// sourceOfHardware gives the instancetype or preference that a field of a vm may come from, and the attribute there.
func sourceOfHardware(vm *resource.VM, path string) (from, attr string) {
	switch path {
	case "vcpus", "max_vcpus", "memory", "max_memory":
		return vm.Instancetype, path
	case "machine", "firmware", "secure_boot", "cpu":
		return vm.Preference, path
	}
	switch {
	case strings.HasPrefix(path, diskPart) && strings.HasSuffix(path, ".bus"):
		return vm.Preference, "disk_bus"
	case strings.HasPrefix(path, "nic.") && strings.HasSuffix(path, ".model"):
		return vm.Preference, "nic_model"
	}
	return "", ""
}

// origin tells whether the instancetype or preference sets the attribute, and where.
func (c *Config) origin(id, attr string) (text string, at hcl.Range, ok bool) {
	var value any
	o := c.eval.byID[id]
	switch {
	case o != nil && o.res == nil:
		value = o.value
	case id == string(kindPreference)+"."+defaultPreference:
		builtin := builtinPreferences[defaultPreference]
		value = &builtin
	default:
		return "", at, false
	}
	v := reflect.ValueOf(value).Elem()
	if a := resource.SchemaOf(v.Type()).Attr(attr); a == nil || v.FieldByIndex(a.Index).IsZero() {
		return "", at, false
	}
	if o == nil || o.block == nil {
		return id + " (built in)", at, true
	}
	return id, o.at(attr), true
}

// decided tells whether vmplan itself decides the field.
func decided(r resource.Resource, path string) bool {
	if r == nil {
		return false
	}
	if _, ok := r.(*resource.VM); ok && strings.HasPrefix(path, "nic.") && strings.HasSuffix(path, ".mac") {
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
