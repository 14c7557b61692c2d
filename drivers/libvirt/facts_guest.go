//go:build !nolibvirt

package libvirt

import (
	"fmt"
	"slices"
	"strconv"
	"sync"

	"libvirt.org/go/libvirt"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/libvirt/internal/definition"
	"vmplan.dev/vmplan/drivers/libvirt/internal/xmltree"
)

// guestKind is what the host is asked about: as a vm says it, and as the vm would be defined.
type guestKind struct {
	arch, domainType, machine string // as drivers.GuestFacts
	realArch, virt, chipset   string
}

// guestCache keeps what a host has told of each kind while the connection lasts.
type guestCache struct {
	mu    sync.Mutex
	facts map[guestKind]*drivers.GuestFacts
}

// readWantedFacts asks for what only some plans need to know: each kind of guest that is wanted, and the interfaces if
// something names a bridge. A thousand vms are of one kind or two.
func (o *observation) readWantedFacts(host *hostFacts) (drivers.Facts, error) {
	facts := host.Facts
	facts.FreeMemory = freeMemory(o.conn)
	var kinds []guestKind
	bridged := false
	for _, r := range o.want {
		switch r := r.(type) {
		case *resource.VM:
			if kind := o.kindOf(r, host); !slices.Contains(kinds, kind) {
				kinds = append(kinds, kind)
			}
			bridged = bridged || slices.ContainsFunc(r.NICs, func(n resource.NIC) bool { return n.Bridge != "" })
		case *resource.Network:
			bridged = bridged || r.Mode == "bridge"
		}
	}
	slices.SortFunc(kinds, func(a, b guestKind) int { return slices.Compare(a.sortKey(), b.sortKey()) })
	if !o.test {
		for _, kind := range kinds {
			g, err := o.guests.of(o.session, host, kind)
			if err != nil {
				return facts, err
			}
			facts.Guests = append(facts.Guests, *g)
		}
	}
	if host.local {
		facts.Folders = o.readFolders(host.guestUser)
	}
	var err error
	if bridged {
		facts.Interfaces, err = readInterfaces(o.conn)
	}
	return facts, err
}

func (k guestKind) sortKey() []string { return []string{k.arch, k.domainType, k.machine} }

func (o *observation) kindOf(vm *resource.VM, host *hostFacts) guestKind {
	h := host.guestHost(o.test)
	kind := guestKind{arch: vm.Arch, domainType: vm.DomainType, machine: vm.Machine, realArch: h.ArchOf(vm), chipset: h.Machine(vm)}
	kind.virt, _ = h.DomainType(vm) // a host with none says so when it is asked
	return kind
}

func (c *guestCache) of(s *session, host *hostFacts, kind guestKind) (*drivers.GuestFacts, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if g := c.facts[kind]; g != nil {
		return g, nil
	}
	g, err := readGuestFacts(s.conn, kind)
	if err != nil {
		return nil, err
	}
	g.Machines = host.machines[kind.realArch]
	if c.facts == nil {
		c.facts = map[guestKind]*drivers.GuestFacts{}
	}
	c.facts[kind] = g
	return g, nil
}

// readGuestFacts asks for the domain capabilities. A kind that the host refuses to tell about has just its name.
func readGuestFacts(conn *libvirt.Connect, kind guestKind) (*drivers.GuestFacts, error) {
	g := &drivers.GuestFacts{Arch: kind.arch, DomainType: kind.domainType, Machine: kind.machine}
	text, err := conn.GetDomainCapabilities("", kind.realArch, kind.chipset, kind.virt, 0)
	if notOffered(err) || hasCode(err, libvirt.ERR_CONFIG_UNSUPPORTED, libvirt.ERR_INTERNAL_ERROR) {
		return g, nil
	}
	if err != nil {
		return nil, fail(err, "read what %s guests can have", kind.realArch)
	}
	caps, err := xmltree.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("read what %s guests can have: %w", kind.realArch, err)
	}
	g.MaxVCPUs, _ = strconv.Atoi(caps.Get("vcpu").Attr("max"))
	g.CPUs = readCPUs(caps.Get("cpu"))
	if definition.IsX86(kind.realArch) {
		g.Firmwares = append(g.Firmwares, "bios")
	}
	if osNode := caps.Get("os"); slices.Contains(enum(osNode, "firmware"), "efi") {
		g.Firmwares = append(g.Firmwares, "uefi")
		g.SecureBoot = slices.Contains(enum(osNode.Get("loader"), "secure"), "yes")
	}
	if tpm := caps.Get("devices", "tpm"); tpm != nil {
		g.TPMs = []string{}
		if slices.Contains(enum(tpm, "backendModel"), "emulator") {
			g.TPMs = append(g.TPMs, enum(tpm, "backendVersion")...)
		}
	}
	return g, nil
}

// readCPUs lists modes and models that work here.
func readCPUs(cpu *xmltree.Node) []string {
	var out []string
	for _, mode := range cpu.All("mode") {
		if mode.Attr("supported") != "yes" {
			continue
		}
		if name := mode.Attr("name"); name != "custom" {
			out = append(out, name)
			continue
		}
		for _, model := range mode.All("model") {
			if model.Attr("usable") != "no" {
				out = append(out, model.Text())
			}
		}
	}
	return out
}

// enum lists the values of one of a capability's enumerations.
func enum(n *xmltree.Node, name string) []string {
	var out []string
	for _, e := range n.All("enum") {
		if e.Attr("name") == name {
			for _, v := range e.All("value") {
				out = append(out, v.Text())
			}
		}
	}
	return out
}

// machinesOf lists the machine types of each architecture.
func machinesOf(caps *xmltree.Node) map[string][]string {
	out := map[string][]string{}
	for _, guest := range caps.All("guest") {
		arch := guest.Get("arch")
		var names []string
		for _, n := range append([]*xmltree.Node{arch}, arch.All("domain")...) {
			for _, m := range n.All("machine") {
				names = append(names, m.Text())
			}
		}
		slices.Sort(names)
		out[arch.Attr("name")] = slices.Compact(names)
	}
	return out
}

// readInterfaces lists the host's network interfaces; nil when it does not tell.
func readInterfaces(conn *libvirt.Connect) ([]string, error) {
	list, err := conn.ListAllInterfaces(0)
	if notOffered(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fail(err, "list the host's interfaces")
	}
	var names []string
	for _, i := range pointers(list) {
		name, err := i.GetName()
		_ = i.Free()
		if err != nil {
			return nil, fail(err, "list the host's interfaces")
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return names, nil
}

// freeMemory counts what the kernel gives back when asked; 0 when the host does not tell.
func freeMemory(conn *libvirt.Connect) resource.Size {
	stats, err := conn.GetMemoryStats(libvirt.NODE_MEMORY_STATS_ALL_CELLS, 0)
	if err != nil {
		return 0
	}
	return resource.Size(stats.Free+stats.Buffers+stats.Cached) * resource.KiB
}
