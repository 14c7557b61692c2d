//go:build !nolibvirt

package libvirt

import (
	"slices"

	"libvirt.org/go/libvirtxml"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers/libvirt/internal/xmltree"
)

// dnsHosts writes a network's names as libvirt wants them: by address, which stands there once.
func dnsHosts(n *resource.Network) []libvirtxml.NetworkDNSHost {
	var out []libvirtxml.NetworkDNSHost
	for _, h := range n.DNSHosts {
		i := slices.IndexFunc(out, func(o libvirtxml.NetworkDNSHost) bool { return o.IP == h.Address })
		if i < 0 {
			i = len(out)
			out = append(out, libvirtxml.NetworkDNSHost{IP: h.Address})
		}
		out[i].Hostnames = append(out[i].Hostnames, libvirtxml.NetworkDNSHostHostname{Hostname: h.Name})
	}
	return out
}

// readNames reads what dnsHosts writes.
func readNames(dns *xmltree.Node) []resource.DNSHost {
	var out []resource.DNSHost
	for _, h := range dns.All("host") {
		for _, name := range h.All("hostname") {
			out = append(out, resource.DNSHost{Name: name.Text(), Address: h.Attr("ip")})
		}
	}
	return out
}

// mergeNames puts the names of def into a network's definition; the rest of its <dns> stays.
func mergeNames(old, def *xmltree.Node) {
	if old.Get("dns") == nil && def.Get("dns") == nil {
		return
	}
	dns := old.Ensure("dns")
	dns.Drop("host")
	dns.Add(def.Get("dns").All("host")...)
	if len(dns.Kids) == 0 && len(dns.Attrs) == 0 {
		old.Drop("dns")
	}
}
