package view

import (
	"slices"
	"strings"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/planner"
)

// usual are the values of a new object that tell a reviewer nothing: defaults, and what vmplan derives from the rest. By the
// field's path, with * for a label; "" stands for any value. JSON has all of them.
var usual = map[string]string{
	"uuid":             "",
	"pool_name":        "",
	"file":             "",
	"backing":          "",
	"copy_of":          "",
	"pool":             "pool.default",
	"format":           `"qcow2"`,
	"type":             `"dir"`,
	"implicit":         "",
	"dhcp":             "true",
	"secure_boot":      "false",
	"firmware":         `"bios"`,
	"machine":          `"q35"`,
	"running":          "true",
	"origin":           "",
	"origin_backing":   "",
	"shutdown_timeout": "1m",
	"disk.*.source":    "",
	"disk.*.bus":       `"virtio"`,
	"disk.*.device":    `"disk"`,
	"disk.*.read_only": "false",
	"nic.*.source":     "",
	"nic.*.model":      `"virtio"`,
	"nic.*.link":       "true",
	"nic.*.user":       "false",
	// The nics that these are made for show them.
	"reservation.*.address": "",
	"reservation.*.name":    "",
	// That there is a seed says it all.
	"user_data":      "",
	"meta_data":      "",
	"network_config": "",
	"vendor_data":    "",
}

// telling gives the fields of c that the plan shows: of a new object not what is usual, of a changed one not what only follows
// from its other fields.
func telling(c *planner.Change, s changeStyle) []planner.FieldChange {
	without := func(drop func(planner.FieldChange) bool) []planner.FieldChange {
		return slices.DeleteFunc(slices.Clone(c.Fields), drop)
	}
	switch {
	case s.drift:
		return c.Fields
	case c.Action == planner.ActionCreate:
		return without(func(f planner.FieldChange) bool { return isUsual(c, f) })
	case c.Kind == resource.KindSeed:
		return without(func(f planner.FieldChange) bool { return f.Path == "file" || f.Path == "meta_data" })
	case c.Kind == resource.KindImage:
		return without(func(f planner.FieldChange) bool { return f.Path == "file" || f.Path == "digest" && f.New.IsZero() })
	case c.Kind == resource.KindNetwork:
		return without(isReservation)
	}
	return c.Fields
}

func isUsual(c *planner.Change, f planner.FieldChange) bool {
	switch f.Path {
	case "name":
		name := c.Addr.Name
		if c.Addr.Key != "" {
			name += "-" + c.Addr.KeyText()
		}
		text, _ := f.New.Text()
		return c.Addr.Part != "" || text == name
	case "max_vcpus", "max_memory":
		return set(f).String() == newValue(c, strings.TrimPrefix(f.Path, "max_"))
	case "autostart":
		return f.New.Equal(resource.ValueOf(c.Kind != resource.KindVM))
	case "on_delete":
		return f.New.String() == `"cascade"` || f.New.String() == `"delete"`
	}
	if strings.HasPrefix(f.Path, "builder.") {
		return true
	}
	path := withoutLabel(f.Path)
	if path == "disk.*.volume" || path == "disk.*.read_only" {
		// A disk or seed that the vm owns has an entry of its own.
		label := strings.Split(f.Path, ".")[1]
		volume, err := resource.ParseAddr(newValue(c, "disk."+label+".volume"))
		if own := err == nil && volume.Owner() == c.Addr; own && (path == "disk.*.volume" || volume.Part == "seed") {
			return true
		}
	}
	value, ok := usual[path]
	return ok && (value == "" || value == set(f).String())
}

// withoutLabel is "disk.*.bus" for "disk.root.bus".
func withoutLabel(path string) string {
	block, rest, _ := strings.Cut(path, ".")
	dot := strings.LastIndexByte(rest, '.')
	if dot < 0 {
		return path
	}
	return block + ".*" + rest[dot:]
}

func newValue(c *planner.Change, path string) string {
	for _, f := range c.Fields {
		if f.Path == path {
			return set(f).String()
		}
	}
	return ""
}
