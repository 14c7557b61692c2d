package complete

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"

	"vmplan.dev/vmplan/config/resource"
)

// Hostname is what the guest calls itself: as given, or the vm's name made fit for DNS.
func Hostname(vm *resource.VM) string {
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

// SeedWriter writes the seeds of a project's vms.
type SeedWriter struct {
	Salt    []byte                                // for secrets
	Network func(resource.Addr) *resource.Network // nil when there is none at the address
}

// Write writes the four files of a vm's seed, and gives all their text.
func (w SeedWriter) Write(vm *resource.VM, s *resource.Seed) string {
	ci := vm.CloudInit
	user, _ := ci.UserData.Clear()
	vendor, _ := ci.VendorData.Clear()
	extra, _ := ci.MetaData.Clear()
	network, _ := ci.NetworkConfig.Clear()
	ours := w.cloudConfig(vm)
	switch {
	case user == "":
		user = ours
	case vendor == "":
		vendor = ours // both apply, and what the user says wins
	}
	if network == "" {
		network = w.networkConfig(vm)
	}
	host := Hostname(vm)
	// A new instance-id makes cloud-init run again, so it changes with all that the guest is told.
	whole := strings.Join([]string{vm.UUID, host, user, vendor, extra, network, strings.Join(ci.SSHAuthorizedKeys, "\n")}, "\x00")
	meta := metaData(vm, extra, "vmplan-"+resource.NewSecret(whole, w.Salt).Hash()[:16])
	s.UserData = resource.NewSecret(user, w.Salt)
	s.VendorData = resource.NewSecret(vendor, w.Salt)
	s.NetworkConfig = resource.NewSecret(network, w.Salt)
	s.MetaData = resource.NewSecret(meta, w.Salt)
	return strings.Join([]string{user, vendor, network, meta}, "\x00")
}

// cloudConfig is what vmplan itself tells cloud-init. Keys open the image's default user, and root.
func (w SeedWriter) cloudConfig(vm *resource.VM) string {
	var b strings.Builder
	b.WriteString("#cloud-config\n")
	fmt.Fprintf(&b, "hostname: %s\n", quote(Hostname(vm)))
	if fqdn := w.fqdn(vm); fqdn != "" {
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
func (w SeedWriter) fqdn(vm *resource.VM) string {
	if strings.Contains(vm.CloudInit.Hostname, ".") {
		return vm.CloudInit.Hostname
	}
	for i := range vm.NICs {
		if net := w.Network(vm.NICs[i].Network); net != nil && net.Domain != "" {
			return Hostname(vm) + "." + net.Domain
		}
	}
	return ""
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
	line("local-hostname", Hostname(vm))
	if keys := vm.CloudInit.SSHAuthorizedKeys; len(keys) > 0 {
		line("public-keys", quote(keys))
	}
	b.WriteString(extra)
	return b.String()
}

// networkConfig names the interfaces after the nics and, where no DHCP server gives the address, sets it. Matching by MAC
// with set-name is what all of cloud-init's renderers understand.
func (w SeedWriter) networkConfig(vm *resource.VM) string {
	if len(vm.NICs) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("version: 2\nethernets:\n")
	for i := range vm.NICs {
		n := &vm.NICs[i]
		fmt.Fprintf(&b, "  %s:\n    match:\n      macaddress: %s\n    set-name: %s\n", quote(n.Label), quote(n.MAC), quote(n.Label))
		net := w.Network(n.Network)
		if net == nil || n.Address == "" || Reserves(net) {
			b.WriteString("    dhcp4: true\n")
			continue
		}
		prefix, err := netip.ParsePrefix(net.CIDR)
		if err != nil {
			b.WriteString("    dhcp4: true\n")
			continue
		}
		gateway, _ := HostRange(prefix)
		b.WriteString(static(n.Address, net.Mode, prefix, gateway))
	}
	return b.String()
}

// static writes an address that the guest sets itself. The first address of the range is taken to be the gateway and to
// answer DNS: it is the host's own where vmplan makes the network, and by custom elsewhere. An isolated network leads
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
		panic("complete: a text cannot be quoted: " + err.Error())
	}
	return string(text)
}
