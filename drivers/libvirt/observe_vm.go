//go:build !nolibvirt

package libvirt

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"libvirt.org/go/libvirt"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/libvirt/internal/xmltree"
)

// Aliases of our devices. libvirt keeps what begins with "ua-" and hands it to QEMU.
const (
	aliasDisk = "ua-disk-"
	aliasNIC  = "ua-nic-"
)

// readDomains reads all domains: one list, and the XML of each, also of those that are not ours, for what they use.
func (o *observation) readDomains(ctx context.Context) error {
	list, err := o.conn.ListAllDomains(0)
	if err != nil {
		return fail(err, "list domains")
	}
	domains := pointers(list)
	defer func() {
		for _, dom := range domains {
			freeDomain(dom)
		}
	}()
	states, err := o.settledStates(ctx)
	if err != nil {
		return err
	}
	return each(ctx, len(domains), func(i int) error {
		err := o.readDomain(ctx, domains[i], states)
		if missing(err) {
			return nil // gone since it was listed
		}
		return err
	})
}

func (o *observation) readDomain(ctx context.Context, dom *libvirt.Domain, states domainStates) error {
	name, err := dom.GetName()
	if err != nil {
		return fail(err, "read a domain's name")
	}
	def, err := domainTree(dom, libvirt.DOMAIN_XML_INACTIVE)
	if err != nil {
		return err
	}
	var live *xmltree.Node
	if states.active[name] {
		if live, err = domainTree(dom, 0); err != nil {
			return err
		}
	}
	key := string(resource.KindVM) + "/" + name
	used := o.usedBy(def)
	if live != nil {
		used = union(used, o.usedBy(live))
	}
	o.addUser(key, used)
	mark := readMark(def.Get("metadata"))
	if !o.ours(key, mark) {
		return nil
	}
	want, _ := o.want[key].(*resource.VM)
	vm := o.pools.readVM(def, want)
	vm.Addr, vm.Autostart = o.address(key, mark), new(states.autostart[name])
	object := &drivers.Object{Resource: vm, Power: drivers.PowerOff, Saved: live == nil && states.saved[name], Mark: mark}
	if object.Kept, err = states.kept(dom, name, def); err != nil {
		return err
	}
	if live != nil {
		object.Power = drivers.PowerOn
		if states.paused[name] {
			object.Power = drivers.PowerPaused
		}
		if object.Running, err = o.readRunning(ctx, dom, live, object); err != nil {
			return err
		}
	}
	if states.snapshots[name] {
		if err := o.addSnapshots(dom, object); err != nil {
			return err
		}
	}
	o.add(object)
	return nil
}

// readRunning reads what the guest of a domain has now, beside what its object says that it is defined to have.
func (o *observation) readRunning(ctx context.Context, dom *libvirt.Domain, live *xmltree.Node, object *drivers.Object) (resource.Resource, error) {
	vm := object.Resource.(*resource.VM)
	want, _ := o.want[resource.Key(vm)].(*resource.VM)
	running := o.pools.readVM(live, want)
	running.Addr, running.Autostart = vm.Addr, vm.Autostart
	if vm.CPU == "host-model" {
		running.CPU = vm.CPU // libvirt expands it to a model with features when the guest starts
	}
	if running.Memory == running.MaxMemory {
		// A guest begins with all it can have, and gives back what is not meant for it once its balloon driver is there.
		running.Memory = min(vm.Memory, running.MaxMemory)
	}
	if running.Memory > vm.Memory {
		var err error
		if running.Memory, err = balloonAtRest(ctx, dom, running.Memory); err != nil {
			return nil, err
		}
	}
	if err := o.readOpenForwards(dom, live, running, vm); err != nil {
		return nil, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, n := range running.NICs {
		if n.Source != "" {
			o.leased = append(o.leased, n.Source)
		}
	}
	return running, nil
}

// addSnapshots tells of the snapshots of a domain, and makes of it what it is without external ones.
func (o *observation) addSnapshots(dom *libvirt.Domain, object *drivers.Object) error {
	trees, err := snapshotTrees(dom)
	if err != nil {
		return fmt.Errorf("vm %s: %w", object.Resource.Base().Name, err)
	}
	object.Kept = append(o.foldSnapshots(trees, object).names, object.Kept...)
	object.Snapshots = snapshotInfos(trees)
	return nil
}

func domainTree(dom *libvirt.Domain, flags libvirt.DomainXMLFlags) (*xmltree.Node, error) {
	text, err := dom.GetXMLDesc(flags)
	if err != nil {
		name, _ := dom.GetName()
		return nil, fail(err, "read the definition of domain %s", name)
	}
	tree, err := xmltree.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("read a domain's definition: %w", err)
	}
	return tree, nil
}

