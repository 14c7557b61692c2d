package drivers

import (
	"time"

	"vmplan.dev/vmplan/config/resource"
)

// Observed is what a host has, read in one go.
type Observed struct {
	Facts   Facts
	Objects map[string]*Object // by resource.Key
}

// Facts describe the host itself.
type Facts struct {
	Driver   string        `json:"driver"`  // "libvirt", "sim"
	Version  string        `json:"version"` // of the hypervisor stack, for people
	UUID     string        `json:"uuid"`    // of the machine; empty when it has none
	Hostname string        `json:"hostname"`
	Arch     string        `json:"arch"`
	CPUs     int           `json:"cpus"`
	Memory   resource.Size `json:"memory"`
	// DomainTypes are what really works here, best first: kvm, qemu.
	DomainTypes []string `json:"domain_types"`
	// FreeMemory is what no guest and no program has now, what can be reclaimed at once included; 0 when not known.
	FreeMemory resource.Size `json:"free_memory,omitzero"`
	// Interfaces are the names of the host's network interfaces, bridges included. They are asked for when something
	// wanted names a bridge; nil when that is not so or the host does not tell.
	Interfaces []string `json:"interfaces,omitempty"`
	// Folders tells of the folders of wanted pools, by path. Those that the driver cannot look at are not in it.
	Folders map[string]Folder `json:"folders,omitempty"`
	// Guests is what guests can have here, for each combination of arch, domain type and machine that wanted vms ask for. A
	// combination that the host tells nothing of is not in it.
	Guests []GuestFacts `json:"guests,omitempty"`
}

// Folder is what a host's folder, or the place where one is to be made, is like.
type Folder struct {
	Missing  bool   `json:"missing,omitempty"`
	Nearest  string `json:"nearest,omitempty"`   // the folder or, when it is missing, what there is on the way to it
	NoFolder bool   `json:"no_folder,omitempty"` // Nearest is a file
	ReadOnly bool   `json:"read_only,omitempty"` // the host cannot write in Nearest
	// Closed is the first folder on the way that guests, who run as User, may not pass; empty when there is none.
	Closed string `json:"closed,omitempty"`
	User   string `json:"user,omitempty"`
}

// GuestFacts are what one sort of guest can have on a host.
type GuestFacts struct {
	// Arch, DomainType and Machine are as vms say them; empty where they leave it to the host.
	Arch       string `json:"arch,omitzero"`
	DomainType string `json:"domain_type,omitzero"`
	Machine    string `json:"machine,omitzero"`

	Machines   []string `json:"machines,omitempty"`    // the machine types that there are for the arch, aliases included
	MaxVCPUs   int      `json:"max_vcpus,omitzero"`    // 0 when the host does not tell
	CPUs       []string `json:"cpus,omitempty"`        // what VM.CPU can be; nil when the host does not tell
	Firmwares  []string `json:"firmwares,omitempty"`   // of bios, uefi
	SecureBoot bool     `json:"secure_boot,omitempty"` // with uefi
	TPMs       []string `json:"tpms,omitempty"`        // versions that can be emulated; nil when the host does not tell
}

// Guest gives what the vm can have, or nil when the host does not tell.
func (f *Facts) Guest(vm *resource.VM) *GuestFacts {
	for i, g := range f.Guests {
		if g.Arch == vm.Arch && g.DomainType == vm.DomainType && g.Machine == vm.Machine {
			return &f.Guests[i]
		}
	}
	return nil
}

// Object is one live object, in canonical form.
type Object struct {
	// Resource is the persistent definition. Its Addr is that of the Selection's object with the same Key, or of the mark.
	// Local and input fields are not set. A storage object's fields that hosts have no place for, because its File stands for
	// them (Name; an image's Source and Checksum), are the Selection's object's.
	Resource resource.Resource
	// Running is what a running guest has now, where that can differ from its definition; nil otherwise.
	Running resource.Resource
	// Power of a vm; for a pool or network PowerOn tells that it is active.
	Power Power
	// Saved tells that a vm which is off has its guest's memory saved, and resumes with it when it starts. A change of its
	// definition discards that, but for texts, autostart and the mark.
	Saved bool
	// Kept is what the host keeps beside a vm that goes with it when it is deleted, and that nobody can bring back, as people call
	// it: "snapshot before-upgrade", "checkpoint backup", and the texts below.
	Kept []string
	// Mark is who owns it; nil when it bears none or cannot.
	Mark *Mark
	// Users are the Keys of objects of the host that use this one: vms of a volume (as disk), of the pool it lies in, or of a
	// network, volumes of their backing volume. Complete also for users that are not ours.
	Users []string
	// Addresses a running guest has, by NIC label, as far as the host knows without asking the guest.
	Addresses map[string][]string
	// Snapshots of a vm that the Selection names, oldest first.
	Snapshots []SnapshotInfo
	// Capacity and Free of a pool, in bytes.
	Capacity, Free resource.Size
	// Volumes are the files that an active pool holds, in order, also those that are not ours; without what snapshots have made.
	Volumes []string
	// Taken is the room that an image or volume takes in its pool, in bytes; 0 when the host does not tell.
	Taken resource.Size
	// Path of a pool's folder or a volume's file on the host.
	Path string
}

// What all hosts call alike of that which Object.Kept lists.
const (
	KeptNVRAM  = "firmware variables (NVRAM)"
	KeptTPM    = "TPM state"
	KeptMemory = "saved memory"
)

// Power is a vm's power state.
type Power string

// The power states.
const (
	PowerOff    Power = "off"
	PowerOn     Power = "on"
	PowerPaused Power = "paused"
)

// Mark is the ownership mark on a live object.
type Mark struct {
	Lineage  string        `json:"lineage"`
	Addr     resource.Addr `json:"addr"`
	Version  string        `json:"version"`            // of vmplan
	Released bool          `json:"released,omitempty"` // left by an orphan deletion: may be adopted
}

// SnapshotInfo is a snapshot of a vm, as its host tells of it.
type SnapshotInfo struct {
	Name    string    `json:"name"`
	Created time.Time `json:"created"`
	Memory  bool      `json:"memory"`  // it has the guest's memory, and goes on from there
	Running bool      `json:"running"` // the guest ran when it was taken
	// Quiesced tells that the guest's agent had its file systems at rest. Without that, and without memory, what a running
	// guest had not written yet is not in it: its disks are as after a power cut.
	Quiesced bool   `json:"quiesced"`
	Note     string `json:"note,omitempty"` // what the host says of it besides
}
