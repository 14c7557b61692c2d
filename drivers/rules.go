package drivers

import (
	"errors"
	"fmt"

	"vmplan.dev/vmplan/config/resource"
)

// Rules is what a kind of host can and cannot do, and decides where the files say nothing: pure functions, no I/O, the same
// answer every time.
type Rules interface {
	// Normalize brings a desired or recorded object into the one canonical form that Observe answers in, and fills in the
	// driver's own defaults. It leaves r alone. Normalizing twice changes nothing more. An object that this kind of host
	// can never have is an error that wraps ErrUnsupported, and is a *FieldError where one field is the reason.
	Normalize(r resource.Resource) (resource.Resource, error)

	// Impact says for each host-class change from before to after (as resource.Diff lists them) what it does to a running
	// guest; for objects other than a vm Live means "in place". before is live.
	Impact(before, after resource.Resource) []FieldImpact

	// Can is nil for what this kind of host can do, and else says why it cannot, in an error that wraps ErrUnsupported. Do
	// answers ErrUnsupported to an Op that needs it (see Needs).
	Can(a Ability) error

	// CheckSnapshot says why no snapshot of the vm can be taken although there is AbilitySnapshots: while its guest runs if on,
	// with its memory if memory. The error wraps ErrUnsupported, and says what can be done instead. It is nil as far as can be
	// told beforehand.
	CheckSnapshot(vm *resource.VM, on, memory bool) error

	// Defaults gives what this kind of host decides where the files say nothing, and how to get there what it may lack.
	Defaults() Defaults

	// Marks tells whether objects of the kind carry an ownership mark on this host. Others are known by their record alone.
	Marks(kind resource.Kind) bool
}

// Ability is something that not every kind of host can do. What one host of a kind lacks is in its Facts.
type Ability string

// The abilities.
const (
	// AbilityUpload: volumes are given content, which images and seeds need.
	AbilityUpload Ability = "give volumes content"
	// AbilityOverlay: volumes have backing volumes.
	AbilityOverlay Ability = "make copy-on-write disks"
	// AbilityResize: volumes grow.
	AbilityResize Ability = "resize volumes"
	// AbilityReadVolumes: what volumes hold can be read.
	AbilityReadVolumes Ability = "read volumes"
	// AbilityFlatten: volumes are made independent of their backing volumes.
	AbilityFlatten Ability = "flatten volumes"
	// AbilityBuild: images are made from volumes and images of the host, by a guest that runs there.
	AbilityBuild Ability = "build images"
	// AbilitySnapshots: vms have snapshots of their disks, which are restored and deleted.
	AbilitySnapshots Ability = "take snapshots"
	// AbilityMemorySnapshots: a snapshot can hold the memory of a running guest.
	AbilityMemorySnapshots Ability = "take snapshots with memory"
	// AbilityLiveDevices: disks and NICs of a running guest come, go and change.
	AbilityLiveDevices Ability = "change devices of running guests"
	// AbilityDNSNames: the names that a network answers for change while it is active.
	AbilityDNSNames Ability = "change DNS names of active networks"
	// AbilityConsole: guests have a serial console that people can use.
	AbilityConsole Ability = "connect to the serial console"
	// AbilityReady: it is told when a guest answers as its ready block asks.
	AbilityReady Ability = "wait for guests"
	// AbilityGuestFacts: the host tells what guests can have.
	AbilityGuestFacts Ability = "tell what guests can have"
)

// Abilities lists all there are.
var Abilities = []Ability{
	AbilityUpload, AbilityOverlay, AbilityResize, AbilityReadVolumes, AbilityFlatten, AbilityBuild, AbilitySnapshots, AbilityMemorySnapshots, AbilityLiveDevices, AbilityDNSNames, AbilityConsole, AbilityReady, AbilityGuestFacts,
}

// Lacks is a table of what a kind of host cannot do, with the reasons.
type Lacks map[Ability]string

// Can answers Rules.Can.
func (l Lacks) Can(a Ability) error {
	if why, ok := l[a]; ok {
		return &lackError{a, why}
	}
	return nil
}

// lackError says what a kind of host cannot do, and why. It is ErrUnsupported.
type lackError struct {
	ability Ability
	why     string
}

func (e *lackError) Error() string { return fmt.Sprintf("cannot %s: %s", e.ability, e.why) }
func (e *lackError) Unwrap() error { return ErrUnsupported }

// Defaults is what a kind of host decides where the files say nothing, and how to get there what it may lack.
type Defaults struct {
	resource.HostDefaults
	// SnapshotFormats are the formats of disks that can hold snapshots.
	SnapshotFormats []string
	// InstallUEFI and InstallTPM say what to install on a host that lacks UEFI firmware, or what emulates a TPM: a sentence in
	// the imperative without its full stop.
	InstallUEFI, InstallTPM string
	// LetWrite says how a host is let write in the folder of a pool, as the above.
	LetWrite string
}

// FieldError is an error about one field of an object.
type FieldError struct {
	Path string // as in resource.Change: "max_memory", "disk.root.size"
	Err  error
}

func (e *FieldError) Error() string { return e.Path + ": " + e.Err.Error() }
func (e *FieldError) Unwrap() error { return e.Err }

// FieldOf is the path of the field that an error is about; empty when it is about none.
func FieldOf(err error) string {
	if e, ok := errors.AsType[*FieldError](err); ok {
		return e.Path
	}
	return ""
}
