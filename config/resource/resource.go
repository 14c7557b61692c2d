// Package resource is the leaf model: the kinds of objects a project is made of, as plain structs, and the one place
// that enumerates, compares and merges their fields.
//
// Everything is declared once, by struct tags:
//
//	json:"memory,omitzero"   the attribute's (or block's) name in the language, in state and in plan JSON
//	schema:"required,local"  options, see below
//	doc:"…"                  the text of the reference page
//
// A field of struct, pointer-to-struct or slice-of-struct type is a block; a slice's element with a schema:"label" field
// is a labelled block, identified by that label and never by its position. Options of schema:
//
//	label     the block's label
//	required  must be set in the files
//	input     read from the files, then moved elsewhere by config (which clears it): never compared
//	computed  decided by vmplan before the plan, never written in the files; compared like any other field
//	local     vmplan's own affair with no counterpart on the host: compared with the record, not with live
//	sealed    a list that may hold sensitive values: expressions do not see it
//	power     wanted power state: compared by the planner, not field by field
//	ref=KIND  the Addr of an object of that kind (ref=volume|image for several)
//	enum=a|b  the texts allowed
//
// The zero value of a field means "not set"; where false or 0 differ from that, the field is a pointer.
//
// This package imports nothing of the project, knows no host and does no I/O.
package resource

// Resource is one object, desired, recorded or live. The set of kinds is sealed: *Host, *Pool, *Network, *Image,
// *Volume, *Seed and *VM.
type Resource interface {
	// Kind is the kind of the struct behind it. A disk that a vm owns has Kind volume and an Addr of kind vm.
	Kind() Kind
	// Base gives what all kinds have in common, to read and to write.
	Base() *Meta
}

// Meta is what all kinds have in common.
type Meta struct {
	// Addr identifies the object in the project.
	Addr Addr `json:"-" schema:"-"`
	// Host is the label of the host block the object lives on; empty for a host itself.
	Host string `json:"host,omitzero" schema:"local,ref=host" doc:"The host it is on. Optional if there is one host, or one host has default = true."`
	// Name is what the host calls the object.
	Name string `json:"name,omitzero" doc:"The object's name on the host. By default the label, preceded by the module's name and followed by the key of for_each or the index of count, separated by hyphens."`
	// Managed is false for an object that exists already and may be referred to, but never be changed or deleted.
	Managed *bool `json:"managed,omitzero" schema:"local" doc:"Whether vmplan creates, changes and deletes this. false: it already exists, and vmplan only refers to it."`
	// DependsOn are addresses that must be done first, beyond those that references imply.
	DependsOn []Addr `json:"depends_on,omitzero" schema:"local" doc:"Objects that must be created before this one, in addition to those it refers to."`
	// Lifecycle changes how plans treat the object.
	Lifecycle *Lifecycle `json:"lifecycle,omitzero" schema:"local" doc:"How plans treat this object. Can contain precondition and postcondition blocks: see check."`
}

// Base implements Resource.
func (m *Meta) Base() *Meta { return m }

// IsManaged tells whether vmplan may change and delete the object.
func (m *Meta) IsManaged() bool { return m.Managed == nil || *m.Managed }

// Lifecycle is the lifecycle block.
type Lifecycle struct {
	PreventDestroy bool     `json:"prevent_destroy,omitzero" doc:"Refuse any plan that would delete or replace this."`
	IgnoreChanges  []string `json:"ignore_changes,omitzero" doc:"Fields and blocks whose differences are ignored, such as [title, disk.root.size, cloud_init]."`
	// ReplaceTriggeredBy are addresses, or addresses with a field behind: "image.debian", "volume.db.size".
	ReplaceTriggeredBy []string `json:"replace_triggered_by,omitzero" doc:"Objects, or fields of objects, such as [image.debian, volume.db.size]: when a plan changes one of them, it also replaces this object."`
}

