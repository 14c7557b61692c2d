package sim

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/google/uuid"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
)

// Data is everything a host has: the JSON file's content. Objects are called by their key in the map.
type Data struct {
	Hostname    string        `json:"hostname"`
	UUID        string        `json:"uuid"`
	Arch        string        `json:"arch"`
	CPUs        int           `json:"cpus"`
	Memory      resource.Size `json:"memory"`
	DomainTypes []string      `json:"domain_types"`
	Interfaces  []string      `json:"interfaces,omitempty"` // beside lo, eth0 and the networks' bridges
	// Folders are those that are not as pools want them.
	Folders map[string]drivers.Folder `json:"folders,omitempty"`
	// Unavailable makes every call fail with ErrUnavailable and this text.
	Unavailable string              `json:"unavailable,omitempty"`
	Pools       map[string]*Pool    `json:"pools"`
	Networks    map[string]*Network `json:"networks"`
	Volumes     map[string]*Volume  `json:"volumes"` // by VolumeID; those of a pool that is not defined are hidden
	VMs         map[string]*VM      `json:"vms"`
	Guests      map[string]Guest    `json:"guests,omitempty"` // by vm
	Faults      []Fault             `json:"faults,omitempty"`
}

// Pool is a storage pool.
type Pool struct {
	resource.Pool
	Inactive bool          `json:"inactive,omitzero"`
	Capacity resource.Size `json:"capacity"`
}

// Network is a virtual network.
type Network struct {
	resource.Network
	Inactive bool              `json:"inactive,omitzero"`
	Leases   map[string]string `json:"leases,omitempty"` // address by MAC, for guests without a reservation
	Mark     *drivers.Mark     `json:"mark,omitempty"`
}

// Volume is a storage volume: a disk, an image's bits or a seed. Raw ones take their size of the pool, the others what Used says.
type Volume struct {
	Size    resource.Size `json:"size"`
	Format  string        `json:"format"`
	Backing string        `json:"backing,omitempty"`
	Digest  string        `json:"digest,omitempty"` // of an image's bits
	Used    resource.Size `json:"used,omitempty"`
	// Content is a text that stands at the beginning of the disk, which is empty otherwise: what a guest has written, so to
	// speak. Without it, an overlay holds what its backing volume does, and an image its Digest.
	Content string `json:"content,omitempty"`
}

// VM is a virtual machine: its definition, and what became of it.
type VM struct {
	resource.VM
	Power drivers.Power `json:"power"`
	// Live is what the running guest has; nil when that is what is defined.
	Live  *resource.VM `json:"live,omitempty"`
	Boots int          `json:"boots,omitempty"`
	Saved bool         `json:"saved,omitempty"` // its memory is saved: it resumes instead of booting
	// Snapshots that were taken of it, oldest first.
	Snapshots []Snapshot    `json:"snapshots,omitempty"`
	Mark      *drivers.Mark `json:"mark,omitempty"`
}

// Snapshot is a snapshot of a VM.
type Snapshot struct {
	drivers.SnapshotInfo
	VM    *resource.VM      `json:"vm"`    // the definition
	Disks map[string]Volume `json:"disks"` // by VolumeID
}

// Guest is how the system inside a vm behaves.
type Guest struct {
	Stubborn bool   `json:"stubborn,omitempty"` // does not heed a graceful shutdown
	Silent   bool   `json:"silent,omitempty"`   // is never ready, and gets no address from DHCP
	Serial   string `json:"serial,omitempty"`   // what its serial log ends with
}

const (
	defaultCapacity = resource.TiB
	thinUse         = 256 * resource.KiB // of a new qcow2 file
)

// running is what a guest that is on has.
func (vm *VM) running() *resource.VM {
	if vm.Live != nil {
		return vm.Live
	}
	return &vm.VM
}

// both are the definition and what runs.
func (vm *VM) both() [2]*resource.VM { return [2]*resource.VM{&vm.VM, vm.running()} }

func (vm *VM) usesVolume(id string) bool {
	for _, r := range vm.both() {
		if slices.ContainsFunc(r.Disks, func(d resource.Disk) bool { return d.Source == id }) {
			return true
		}
	}
	return false
}

func (vm *VM) usesNetwork(name string) bool {
	for _, r := range vm.both() {
		if slices.ContainsFunc(r.NICs, func(n resource.NIC) bool { return n.Source == name }) {
			return true
		}
	}
	return false
}

// on tells whether there is a guest, running or paused.
func (vm *VM) on() bool { return vm.Power != drivers.PowerOff }

// use is what the volume takes of its pool.
func (v *Volume) use() resource.Size {
	if v.Format == "raw" && v.Digest == "" {
		return v.Size
	}
	return v.Used
}

// free is what is left of the pool.
func (d *Data) free(pool string) resource.Size {
	left := d.Pools[pool].Capacity
	for id, v := range d.Volumes {
		if name, _, _ := strings.Cut(id, "/"); name == pool {
			left -= min(left, v.use())
		}
	}
	return left
}

// volume finds a volume of a pool that is defined, or nil.
func (d *Data) volume(id string) *Volume {
	pool, _, _ := strings.Cut(id, "/")
	if d.Pools[pool] == nil {
		return nil
	}
	return d.Volumes[id]
}