// wholeDefinition is a domain's definition for who defines it anew: with the password of its graphical console, which would
// be taken away otherwise.
func wholeDefinition(dom *libvirt.Domain) (*xmltree.Node, error) {
	return domainTree(dom, libvirt.DOMAIN_XML_INACTIVE|libvirt.DOMAIN_XML_SECURE)
}

// usedBy lists the Keys of volumes, of the pools they lie in, and of networks that a domain uses.
func (o *observation) usedBy(def *xmltree.Node) []string {
	var keys []string
	for _, k := range def.Get("devices").Children() {
		switch k.Name {
		case "disk":
			for link := k; link != nil; link = link.Get("backingStore") {
				if id := o.pools.diskSource(link); strings.Contains(id, "/") && !strings.HasPrefix(id, "/") {
					pool, _, _ := strings.Cut(id, "/")
					keys = append(keys, string(resource.KindVolume)+"/"+id, string(resource.KindPool)+"/"+pool)
				}
			}
		case "interface":
			if network := k.Get("source").Attr("network"); network != "" {
				keys = append(keys, string(resource.KindNetwork)+"/"+network)
			}
		}
	}
	return union(nil, keys)
}

// union adds to a what is new in b.
func union(a, b []string) []string {
	seen := make(map[string]bool, len(a)+len(b))
	for _, s := range a {
		seen[s] = true
	}
	for _, s := range b {
		if !seen[s] {
			seen[s] = true
			a = append(a, s)
		}
	}
	return a
}

// readVM turns a domain into a vm in canonical form. want, which may be nil, tells whether a versioned machine is meant.
func (pools poolIndex) readVM(def *xmltree.Node, want *resource.VM) *resource.VM {
	osNode := def.Get("os")
	vm := &resource.VM{
		UUID:        def.Get("uuid").Text(),
		Title:       def.Get("title").Text(),
		Description: def.Get("description").Text(),
		MaxVCPUs:    number(def.Get("vcpu").Text()),
		MaxMemory:   sizeOf(def.Get("memory")),
		Memory:      sizeOf(def.Get("currentMemory")),
		CPU:         readCPU(def.Get("cpu")),
		DomainType:  readDomainType(def.Attr("type")),
		Arch:        osNode.Get("type").Attr("arch"),
		Machine:     osNode.Get("type").Attr("machine"),
	}
	vm.Name = def.Get("name").Text()
	vm.VCPUs = vm.MaxVCPUs
	if current := def.Get("vcpu").Attr("current"); current != "" {
		vm.VCPUs = number(current)
	}
	if vm.Memory == 0 {
		vm.Memory = vm.MaxMemory
	}
	if want == nil || want.Machine != vm.Machine {
		vm.Machine = machineFamily(vm.Machine)
	}
	readFirmware(osNode, vm)
	nics := 0
	for _, k := range def.Get("devices").Children() {
		switch k.Name {
		case "disk":
			if kind := k.Attr("device"); kind == "" || kind == "disk" || kind == "cdrom" {
				vm.Disks = append(vm.Disks, pools.readDisk(k))
			}
		case "interface":
			vm.NICs = append(vm.NICs, readNIC(k, nics))
			nics++
		case "graphics":
			if vm.Graphics == nil {
				vm.Graphics = readGraphics(k)
			}
		case "tpm":
			if backend := k.Get("backend"); backend.Attr("type") == "emulator" {
				vm.TPM = &resource.TPM{Version: backend.Attr("version"), Model: k.Attr("model")}
			}
		}
	}
	readForwards(def.Get("metadata"), vm)
	return vm
}

func readDomainType(t string) string {
	if t == "test" {
		return "qemu"
	}
	return t
}

func readCPU(cpu *xmltree.Node) string {
	switch mode := cpu.Attr("mode"); {
	case mode == "custom", mode == "" && cpu.Get("model") != nil:
		return cpu.Get("model").Text()
	default:
		return mode
	}
}

// readFirmware understands both ways to say UEFI: by feature, and by the files that libvirt chose for it.
func readFirmware(osNode *xmltree.Node, vm *resource.VM) {
	loader := osNode.Get("loader")
	if osNode.Attr("firmware") != "efi" && loader.Attr("type") != "pflash" {
		vm.Firmware = "bios"
		return
	}
	secure := loader.Attr("secure") == "yes"
	for _, f := range osNode.Get("firmware").All("feature") {
		if f.Attr("name") == "secure-boot" {
			secure = f.Attr("enabled") == "yes"
		}
	}
	vm.Firmware, vm.SecureBoot = "uefi", &secure
}

func (pools poolIndex) readDisk(n *xmltree.Node) resource.Disk {
	disk := resource.Disk{
		Source:   pools.diskSource(n),
		Bus:      n.Get("target").Attr("bus"),
		Device:   "disk",
		ReadOnly: new(n.Get("readonly") != nil),
		Cache:    n.Get("driver").Attr("cache"),
	}
	if device := n.Attr("device"); device != "" {
		disk.Device = device
	}
	disk.Label = label(n, aliasDisk, n.Get("target").Attr("dev"))
	return disk
}