// Host is where objects live: a connection to a hypervisor. It is recorded, never created.
type Host struct {
	Meta
	URI        string `json:"uri,omitzero" schema:"required" doc:"The host's address. The scheme selects the driver: qemu:///system, qemu+ssh://root@lab/system, test:///default, sim:lab.json (a file of the project) or sim:///path. One that runs a program needs --allow-uri-programs."`
	Default    bool   `json:"default,omitzero" schema:"local" doc:"Whether objects without a host attribute go to this host."`
	DomainType string `json:"domain_type,omitzero" schema:"enum=kvm|qemu" doc:"kvm or qemu (emulation). By default kvm if the host supports it."`
	// Machine is the UUID of the machine behind URI when it was last used; the planner records it.
	Machine string `json:"machine,omitzero" schema:"computed,local" doc:"UUID of the machine that the uri led to."`
}

// Kind implements Resource.
func (*Host) Kind() Kind { return KindHost }

// Pool is a storage pool.
type Pool struct {
	Meta
	UUID      string `json:"uuid,omitzero" schema:"computed" doc:"Identity on the host."`
	Type      string `json:"type,omitzero" schema:"enum=dir" doc:"The pool's type: dir, a folder of the host."`
	Path      string `json:"path,omitzero" doc:"The folder on the host, created if missing. Required unless managed = false."`
	Default   bool   `json:"default,omitzero" schema:"local" doc:"Whether volumes, images and disks without a pool attribute go to this pool. Existing ones stay where they are."`
	Autostart *bool  `json:"autostart,omitzero" doc:"Whether the host starts the pool when it boots. Default true."`
	// Implicit marks the pool "default" that no file declares: used as it is when the host has it, else created.
	Implicit bool `json:"implicit,omitzero" schema:"local,computed" doc:"Set for the pool default when no pool is declared."`
}

// Kind implements Resource.
func (*Pool) Kind() Kind { return KindPool }

// Network is a virtual network.
type Network struct {
	Meta
	UUID         string        `json:"uuid,omitzero" schema:"computed" doc:"Identity on the host."`
	Mode         string        `json:"mode,omitzero" schema:"enum=nat|route|isolated|open|bridge" doc:"nat, route, isolated, open, or bridge (an existing bridge of the host, named by bridge). Default nat."`
	CIDR         string        `json:"cidr,omitzero" doc:"The IPv4 range, such as 10.17.3.0/24. The host uses the first address. Required unless mode is bridge."`
	Domain       string        `json:"domain,omitzero" doc:"The DNS domain of the network."`
	Bridge       string        `json:"bridge,omitzero" doc:"The bridge device: with mode = bridge the existing one; else a name for the new one, by default virbrN as the host chooses."`
	MTU          int           `json:"mtu,omitzero" doc:"Maximum packet size (MTU) in bytes, such as 9000. Guests get it by DHCP. Not allowed with mode = bridge, where the bridge's own MTU applies. Default the host's, 1500."`
	DHCP         *bool         `json:"dhcp,omitzero" doc:"Whether the host runs a DHCP server on the network. Default true unless mode is bridge."`
	DHCPStart    string        `json:"dhcp_start,omitzero" doc:"First address given to guests without a fixed one. Default: the second of the range."`
	DHCPEnd      string        `json:"dhcp_end,omitzero" doc:"Last address given to guests without a fixed one. Default: the last of the range."`
	Autostart    *bool         `json:"autostart,omitzero" doc:"Whether the host starts the network when it boots. Default true."`
	DNSHosts     []DNSHost     `json:"dns_host,omitzero" doc:"An additional name that the network's DNS server resolves, with and without the network's domain."`
	Reservations []Reservation `json:"reservation,omitzero" schema:"computed" doc:"Fixed addresses, taken from the nics that name one."`
}

// Kind implements Resource.
func (*Network) Kind() Kind { return KindNetwork }

// DNSHost is a name on a network's DNS server.
type DNSHost struct {
	Name    string `json:"name,omitzero" schema:"label" doc:"The host name."`
	Address string `json:"address,omitzero" schema:"required" doc:"The IPv4 address it stands for."`
}

// Reservation ties an address to a NIC on a network's DHCP server.
type Reservation struct {
	MAC     string `json:"mac,omitzero" schema:"label" doc:"The NIC's MAC."`
	Address string `json:"address,omitzero" doc:"The IPv4 address."`
	Name    string `json:"name,omitzero" doc:"The host name."`
}

