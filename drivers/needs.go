package drivers

import (
	"strings"

	"vmplan.dev/vmplan/config/resource"
)

// Need is an ability that an operation needs.
type Need struct {
	Ability Ability
	Path    string // of the target's field that asks for it, as in resource.Change; empty when the whole object does
}

// Needs lists what a host has to be able to do for an operation. Others than those listed every host can do.
func Needs(op Op) []Need {
	switch op := op.(type) {
	case *Create:
		return createNeeds(op.Target())
	case *Update:
		return updateNeeds(op)
	case *Copy, *Build:
		return []Need{{AbilityBuild, "from"}}
	case *Flatten:
		return []Need{{AbilityFlatten, ""}}
	case *WaitReady:
		if vm, ok := op.Target().(*resource.VM); ok && vm.Ready != nil {
			return []Need{{AbilityReady, "ready"}}
		}
	case *Snapshot:
		if op.Memory {
			return []Need{{AbilitySnapshots, ""}, {AbilityMemorySnapshots, ""}}
		}
		return []Need{{AbilitySnapshots, ""}}
	case *Restore, *DropSnapshot:
		return []Need{{AbilitySnapshots, ""}}
	}
	return nil
}

func createNeeds(r resource.Resource) []Need {
	switch r := r.(type) {
	case *resource.Image:
		if !r.From.IsZero() {
			return []Need{{AbilityBuild, "from"}}
		}
		return []Need{{AbilityUpload, "source"}}
	case *resource.Seed:
		return []Need{{AbilityUpload, ""}}
	case *resource.Volume:
		if r.Backing != "" {
			return []Need{{AbilityOverlay, "image"}}
		}
	}
	return nil
}

func updateNeeds(op *Update) []Need {
	var needs []Need
	seen := map[Ability]bool{}
	for _, c := range resource.Diff(op.Before, op.Target()) {
		a := changeNeeds(op.Target().Kind(), c.Path, op.Live)
		if c.Class == resource.ClassHost && a != "" && !seen[a] {
			seen[a] = true
			needs = append(needs, Need{a, c.Path})
		}
	}
	return needs
}

func changeNeeds(kind resource.Kind, path string, live bool) Ability {
	block, _, _ := strings.Cut(path, ".")
	switch {
	case kind == resource.KindVolume && path == "size":
		return AbilityResize
	case kind == resource.KindVM && live && (block == "disk" || block == "nic"):
		return AbilityLiveDevices
	case kind == resource.KindNetwork && live && block == "dns_host":
		return AbilityDNSNames
	}
	return ""
}
