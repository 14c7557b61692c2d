package resource

// VM is a virtual machine: a definition that outlives the running guest.
type VM struct {
	Meta
	UUID        string `json:"uuid,omitzero" doc:"UUID on the host, which the guest sees too. By default derived from the project's lineage and the vm's address."`
	Title       string `json:"title,omitzero" doc:"A short title."`
	Description string `json:"description,omitzero" doc:"A longer description."`

	Image        Addr   `json:"image,omitzero" schema:"local,ref=image" doc:"The image under the first disk."`
	Clone        Addr   `json:"clone,omitzero" schema:"input,ref=vm" doc:"Copy another vm: every setting that is not written here is the other vm's, and its disks are copied when this vm is created. Name, UUID, MACs, host name, fixed addresses and running are not copied."`
	CloneMode    string `json:"clone_mode,omitzero" schema:"input,enum=full|overlay" doc:"full (default): copy the disks. overlay: create copy-on-write disks over those of the other vm, which must have running = false."`
	Instancetype string `json:"instancetype,omitzero" schema:"input,ref=instancetype" doc:"Supplies vcpus and memory if they are not set here."`
	Preference   string `json:"preference,omitzero" schema:"input,ref=preference" doc:"Supplies machine, firmware and device models if they are not set here."`

	VCPUs     int    `json:"vcpus,omitzero" doc:"Number of virtual CPUs. Default 1."`
	MaxVCPUs  int    `json:"max_vcpus,omitzero" doc:"Maximum number of virtual CPUs that can be added while the guest runs. Default vcpus."`
	Memory    Size   `json:"memory,omitzero" doc:"Memory. Default 1GiB."`
	MaxMemory Size   `json:"max_memory,omitzero" doc:"Maximum memory that the guest can get while it runs (by its balloon). Default memory."`
	CPU       string `json:"cpu,omitzero" doc:"CPU model: host-passthrough, host-model, maximum, or a name such as qemu64. By default host-model with kvm, maximum with qemu."`

	DomainType string `json:"domain_type,omitzero" schema:"computed" doc:"kvm or qemu, when the host block says so."`
	Arch       string `json:"arch,omitzero" doc:"Architecture, such as x86_64 or aarch64. Default the host's."`
	Machine    string `json:"machine,omitzero" doc:"Machine type, such as q35. An alias and the version it stands for are equal."`
	Firmware   string `json:"firmware,omitzero" schema:"enum=bios|uefi" doc:"bios or uefi."`
	SecureBoot *bool  `json:"secure_boot,omitzero" doc:"Secure boot, with firmware = uefi. Default false."`

	Disks     []Disk     `json:"disk,omitzero" doc:"A disk. The first is the one the guest boots from, and the overlay of image."`
	NICs      []NIC      `json:"nic,omitzero" doc:"A network interface."`
	Graphics  *Graphics  `json:"graphics,omitzero" doc:"A graphical console. Without this block the guest has only its serial console."`
	TPM       *TPM       `json:"tpm,omitzero" doc:"A trusted platform module, emulated by swtpm on the host. Its state is deleted with the vm."`
	CloudInit *CloudInit `json:"cloud_init,omitzero" schema:"input" doc:"Data for cloud-init in the guest, given through a NoCloud seed."`

	Running         *bool    `json:"running,omitzero" schema:"power" doc:"true (default): start the guest if it is off. false: shut it down if it runs. null: leave its power state alone."`
	Autostart       *bool    `json:"autostart,omitzero" doc:"Whether the host starts the guest when it boots. Default false."`
	ShutdownTimeout Duration `json:"shutdown_timeout,omitzero" schema:"local" doc:"How long to wait for a graceful shutdown before powering the guest off. Default 60s."`
	OnDelete        string   `json:"on_delete,omitzero" schema:"local,enum=cascade|orphan" doc:"cascade (default): delete the vm and what it owns when its block is removed. orphan: leave the guest running and stop managing it."`
	OnImageChange   string   `json:"on_image_change,omitzero" schema:"local,enum=replace|ignore|warn" doc:"What to do when the image under a disk changes. replace (default): replace the disk and the vm. ignore: keep the disk on the old base, which is kept as long as a disk uses it. warn: the same, with a warning in each plan."`
	Update          string   `json:"update,omitzero" schema:"local,enum=live|stage|restart" doc:"How changes reach a running guest. live (default): while it runs if possible, else by a restart. stage: never restart; changes that need one wait for the next start. restart: always restart."`
	Protect         *Protect `json:"protect,omitzero" schema:"local" doc:"Protects the vm from changes that fail."`
	Ready           *Ready   `json:"ready,omitzero" schema:"local" doc:"Conditions that apply waits for after it has started the guest."`
}

