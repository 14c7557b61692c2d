package config

import (
	"reflect"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"vmplan.dev/vmplan/config/resource"
)

// Origin says where the value of a field comes from that the object's own block does not set, such as "instancetype.small",
// and where that was written, if it was. Text is empty when the object's block sets it: Sources.Range says where.
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
		return "", hcl.Range{}
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
