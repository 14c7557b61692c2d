package config

import "vmplan.dev/vmplan/config/resource"

// Kinds of blocks that only fill in the fields of vms: they do not get into the Set.
const (
	kindInstancetype resource.Kind = "instancetype"
	kindPreference   resource.Kind = "preference"
)

// Instancetype is an instancetype block: the size of vms that name it.
type Instancetype struct {
	VCPUs     int           `json:"vcpus,omitzero" doc:"Number of virtual CPUs. Default 1."`
	MaxVCPUs  int           `json:"max_vcpus,omitzero" doc:"Up to how many vcpus can be added while the guest runs."`
	Memory    resource.Size `json:"memory,omitzero" doc:"Memory. Default 1GiB."`
	MaxMemory resource.Size `json:"max_memory,omitzero" doc:"Up to how much memory can be given while the guest runs."`
}

// Preference is a preference block: the virtual hardware of vms that name it.
type Preference struct {
	Machine    string `json:"machine,omitzero" doc:"Machine type, such as q35 or pc."`
	Firmware   string `json:"firmware,omitzero" schema:"enum=bios|uefi" doc:"bios or uefi."`
	SecureBoot *bool  `json:"secure_boot,omitzero" doc:"Secure boot, with firmware = uefi."`
	CPU        string `json:"cpu,omitzero" doc:"CPU model, as in a vm block."`
	DiskBus    string `json:"disk_bus,omitzero" schema:"enum=virtio|scsi|sata|usb|ide" doc:"Bus of disks that name none."`
	NICModel   string `json:"nic_model,omitzero" schema:"enum=virtio|e1000e|e1000|rtl8139|igb" doc:"Model of nics that name none."`
}

// Defaults of a vm that nothing else sets.
const (
	defaultVCPUs      = 1
	defaultMemory     = resource.GiB
	defaultPreference = "linux"
)

// builtinInstancetypes can be referred to without being declared: instancetype = instancetype.small.
var builtinInstancetypes = map[string]Instancetype{
	"small":  {VCPUs: 1, Memory: 2 * resource.GiB},
	"medium": {VCPUs: 2, Memory: 4 * resource.GiB},
	"large":  {VCPUs: 4, Memory: 8 * resource.GiB},
}

// builtinPreferences can be referred to without being declared: preference = preference.windows. linux holds for every vm
// that names none, and has firmware bios because every cloud image boots with it.
var builtinPreferences = map[string]Preference{
	"linux":   {Machine: "q35", Firmware: "bios", DiskBus: "virtio", NICModel: "virtio"},
	"windows": {Machine: "q35", Firmware: "uefi", DiskBus: "sata", NICModel: "e1000e"},
	"legacy":  {Machine: "pc", Firmware: "bios", DiskBus: "ide", NICModel: "rtl8139"},
}