// complete fills in what a hand-written file leaves out.
func (d *Data) complete() {
	setDefault(&d.Hostname, "sim")
	setDefault(&d.UUID, nameUUID("host"))
	setDefault(&d.Arch, "x86_64")
	setDefault(&d.CPUs, 8)
	setDefault(&d.Memory, 64*resource.GiB)
	if d.DomainTypes == nil {
		d.DomainTypes = []string{"kvm", "qemu"}
	}
	completeMap(&d.Pools, func(name string, p *Pool) { d.fillPool(name, p) })
	completeMap(&d.Networks, func(name string, n *Network) { d.fillNetwork(name, n) })
	completeMap(&d.Volumes, func(_ string, v *Volume) { fillVolume(v) })
	completeMap(&d.VMs, func(name string, vm *VM) { d.fillVM(name, vm) })
}

func completeMap[T any](m *map[string]*T, fill func(name string, v *T)) {
	if *m == nil {
		*m = map[string]*T{}
	}
	for name, v := range *m {
		if v == nil { // null in the file
			delete(*m, name)
			continue
		}
		fill(name, v)
	}
}

func (d *Data) fillPool(name string, p *Pool) {
	p.Pool = *bare(&p.Pool)
	normalizePool(&p.Pool)
	setDefault(&p.UUID, nameUUID("pool "+name))
	setDefault(&p.Path, "/var/lib/libvirt/"+name)
	setDefault(&p.Capacity, defaultCapacity)
}

func (d *Data) fillNetwork(name string, n *Network) {
	n.Network = *bare(&n.Network)
	canonicalNetwork(&n.Network)
	defaultNetwork(&n.Network)
	setDefault(&n.UUID, nameUUID("network "+name))
	if n.Mode != "bridge" && n.Bridge == "" {
		n.Bridge = d.freeBridge()
	}
}

func (d *Data) freeBridge() string {
	taken := map[string]bool{}
	for _, n := range d.Networks {
		taken[n.Bridge] = true
	}
	for i := 0; ; i++ {
		if name := fmt.Sprint("virbr", i); !taken[name] {
			return name
		}
	}
}

func fillVolume(v *Volume) {
	setDefault(&v.Format, "qcow2")
	setDefault(&v.Used, thinUse)
}

func (d *Data) fillVM(name string, vm *VM) {
	vm.VM = *bare(&vm.VM)
	d.fillDefinition(name, &vm.VM)
	setDefault(&vm.Power, drivers.PowerOff)
	if vm.Live != nil {
		vm.Live = bare(vm.Live)
		vm.Live.UUID = vm.UUID
		d.fillDefinition(name, vm.Live)
	}
}

// fillDefinition does what libvirt does to a definition: everything becomes explicit, aliases are resolved.
func (d *Data) fillDefinition(name string, vm *resource.VM) {
	canonicalVM(vm)
	defaultVM(vm)
	vm.MaxVCPUs, vm.MaxMemory = max(vm.MaxVCPUs, vm.VCPUs), max(vm.MaxMemory, vm.Memory) // someone edited one alone
	setDefault(&vm.UUID, nameUUID("vm "+name))
	setDefault(&vm.Arch, d.Arch)
	setDefault(&vm.DomainType, d.DomainTypes[0])
	if vm.CPU == "" {
		vm.CPU = map[string]string{"kvm": "host-model", "qemu": "maximum"}[vm.DomainType]
	}
	if full := machineAliases[vm.Machine]; full != "" {
		vm.Machine = full
	}
	for i := range vm.NICs {
		if n := &vm.NICs[i]; n.MAC == "" {
			sum := sha256.Sum256([]byte(name + " " + n.Label))
			n.MAC = fmt.Sprintf("52:54:00:%02x:%02x:%02x", sum[0], sum[1], sum[2])
		}
	}
}

// bare is r without what a host has no place for: its name (the map's key), address and local fields. It is what the
// three-way comparison makes of a live object before it looks at records.
func bare[R resource.Resource](r R) R {
	b, _ := resource.Overlay(r, nil, r)
	b.Base().Name, b.Base().Addr = "", resource.Addr{}
	return b.(R)
}

// lease gives the address that the network's DHCP server answers mac with, "" when it does not. fresh tells that it is a new lease.
func (n *Network) lease(mac string) (addr string, fresh bool) {
	if n.DHCP == nil || !*n.DHCP {
		return "", false
	}
	taken := map[string]bool{}
	for _, r := range n.Reservations {
		if r.MAC == mac {
			return r.Address, false
		}
		taken[r.Address] = true
	}
	if addr, ok := n.Leases[mac]; ok {
		return addr, false
	}
	for _, a := range n.Leases {
		taken[a] = true
	}
	first, err1 := netip.ParseAddr(n.DHCPStart)
	last, err2 := netip.ParseAddr(n.DHCPEnd)
	if err1 != nil || err2 != nil {
		return "", false
	}
	for a := first; a.IsValid() && !last.Less(a); a = a.Next() {
		if !taken[a.String()] {
			return a.String(), true
		}
	}
	return "", false
}

func (d *Data) clone() (*Data, error) {
	text, err := json.Marshal(d)
	if err != nil {
		return nil, err
	}
	out := &Data{}
	if err := json.Unmarshal(text, out); err != nil {
		return nil, err
	}
	out.complete()
	return out, nil
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// nameUUID makes a UUID from a text: the same one every time.
func nameUUID(text string) string {
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte("sim:"+text)).String()
}