// Kind implements Resource.
func (*VM) Kind() Kind { return KindVM }

// Disk gives the disk with the label, or nil.
func (vm *VM) Disk(label string) *Disk {
	for i := range vm.Disks {
		if vm.Disks[i].Label == label {
			return &vm.Disks[i]
		}
	}
	return nil
}

// NIC gives the NIC with the label, or nil.
func (vm *VM) NIC(label string) *NIC {
	for i := range vm.NICs {
		if vm.NICs[i].Label == label {
			return &vm.NICs[i]
		}
	}
	return nil
}

// NICForwards gives the port forwards of the NIC with the label; none when there is no such NIC.
func (vm *VM) NICForwards(label string) []PortForward {
	if n := vm.NIC(label); n != nil {
		return n.PortForwards
	}
	return nil
}

// Disk is a block device of a vm. Config moves the attributes marked input to a Volume that the vm owns, and points Volume
// and Source at it.
type Disk struct {
	Label     string `json:"label,omitzero" schema:"label" doc:"The disk's name: the guest sees it as its serial, /dev/disk/by-id/virtio-LABEL."`
	Size      Size   `json:"size,omitzero" schema:"input" doc:"Size of the disk that the vm owns. Optional on the first disk of a vm with an image. Default the image's size."`
	Format    string `json:"format,omitzero" schema:"input,enum=qcow2|raw" doc:"Format of the disk that the vm owns: qcow2 (default) or raw."`
	Pool      Addr   `json:"pool,omitzero" schema:"input,ref=pool" doc:"Pool of the disk that the vm owns."`
	Image     Addr   `json:"image,omitzero" schema:"input,ref=image" doc:"Make the disk an overlay of this image. The first disk takes the vm's."`
	Clone     Addr   `json:"clone,omitzero" schema:"input,ref=volume|disk" doc:"Create the disk as a copy of this volume or disk of another vm."`
	CloneMode string `json:"clone_mode,omitzero" schema:"input,enum=full|overlay" doc:"As on a volume."`
	OnDelete  string `json:"on_delete,omitzero" schema:"input,enum=delete|retain" doc:"What happens to a disk that the vm owns when the vm or the disk is removed: delete (default) or retain."`
	Volume    Addr   `json:"volume,omitzero" schema:"local,ref=volume" doc:"Use this volume, which has a block of its own, instead of owning one."`
	Source    string `json:"source,omitzero" schema:"computed" doc:"The volume on the host, as pool/file."`
	Bus       string `json:"bus,omitzero" schema:"enum=virtio|scsi|sata|usb|ide" doc:"virtio, scsi, sata, usb or ide. Default the preference's."`
	Device    string `json:"device,omitzero" schema:"enum=disk|cdrom" doc:"disk (default) or cdrom."`
	ReadOnly  *bool  `json:"read_only,omitzero" doc:"Whether the disk is read-only. Default false, true for a cdrom."`
	Cache     string `json:"cache,omitzero" schema:"enum=none|writeback|writethrough|directsync|unsafe" doc:"Cache mode; default the host's."`
}

// NIC is a network interface of a vm.
type NIC struct {
	Label   string `json:"label,omitzero" schema:"label" doc:"The NIC's name, also the interface's name in a guest with cloud-init (15 characters at most)."`
	Network Addr   `json:"network,omitzero" schema:"local,ref=network" doc:"The network it is on."`
	// Source is the network's name on the host; Bridge is set instead for a network of mode bridge.
	Source  string `json:"source,omitzero" schema:"computed" doc:"The network's name on the host."`
	Bridge  string `json:"bridge,omitzero" doc:"A bridge of the host, instead of a network."`
	User    *bool  `json:"user,omitzero" doc:"Use the hypervisor's user network instead of a network or bridge: the guest reaches what the host reaches, and can be reached only through port_forward blocks. Needs no privileges on the host. Default false."`
	Model   string `json:"model,omitzero" schema:"enum=virtio|e1000e|e1000|rtl8139|igb" doc:"virtio, e1000e, e1000, rtl8139 or igb. Default the preference's."`
	MAC     string `json:"mac,omitzero" doc:"MAC address. By default made from the project's lineage and the vm's address."`
	Address string `json:"address,omitzero" schema:"local" doc:"Fixed IPv4 address inside the network's cidr, or auto for the next free one, which the vm then keeps."`
	Link    *bool  `json:"link,omitzero" doc:"Whether the link is up. Default true."`

	Bandwidth    *Bandwidth    `json:"bandwidth,omitzero" doc:"Limits the bandwidth of the NIC. Without this block it is not limited."`
	PortForwards []PortForward `json:"port_forward,omitzero" doc:"Forwards a port of the host to a port of the guest, on a nic with user = true. vmplan keeps these in the vm's metadata, because libvirt does not know them, and opens them when it starts the guest. If something else starts the guest, the plan shows drift and the next apply opens them."`
}

