package planner

import (
	"fmt"
	"slices"
	"strings"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/state"
)

// uses tells whether r, in canonical form, refers to what has that key on its host.
func uses(r resource.Resource, key string) bool {
	switch r := r.(type) {
	case *resource.VM:
		for _, d := range r.Disks {
			if volumeKey(d.Source) == key {
				return true
			}
		}
		for _, n := range r.NICs {
			if "network/"+n.Source == key {
				return true
			}
		}
	case *resource.Volume:
		return volumeKey(r.Backing) == key || "pool/"+r.PoolName == key
	case *resource.Image:
		return "pool/"+r.PoolName == key
	case *resource.Seed:
		return "pool/"+r.PoolName == key
	}
	return false
}

// writes tells whether the vm may write to the volume with that key.
func writes(r resource.Resource, key string) bool {
	vm, ok := r.(*resource.VM)
	return ok && slices.ContainsFunc(vm.Disks, func(d resource.Disk) bool {
		return volumeKey(d.Source) == key && (d.ReadOnly == nil || !*d.ReadOnly)
	})
}

func volumeKey(id string) string { return string(resource.KindVolume) + "/" + id }

// nameOf is what the host calls the object.
func nameOf(r resource.Resource) string {
	if id := resource.VolumeID(r); id != "" {
		return id
	}
	return r.Base().Name
}

func uuidOf(r resource.Resource) string {
	switch r := r.(type) {
	case *resource.VM:
		return r.UUID
	case *resource.Network:
		return r.UUID
	case *resource.Pool:
		return r.UUID
	}
	return ""
}

func isFalse(b *bool) bool { return b != nil && !*b }

// orNil is the value of a field, or nil when it is not set.
func orNil(b *bool) any {
	if b == nil {
		return nil
	}
	return *b
}

// some lists the first of many.
func some(names []string) string {
	const most = 12
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

func isLeftBehind(a resource.Addr) bool {
	last := a.Part[strings.LastIndex(a.Part, ".")+1:]
	return last == leftBehind || strings.HasPrefix(last, leftBehind+"-")
}

// leftBehind is the last part of the address of what a replacement has left to be deleted.
const leftBehind = "old"

// mayBeHalf tells whether what is recorded may be on its host in part.
func mayBeHalf(rec *state.Record) bool {
	return rec.Status == state.StatusCreating || rec.Status == state.StatusDeleting
}

func staysOnOldBase(v *resource.Volume) bool {
	return v.OnImageChange == "ignore" || v.OnImageChange == "warn"
}

// protectSnapshot is the snapshot that protects a vm while it is changed. It is always called the same: one that a run has left
// which was interrupted amid its change is of before that run, and the next one keeps it.
const protectSnapshot = "vmplan-protect"