// label is the name that our alias holds, or other for a device that is not ours.
func label(n *xmltree.Node, prefix, other string) string {
	if l, ok := strings.CutPrefix(n.Get("alias").Attr("name"), prefix); ok {
		return l
	}
	return other
}

// diskSource names a disk's (or one of its backing files') source: "pool/file" inside a pool, else what libvirt says.
func (pools poolIndex) diskSource(disk *xmltree.Node) string {
	source := disk.Get("source")
	switch disk.Attr("type") {
	case "volume":
		return source.Attr("pool") + "/" + source.Attr("volume")
	case "block":
		return source.Attr("dev")
	case "network":
		return source.Attr("protocol") + ":" + source.Attr("name")
	}
	return pools.volumeID(source.Attr("file"))
}

func readNIC(n *xmltree.Node, index int) resource.NIC {
	nic := resource.NIC{
		Model: n.Get("model").Attr("type"),
		MAC:   strings.ToLower(n.Get("mac").Attr("address")),
		Link:  new(n.Get("link").Attr("state") != "down"),
		User:  new(n.Attr("type") == "user"),
	}
	switch n.Attr("type") {
	case "network":
		nic.Source = n.Get("source").Attr("network")
	case "bridge":
		nic.Bridge = n.Get("source").Attr("bridge")
	}
	nic.Label = label(n, aliasNIC, "net"+strconv.Itoa(index))
	if limits := n.Get("bandwidth"); limits != nil {
		nic.Bandwidth = &resource.Bandwidth{Inbound: readRate(limits.Get("inbound")), Outbound: readRate(limits.Get("outbound"))}
		normalizeBandwidth(&nic)
	}
	return nic
}

func readRate(n *xmltree.Node) *resource.Rate {
	if n == nil {
		return nil
	}
	return &resource.Rate{Average: number(n.Attr("average")), Peak: number(n.Attr("peak")), Burst: number(n.Attr("burst"))}
}

func readGraphics(n *xmltree.Node) *resource.Graphics {
	kind := n.Attr("type")
	if kind != "vnc" && kind != "spice" {
		return nil
	}
	g := &resource.Graphics{Type: kind, Listen: n.Attr("listen")}
	if listen := n.Get("listen").Attr("address"); g.Listen == "" {
		g.Listen = listen
	}
	if n.Attr("autoport") != "yes" {
		g.Port = max(number(n.Attr("port")), 0)
	}
	return g
}

// sizeOf reads an element such as <memory unit='KiB'>.
func sizeOf(n *xmltree.Node) resource.Size {
	if n == nil {
		return 0
	}
	v, _ := strconv.ParseUint(strings.TrimSpace(n.Text()), 10, 64)
	switch n.Attr("unit") {
	case "bytes", "b":
		return resource.Size(v)
	case "MiB", "M":
		return resource.Size(v) * resource.MiB
	case "GiB", "G":
		return resource.Size(v) * resource.GiB
	}
	return resource.Size(v) * resource.KiB
}

func number(text string) int {
	n, _ := strconv.Atoi(text)
	return n
}

// readLeases adds the addresses that the networks' DHCP servers gave to running guests.
func (o *observation) readLeases(ctx context.Context) error {
	if len(o.leased) == 0 || o.test {
		return nil
	}
	addresses := map[string][]string{} // by network and MAC
	for _, network := range union(nil, o.leased) {
		if err := ctx.Err(); err != nil {
			return err
		}
		leases, err := o.leases(network)
		if err != nil {
			return err
		}
		for _, l := range leases {
			addresses[network+" "+l.Mac] = append(addresses[network+" "+l.Mac], l.IPaddr)
		}
	}
	for _, object := range o.objects {
		vm, ok := object.Running.(*resource.VM)
		if !ok {
			continue
		}
		for _, nic := range vm.NICs {
			if ips := addresses[nic.Source+" "+nic.MAC]; len(ips) > 0 {
				if object.Addresses == nil {
					object.Addresses = map[string][]string{}
				}
				object.Addresses[nic.Label] = ips
			}
		}
	}
	return nil
}

func (s *session) leases(network string) ([]libvirt.NetworkDHCPLease, error) {
	n, err := s.conn.LookupNetworkByName(network)
	if missing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fail(err, "look up network %s", network)
	}
	defer freeNetwork(n)
	leases, err := n.GetDHCPLeases()
	if hasCode(err, libvirt.ERR_OPERATION_INVALID, libvirt.ERR_NO_SUPPORT, libvirt.ERR_OPERATION_UNSUPPORTED) {
		return nil, nil // inactive, or a network without a DHCP server of libvirt's
	}
	return leases, fail(err, "read the leases of network %s", network)
}