// Image is a golden image: read-only bits in a pool, with defaults for the VMs made from it.
type Image struct {
	Meta
	Source       string `json:"source,omitzero" doc:"Where the image comes from: an http(s) URL, an OCI registry (oci://HOST/REPOSITORY:TAG or @sha256:…), OpenStack's image service (glance://CLOUD/NAME-OR-ID, glance+https://HOST/NAME-OR-ID), a file URL, a path, or a name of the catalogue such as debian:12 (debian:12@aarch64; vmplan image list --catalogue). .xz, .gz, .zst and .bz2 are unpacked."`
	Checksum     string `json:"checksum,omitzero" doc:"Checksum of the downloaded file: sha256:HEX, sha512:HEX, or the URL of a file of checksums."`
	Format       string `json:"format,omitzero" schema:"enum=qcow2|raw" doc:"qcow2 or raw. By default detected."`
	Pool         Addr   `json:"pool,omitzero" schema:"local,ref=pool" doc:"The pool that holds the base volume."`
	From         Addr   `json:"from,omitzero" schema:"local,ref=image|vm|volume" doc:"Instead of source: the image, vm (its first disk) or volume to copy. A running vm is shut down for the copy and started again."`
	Build        *Build `json:"build,omitzero" schema:"local" doc:"With from: changes the copy in a temporary guest before it becomes the image. The copy must have cloud-init."`
	Seal         *Seal  `json:"seal,omitzero" schema:"local" doc:"With from: removes what identifies a single machine: machine id, ssh host keys, cloud-init's state, logs, shell history, DHCP leases, random seed, network card names, cached packages. Also frees unused space."`
	Instancetype string `json:"instancetype,omitzero" schema:"input,ref=instancetype" doc:"Default instancetype of vms with this image."`
	Preference   string `json:"preference,omitzero" schema:"input,ref=preference" doc:"Default preference of vms with this image."`
	OS           string `json:"os,omitzero" schema:"input" doc:"The operating system, such as debian12, ubuntu24.04, win2k22 or freebsd14: selects the preference if none is set. By default from the catalogue."`
	MinMemory    Size   `json:"min_memory,omitzero" schema:"input" doc:"Minimum memory of vms with this image, and their default."`
	MinVCPUs     int    `json:"min_vcpus,omitzero" schema:"input" doc:"Minimum number of virtual CPUs of vms with this image, and their default."`
	MinDisk      Size   `json:"min_disk,omitzero" schema:"input" doc:"Minimum size of disks with this image, and their default. At least the image's own size."`
	// FullSource and FullChecksum are the two with a login or a query in them, of which Source and Checksum hold only what can be
	// shown: see SealLocations.
	FullSource   Secret `json:"full_source,omitzero" schema:"computed,local" doc:"source with its login and what stands behind its question mark; never recorded in clear."`
	FullChecksum Secret `json:"full_checksum,omitzero" schema:"computed,local" doc:"The same of checksum."`
	// Anonymous is set for one whose block may come from anybody: it is got without logins, and from public addresses only.
	Anonymous bool `json:"anonymous,omitzero" schema:"computed,input" doc:"Set for images of an appliance in a folder of its own, unless the project trusts where they are."`
	// Pin is the version that the image is held to when it is imported; once it is recorded, the version that was imported.
	// nil: any version will do, or the source has none (a file of this machine, From).
	Pin *Pin `json:"pin,omitzero" schema:"computed,local" doc:"The version of the source that the lock file holds the image to."`
	// PoolName and File place the base volume on the host; File changes with source, checksum and the pin's version.
	PoolName string `json:"pool_name,omitzero" schema:"computed" doc:"The pool's name on the host."`
	File     string `json:"file,omitzero" schema:"computed" doc:"The base volume's name in the pool. Changes with source and checksum."`
	Digest   string `json:"digest,omitzero" schema:"computed,local" doc:"sha256:HEX of the bits in the pool, known after import."`
	// Origin is the VolumeID of what is copied, and OriginBacking of what that is an overlay of.
	Origin        string   `json:"origin,omitzero" schema:"computed,local" doc:"The volume that the bits are copied from, as pool/file."`
	OriginBacking string   `json:"origin_backing,omitzero" schema:"computed,local" doc:"What that volume is an overlay of."`
	Builder       *Builder `json:"builder,omitzero" schema:"computed,local" doc:"The guest that builds."`
}

