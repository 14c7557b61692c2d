//go:build !nolibvirt

package libvirt

import (
	"context"
	"fmt"
	"strings"

	"libvirt.org/go/libvirt"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/libvirt/internal/definition"
	"vmplan.dev/vmplan/drivers/libvirt/internal/xmltree"
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

// wholeDefinition is a domain's definition with its secrets. Use it to redefine a domain: without them, that would remove the
// password of its graphical console.
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

// readVM turns a domain into a vm in canonical form: see definition.ReadVM.
func (pools poolIndex) readVM(def *xmltree.Node, want *resource.VM) *resource.VM {
	return definition.ReadVM(def, want, pools.volumeID)
}

// diskSource names a disk's (or one of its backing files') source: see definition.Source.
func (pools poolIndex) diskSource(disk *xmltree.Node) string {
	return definition.Source(disk, pools.volumeID)
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
