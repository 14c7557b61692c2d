package resource

import "strings"

// Build is what is done to an image's bits before they become the image: in a guest that boots from a copy of them and is
// thrown away.
type Build struct {
	Run      []string          `json:"run,omitzero" schema:"input,sealed" doc:"Shell commands, run as root in order. The build stops at the first that fails. Commands with sensitive values are not shown."`
	Copy     map[string]string `json:"copy,omitzero" schema:"input" doc:"Files and folders to copy into the guest before the commands run: { \"files/site\" = \"/srv/site\" }. Relative paths start at the folder of the .hcl file. The copies belong to root; executable files stay executable."`
	Network  Addr              `json:"network,omitzero" schema:"input,ref=network" doc:"The guest's network. By default QEMU's user network, where the guest reaches what the host reaches and nothing reaches the guest."`
	Memory   Size              `json:"memory,omitzero" schema:"input" doc:"Memory of the guest that builds. Default 1GiB."`
	VCPUs    int               `json:"vcpus,omitzero" schema:"input" doc:"Virtual CPUs of the guest that builds. Default 1."`
	Timeout  Duration          `json:"timeout,omitzero" schema:"input" doc:"Timeout for the build, including sealing. Default 30m."`
	Commands []Command         `json:"command,omitzero" schema:"computed,local" doc:"What is run, numbered."`
	Files    []File            `json:"file,omitzero" schema:"computed,local" doc:"What is copied, by where it goes to."`
}

// Seal removes from an image's bits what made them one particular machine.
type Seal struct {
	Keep     []string  `json:"keep,omitzero" schema:"local" doc:"Parts to keep, of: machine_id, ssh_host_keys, cloud_init, logs, history, leases, random_seed, udev, packages, free_space."`
	Run      []string  `json:"run,omitzero" schema:"input,sealed" doc:"Additional shell commands, run as root at the end."`
	Commands []Command `json:"command,omitzero" schema:"computed,local" doc:"What is run, numbered."`
}

// SealParts are what Seal.Keep may name, in the order they are removed in.
var SealParts = []string{
	"machine_id", "ssh_host_keys", "cloud_init", "logs", "history", "leases", "random_seed", "udev", "packages", "free_space",
}

// Command is one command of a build. One of Text and Secret is set: Secret when a sensitive value is in it.
type Command struct {
	Number string `json:"number,omitzero" schema:"label" doc:"its place in the list, from 1."`
	Text   string `json:"text,omitzero" doc:"The command."`
	Secret Secret `json:"secret,omitzero" doc:"The command, when it holds a sensitive value."`
}

// Clear gives the command; ok is false when it was decoded and not revealed.
func (c *Command) Clear() (text string, ok bool) {
	if c.Secret.IsZero() {
		return c.Text, true
	}
	return c.Secret.Clear()
}

// File is one file that is copied into the guest.
type File struct {
	Path       string `json:"path,omitzero" schema:"label" doc:"where it goes to in the guest."`
	Executable bool   `json:"executable,omitzero" doc:"Whether it can be executed."`
	Link       string `json:"link,omitzero" doc:"What a symbolic link leads to."`
	Content    Secret `json:"content,omitzero" doc:"What is in it; never recorded in clear."`
}

// Builder is the guest that builds and seals an image: the hardware that the bits boot on.
type Builder struct {
	Memory     Size     `json:"memory,omitzero" doc:"Memory."`
	VCPUs      int      `json:"vcpus,omitzero" doc:"Number of virtual CPUs."`
	Timeout    Duration `json:"timeout,omitzero" doc:"How long it may take."`
	DomainType string   `json:"domain_type,omitzero" doc:"kvm or qemu, when the host block says so."`
	Arch       string   `json:"arch,omitzero" doc:"Architecture."`
	Machine    string   `json:"machine,omitzero" doc:"Machine type."`
	Firmware   string   `json:"firmware,omitzero" doc:"bios or uefi."`
	SecureBoot *bool    `json:"secure_boot,omitzero" doc:"Secure boot."`
	CPU        string   `json:"cpu,omitzero" doc:"CPU model."`
	DiskBus    string   `json:"disk_bus,omitzero" doc:"Bus of the disk."`
	NICModel   string   `json:"nic_model,omitzero" doc:"Model of the network interface."`
	Network    string   `json:"network,omitzero" doc:"The network's name on the host; empty for QEMU's own."`
	Bridge     string   `json:"bridge,omitzero" doc:"The bridge, instead of a network."`
}

// Builds tells whether the image's bits are changed by a guest before they become the image.
func (i *Image) Builds() bool { return i.Build != nil || i.Seal != nil }

// Copies tells whether a copy of Origin must be made while nobody writes to it, before anything is built: not of an image, which
// never changes.
func (i *Image) Copies() bool { return i.Builds() && i.From.Kind != KindImage }

// CopyID is the VolumeID of the copy that is made of Origin, which lies beside the image while that is made, in the format that
// the host makes disks in.
func (i *Image) CopyID(format string) string {
	return i.PoolName + "/" + i.Stem() + "-copy." + format
}

// BuildID is the VolumeID of the overlay that the guest works on, which lies there too.
func (i *Image) BuildID(format string) string {
	return i.PoolName + "/" + i.Stem() + "-build." + format
}

// Stem is the image's file name without its ending: the names of all that is needed to build it begin with that.
func (i *Image) Stem() string {
	if n := strings.LastIndexByte(i.File, '.'); n > 0 {
		return i.File[:n]
	}
	return i.File
}
