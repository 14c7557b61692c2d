package complete

import (
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
	c := cloudConfig{Hostname: yamlText(Hostname(vm)), FQDN: yamlText(w.fqdn(vm))}
	for _, key := range vm.CloudInit.SSHAuthorizedKeys {
		c.DisableRoot = new(bool)
		c.Keys = append(c.Keys, yamlText(strings.TrimSpace(key)))
	}
	return "#cloud-config\n" + writeYAML(c)
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

// metaData writes the meta-data: what the user adds replaces ours of the same key.
func metaData(vm *resource.VM, extra, instance string) string {
	d := instanceData{InstanceID: instance, Hostname: Hostname(vm), Keys: yamlTexts(vm.CloudInit.SSHAuthorizedKeys...)}
	theirs := yamlKeys(extra)
	if theirs["instance-id"] {
		d.InstanceID = ""
	}
	if theirs["local-hostname"] {
		d.Hostname = ""
	}
	if theirs["public-keys"] {
		d.Keys = nil
	}
	if d.InstanceID == "" && d.Hostname == "" && len(d.Keys) == 0 {
		return extra
	}
	return writeYAML(d) + extra
}

// networkConfig names the interfaces after the nics and, where no DHCP server gives the address, sets it. Matching by MAC
// with set-name is what all of cloud-init's renderers understand.
func (w SeedWriter) networkConfig(vm *resource.VM) string {
	if len(vm.NICs) == 0 {
		return ""
	}
	d := networkData{Version: 2}
	for i := range vm.NICs {
		n := &vm.NICs[i]
		e := ethernet{label: n.Label, Match: ethernetMatch{yamlText(n.MAC)}, SetName: yamlText(n.Label), DHCP4: true}
		if net := w.Network(n.Network); net != nil && n.Address != "" && !Reserves(net) {
			if prefix, err := netip.ParsePrefix(net.CIDR); err == nil {
				e.static(n.Address, net.Mode, prefix)
			}
		}
		d.Ethernets = append(d.Ethernets, e)
	}
	return writeYAML(d)
}
