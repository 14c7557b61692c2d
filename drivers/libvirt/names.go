//go:build !nolibvirt

package libvirt

import (
	"slices"

	"libvirt.org/go/libvirtxml"

	"vmplan.dev/vmplan/config/resource"
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
func readNames(dns *node) []resource.DNSHost {
	var out []resource.DNSHost
	for _, h := range dns.all("host") {
		for _, name := range h.all("hostname") {
			out = append(out, resource.DNSHost{Name: name.value(), Address: h.attr("ip")})
		}
	}
	return out
}

// mergeNames puts the names of def into a network's definition; the rest of its <dns> stays.
func mergeNames(old, def *node) {
	if old.get("dns") == nil && def.get("dns") == nil {
		return
	}
	dns := old.need("dns")
	dns.drop("host")
	dns.kids = append(dns.kids, def.get("dns").all("host")...)
	if len(dns.kids) == 0 && len(dns.attrs) == 0 {
		old.drop("dns")
	}
}
