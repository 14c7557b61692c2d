// Package complete fills in what the files leave open of an object, from the object itself and plain data that the caller gives,
// and checks it: defaults, identities, ranges of networks, the seeds of vms. It works on resources alone. It must not know HCL,
// files or hosts: mistakes go to a Source by the path of the field, and the caller knows where that was written.
package complete

// Source is the block that an object was decoded from. Paths are those of fields ("nic.lan.mac"); "" is the block as a whole.
type Source interface {
	// Mistake reports what is wrong with a field. Of several reports with one summary at one place, the first counts.
	Mistake(path, summary, format string, args ...any)
	// Fail marks the value of a field as unknown, so that nothing else is reported that follows from it.
	Fail(path string)
	// Wrong tells whether the value of a field is unknown because of a mistake.
	Wrong(path string) bool
	// Written tells whether the block sets the field, or one in it.
	Written(path string) bool
	// Null tells whether the block sets the field to null, where that means something.
	Null(path string) bool
}

// Values of fields that are compared with.
const (
	ModeBridge = "bridge" // of networks
	UEFI       = "uefi"   // firmware
	RootDisk   = "root"   // label of the disk for a vm's image
)

// MaxNICLabel is how many bytes the name of a network interface can have in Linux.
const MaxNICLabel = 15

// OrElse sets a text, number or span that is not set.
func OrElse[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// OrTrue sets a choice that is not made to true.
func OrTrue(field **bool) {
	if *field == nil {
		yes := true
		*field = &yes
	}
}

// IsTrue tells whether a choice is made, and true.
func IsTrue(b *bool) bool { return b != nil && *b }