// Kind implements Resource.
func (*Image) Kind() Kind { return KindImage }

// Volume is a storage volume: of a block of its own, or a disk that a vm owns (Addr.Part "disk.LABEL").
type Volume struct {
	Meta
	Size          Size   `json:"size,omitzero" doc:"Virtual size. It can grow later; shrinking replaces the volume. With an image, at least the image's size."`
	Format        string `json:"format,omitzero" schema:"enum=qcow2|raw" doc:"qcow2 (default) or raw."`
	Pool          Addr   `json:"pool,omitzero" schema:"local,ref=pool" doc:"The pool it is in."`
	Image         Addr   `json:"image,omitzero" schema:"local,ref=image" doc:"Start as a copy-on-write overlay of this image."`
	Clone         Addr   `json:"clone,omitzero" schema:"local,ref=volume|disk" doc:"Create as a copy of this volume or disk of a vm (volume.x, vm.a.disk.root). Used only on creation: afterwards the two are independent."`
	CloneMode     string `json:"clone_mode,omitzero" schema:"input,enum=full|overlay" doc:"full (default): copy the source. overlay: create a copy-on-write overlay. Then no running guest may write to the source."`
	OnDelete      string `json:"on_delete,omitzero" schema:"local,enum=delete|retain" doc:"delete (default), or retain: keep the volume on the host when its block is removed."`
	OnImageChange string `json:"on_image_change,omitzero" schema:"local,enum=replace|ignore|warn" doc:"When the image changes: replace (default), ignore or warn, as in a vm."`
	// PoolName and File place the volume on the host.
	PoolName string `json:"pool_name,omitzero" schema:"computed" doc:"The pool's name on the host."`
	File     string `json:"file,omitzero" schema:"computed" doc:"The volume's name in the pool."`
	// Backing is the VolumeID ("pool/file") of the backing volume.
	Backing string `json:"backing,omitzero" schema:"computed" doc:"The volume this is an overlay of."`
	// CopyOf is the VolumeID of the volume that this one begins as a copy of, all that it stands on included. It is read
	// only when the volume is made: no host remembers it. With a recorded Backing of none it may also be what this was an
	// overlay of before it was flattened.
	CopyOf string `json:"copy_of,omitzero" schema:"computed,local" doc:"The volume this began as a full copy of."`
}

// Kind implements Resource.
func (*Volume) Kind() Kind { return KindVolume }

// Seed is the NoCloud seed ISO that a vm with cloud_init owns (Addr.Part "seed"). File changes with the content, so a new
// content is a new volume.
type Seed struct {
	Meta
	Pool          Addr   `json:"pool,omitzero" schema:"local,ref=pool"`
	PoolName      string `json:"pool_name,omitzero" schema:"computed"`
	File          string `json:"file,omitzero" schema:"computed"`
	UserData      Secret `json:"user_data,omitzero" schema:"local"`
	MetaData      Secret `json:"meta_data,omitzero" schema:"local"`
	NetworkConfig Secret `json:"network_config,omitzero" schema:"local"`
	VendorData    Secret `json:"vendor_data,omitzero" schema:"local"`
}

// Kind implements Resource.
func (*Seed) Kind() Kind { return KindSeed }

// VolumeID is how a disk's source and a backing file name a storage volume: "pool/file". Images, seeds and volumes have
// one; for other kinds it is empty.
func VolumeID(r Resource) string {
	var pool, file string
	switch r := r.(type) {
	case *Image:
		pool, file = r.PoolName, r.File
	case *Volume:
		pool, file = r.PoolName, r.File
	case *Seed:
		pool, file = r.PoolName, r.File
	default:
		return ""
	}
	return pool + "/" + file
}

// Key identifies an object among all that one host has: "vm/web", "pool/default", and "volume/POOL/FILE" for images,
// volumes and seeds, which are all storage volumes there.
func Key(r Resource) string {
	if id := VolumeID(r); id != "" {
		return string(KindVolume) + "/" + id
	}
	return string(r.Kind()) + "/" + r.Base().Name
}

// Label is what objects call their host (Meta.Host): the block's label, with its key if it has one.
func (h *Host) Label() string { return h.Addr.Name + h.Addr.Key }
