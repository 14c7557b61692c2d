package complete

import (
	"maps"
	"slices"
	"strings"

	"vmplan.dev/vmplan/config/resource"
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
	DefaultVCPUs      = 1
	defaultMemory     = resource.GiB
	DefaultPreference = "linux"
)

// BuiltinInstancetypes can be referred to without being declared: instancetype = instancetype.small.
var BuiltinInstancetypes = map[string]Instancetype{
	"tiny":   {VCPUs: 1, Memory: 512 * resource.MiB},
	"small":  {VCPUs: 1, Memory: 2 * resource.GiB},
	"medium": {VCPUs: 2, Memory: 4 * resource.GiB},
	"large":  {VCPUs: 4, Memory: 8 * resource.GiB},
	"xlarge": {VCPUs: 8, Memory: 16 * resource.GiB},
}

// BuiltinPreferences can be referred to without being declared: preference = preference.windows. linux holds for every vm
// that names none, and has firmware bios because every cloud image boots with it. windows has the devices that its installer
// has drivers for.
var BuiltinPreferences = map[string]Preference{
	"linux":          {Machine: "q35", Firmware: "bios", DiskBus: "virtio", NICModel: "virtio"},
	"linux_uefi":     {Machine: "q35", Firmware: UEFI, DiskBus: "virtio", NICModel: "virtio"},
	"bsd":            {Machine: "q35", Firmware: "bios", DiskBus: "virtio", NICModel: "virtio"},
	"windows":        {Machine: "q35", Firmware: UEFI, DiskBus: "sata", NICModel: "e1000e"},
	"windows_virtio": {Machine: "q35", Firmware: UEFI, DiskBus: "virtio", NICModel: "virtio"},
	"legacy":         {Machine: "pc", Firmware: "bios", DiskBus: "ide", NICModel: "rtl8139"},
}

// osFamilies are the built-in preferences of operating systems, by what their names begin with.
var osFamilies = map[string][]string{
	"linux": {
		"alma", "alpine", "amazon", "arch", "centos", "cirros", "coreos", "debian", "fedora", "flatcar", "gentoo", "kali", "linux",
		"mageia", "nixos", "opensuse", "ol", "oracle", "photon", "raspbian", "rhel", "rocky", "slackware", "sle", "suse", "talos", "ubuntu",
	},
	"bsd":     {"bsd", "dragonfly", "freebsd", "netbsd", "openbsd"},
	"windows": {"win", "win2k1", "win2k2", "win2k8"},
	"legacy":  {"dos", "freedos", "msdos", "win2k", "win2k3", "win9", "winnt", "winxp"},
}

// OSFamily gives the built-in preference for an operating system, by the longest beginning that is known; empty for none.
func OSFamily(os string) string {
	os = strings.ToLower(os)
	family, longest := "", 0
	for _, name := range slices.Sorted(maps.Keys(osFamilies)) {
		for _, prefix := range osFamilies[name] {
			if strings.HasPrefix(os, prefix) && len(prefix) > longest {
				family, longest = name, len(prefix)
			}
		}
	}
	return family
}

// OSNames lists what names of operating systems begin with.
func OSNames() []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(osFamilies)) {
		out = append(out, osFamilies[name]...)
	}
	return out
}

// Over gives p with what it leaves open taken from base.
func (p Preference) Over(base Preference) Preference {
	OrElse(&p.Machine, base.Machine)
	OrElse(&p.Firmware, base.Firmware)
	OrElse(&p.CPU, base.CPU)
	OrElse(&p.DiskBus, base.DiskBus)
	OrElse(&p.NICModel, base.NICModel)
	if p.SecureBoot == nil {
		p.SecureBoot = base.SecureBoot
	}
	return p
}
