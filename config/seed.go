package config

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"vmplan.dev/vmplan/config/resource"
)

// hostname is what the guest calls itself: as given, or the vm's name made fit for DNS.
func hostname(vm *resource.VM) string {
	if vm.CloudInit != nil && vm.CloudInit.Hostname != "" {
		short, _, _ := strings.Cut(vm.CloudInit.Hostname, ".")
		return short
	}
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '-'
	}, vm.Name)
	return strings.Trim(name[:min(len(name), 63)], "-")
}

// seedPool gives the pool for the seed of a vm whose own disks lie in pools: the one it lies in already, if that is among
// them, or else the first. Without disks of the vm's own it is a pool like that of a disk.
func (p *placement) seedPool(o *object, vm *resource.VM, pools []*resource.Pool) *resource.Pool {
	addr := vm.Addr.WithPart(seedPart)
	if len(pools) == 0 {
		return p.pool(o, "cloud_init", addr, resource.Addr{})
	}
	recorded := p.locationOf(addr)
	i := slices.IndexFunc(pools, func(pool *resource.Pool) bool { return pool.Name == recorded.poolName })
	return pools[max(i, 0)]
}

// seed turns cloud_init into a seed and the disk that shows it to the guest.
func (p *placement) seed(o *object, vm *resource.VM, pools []*resource.Pool) {
	pool := p.seedPool(o, vm, pools)
	if pool == nil {
		return
	}
	s := &resource.Seed{Meta: p.part(vm, seedPart, vm.Name+"-"+seedPart), Pool: pool.Addr, PoolName: pool.Name}
	content := p.fillSeed(vm, s)
	s.File = fmt.Sprintf("%s-%s.iso", p.seedPrefix(vm), resource.NewSecret(content, p.prior.Salt).Hash()[:8])
	if was := recorded[*resource.Seed](p.evaluator, s.Addr); was != nil && vm.Lifecycle != nil && slices.Contains(vm.Lifecycle.IgnoreChanges, cloudInit) {
		s.File = was.File
	}
	p.extra = append(p.extra, s)
	yes, bus := true, "virtio"
	if len(vm.Disks) > 0 {
		bus = vm.Disks[0].Bus
	}
	vm.Disks = append(vm.Disks, resource.Disk{
		Label: seedLabel, Volume: s.Addr, Source: resource.VolumeID(s), Bus: bus, Device: "disk", ReadOnly: &yes,
	})
}

// fillSeed writes the four files, and gives all their text.
func (p *placement) fillSeed(vm *resource.VM, s *resource.Seed) string {
	ci := vm.CloudInit
	user, _ := ci.UserData.Clear()
	vendor, _ := ci.VendorData.Clear()
	extra, _ := ci.MetaData.Clear()
	network, _ := ci.NetworkConfig.Clear()
	ours := p.cloudConfig(vm)
	switch {
	case user == "":
		user = ours
	case vendor == "":
		vendor = ours // both apply, and what the user says wins
	}
	if network == "" {
		network = p.networkConfig(vm)
	}
	host := hostname(vm)
	// A new instance-id makes cloud-init run again, so it changes with all that the guest is told.
	whole := strings.Join([]string{vm.UUID, host, user, vendor, extra, network, strings.Join(ci.SSHAuthorizedKeys, "\n")}, "\x00")
	meta := metaData(vm, extra, "vmplan-"+resource.NewSecret(whole, p.prior.Salt).Hash()[:16])
	s.UserData = resource.NewSecret(user, p.prior.Salt)
	s.VendorData = resource.NewSecret(vendor, p.prior.Salt)
	s.NetworkConfig = resource.NewSecret(network, p.prior.Salt)
	s.MetaData = resource.NewSecret(meta, p.prior.Salt)
	return strings.Join([]string{user, vendor, network, meta}, "\x00")
}