// PortForward leads from a port of the host to one of the guest.
type PortForward struct {
	Name      string `json:"name,omitzero" schema:"label" doc:"What the port is for, such as ssh."`
	Protocol  string `json:"protocol,omitzero" schema:"enum=tcp|udp" doc:"tcp (default) or udp."`
	Address   string `json:"address,omitzero" doc:"IPv4 address of the host to listen on; 0.0.0.0 for all. Default 127.0.0.1: only programs of the host itself."`
	HostPort  int    `json:"host_port,omitzero" schema:"required" doc:"Port of the host."`
	GuestPort int    `json:"guest_port,omitzero" schema:"required" doc:"Port of the guest."`
}

// Bandwidth limits what goes through a NIC, seen from the guest.
type Bandwidth struct {
	Inbound  *Rate `json:"inbound,omitzero" doc:"What the guest receives."`
	Outbound *Rate `json:"outbound,omitzero" doc:"What the guest sends."`
}

// Rate is a limit of one direction, in units of 1,000 and 1,024 bytes as the fields say.
type Rate struct {
	Average int `json:"average,omitzero" schema:"required" doc:"Average rate, in kilobytes (1,000 bytes) per second."`
	Peak    int `json:"peak,omitzero" doc:"Peak rate during a burst, in kilobytes per second. Default average."`
	Burst   int `json:"burst,omitzero" doc:"Size of a burst at the peak rate, in KiB (1,024 bytes). Default the host's."`
}

// Graphics is a graphical console.
type Graphics struct {
	Type   string `json:"type,omitzero" schema:"enum=vnc|spice" doc:"vnc (default) or spice."`
	Listen string `json:"listen,omitzero" doc:"Address to listen on. Default 127.0.0.1."`
	Port   int    `json:"port,omitzero" doc:"TCP port. By default the host takes a free one."`
}

// TPM is an emulated trusted platform module.
type TPM struct {
	Version string `json:"version,omitzero" schema:"enum=1.2|2.0" doc:"2.0 (default) or 1.2."`
	Model   string `json:"model,omitzero" schema:"enum=tpm-crb|tpm-tis" doc:"The device the guest sees: tpm-crb (2.0 only) or tpm-tis. Default the host's."`
}

// CloudInit is what the guest's cloud-init is told. Config turns it into a Seed.
type CloudInit struct {
	Hostname          string   `json:"hostname,omitzero" doc:"Host name. Default the vm's name."`
	SSHAuthorizedKeys []string `json:"ssh_authorized_keys,omitzero" doc:"Public keys that may log in, as the image's default user and as root where the image allows it."`
	UserData          Secret   `json:"user_data,omitzero" doc:"cloud-config, or a script that begins with #!. Never shown or recorded in clear text."`
	NetworkConfig     Secret   `json:"network_config,omitzero" doc:"Network configuration, version 2. By default generated from the nics."`
	VendorData        Secret   `json:"vendor_data,omitzero" doc:"Vendor data."`
	MetaData          Secret   `json:"meta_data,omitzero" doc:"Additional meta-data (YAML)."`
}

// Protect is what protects a vm from changes that go wrong.
type Protect struct {
	Snapshot bool `json:"snapshot,omitzero" doc:"Take a snapshot of the disks before a change that restarts the guest. It is deleted when the guest is ready again (see ready). If the change, the start or the wait fails, the disks and the definition are restored."`
}

// Ready is what must answer before a started vm counts as done. All that are named must.
type Ready struct {
	SSH       *ReadySSH `json:"ssh,omitzero" doc:"An ssh server answers."`
	Agent     *Empty    `json:"agent,omitzero" doc:"The QEMU guest agent answers."`
	CloudInit *Empty    `json:"cloud_init,omitzero" doc:"cloud-init has finished (asked through the agent). Errors of cloud-init fail the apply."`
	Address   *Empty    `json:"address,omitzero" doc:"The guest has an address on each network with DHCP."`
	Timeout   Duration  `json:"timeout,omitzero" doc:"How long to wait. Default 5m."`
}

// ReadySSH says how to reach the guest's ssh server.
type ReadySSH struct {
	Port int `json:"port,omitzero" doc:"TCP port. Default 22."`
}

// Empty is a block without attributes.
type Empty struct{}
