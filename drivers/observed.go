package drivers

import "vmplan.dev/vmplan/config/resource"

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
	// Mark is who owns it; nil when it bears none or cannot.
	Mark *Mark
	// Users are the Keys of objects of the host that use this one: vms of a volume (as disk) or network, volumes of their
	// backing volume. Complete also for users that are not ours.
	Users []string
	// Addresses a running guest has, by NIC label, as far as the host knows without asking the guest.
	Addresses map[string][]string
	// Capacity and Free of a pool, in bytes.
	Capacity, Free resource.Size
	// Path of a pool's folder or a volume's file on the host.
	Path string
}

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