// cloudConfig is what vmplan itself tells cloud-init. Keys open the image's default user, and root.
func (p *placement) cloudConfig(vm *resource.VM) string {
	var b strings.Builder
	b.WriteString("#cloud-config\n")
	fmt.Fprintf(&b, "hostname: %s\n", quote(hostname(vm)))
	if fqdn := p.fqdn(vm); fqdn != "" {
		fmt.Fprintf(&b, "fqdn: %s\n", quote(fqdn))
	}
	if keys := vm.CloudInit.SSHAuthorizedKeys; len(keys) > 0 {
		b.WriteString("disable_root: false\nssh_authorized_keys:\n")
		for _, k := range keys {
			fmt.Fprintf(&b, "  - %s\n", quote(strings.TrimSpace(k)))
		}
	}
	return b.String()
}

// fqdn is the full name of the guest: as given, or with the domain of its first network that has one.
func (p *placement) fqdn(vm *resource.VM) string {
	if strings.Contains(vm.CloudInit.Hostname, ".") {
		return vm.CloudInit.Hostname
	}
	for i := range vm.NICs {
		if net := p.networkOf(&vm.NICs[i]); net != nil && net.Domain != "" {
			return hostname(vm) + "." + net.Domain
		}
	}
	return ""
}

func (p *placement) networkOf(n *resource.NIC) *resource.Network {
	if o := p.byID[n.Network.String()]; o != nil && !n.Network.IsZero() {
		return o.res.(*resource.Network)
	}
	return nil
}

// metaData writes the meta-data: what the user adds replaces a line of ours with the same name.
func metaData(vm *resource.VM, extra, instance string) string {
	var b strings.Builder
	line := func(key, value string) {
		if !strings.Contains("\n"+extra, "\n"+key+":") {
			fmt.Fprintf(&b, "%s: %s\n", key, value)
		}
	}
	line("instance-id", instance)
	line("local-hostname", hostname(vm))
	if keys := vm.CloudInit.SSHAuthorizedKeys; len(keys) > 0 {
		line("public-keys", quote(keys))
	}
	b.WriteString(extra)
	return b.String()
}

// networkConfig names the interfaces after the nics and, where no DHCP server gives the address, sets it. Matching by MAC
// with set-name is what all of cloud-init's renderers understand.
func (p *placement) networkConfig(vm *resource.VM) string {
	if len(vm.NICs) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("version: 2\nethernets:\n")
	for i := range vm.NICs {
		n := &vm.NICs[i]
		fmt.Fprintf(&b, "  %s:\n    match:\n      macaddress: %s\n    set-name: %s\n", quote(n.Label), quote(n.MAC), quote(n.Label))
		net := p.networkOf(n)
		prefix, known := p.prefixOf(n.Network)
		if net == nil || n.Address == "" || reserves(net) || !known {
			b.WriteString("    dhcp4: true\n")
			continue
		}
		gateway, _ := hostRange(prefix)
		b.WriteString(static(n.Address, net.Mode, prefix, gateway))
	}
	return b.String()
}

// static writes an address that the guest sets itself. The first address of the range is taken to be the gateway and to
// answer DNS: it is the host's own where vmplan makes the network, and the custom elsewhere. An isolated network leads
// nowhere.
func static(address, mode string, prefix netip.Prefix, gateway netip.Addr) string {
	var b strings.Builder
	fmt.Fprintf(&b, "    dhcp4: false\n    addresses:\n      - %s\n", quote(fmt.Sprintf("%s/%d", address, prefix.Bits())))
	if mode != "isolated" {
		fmt.Fprintf(&b, "    routes:\n      - to: \"0.0.0.0/0\"\n        via: %s\n", quote(gateway.String()))
	}
	fmt.Fprintf(&b, "    nameservers:\n      addresses:\n        - %s\n", quote(gateway.String()))
	return b.String()
}

// quote writes a text or list as JSON, which every YAML reader takes.
func quote(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic("config: a text cannot be quoted: " + err.Error())
	}
	return string(text)
}

func compareAddresses(a, b string) int {
	x, _ := netip.ParseAddr(a)
	y, _ := netip.ParseAddr(b)
	return x.Compare(y)
}
