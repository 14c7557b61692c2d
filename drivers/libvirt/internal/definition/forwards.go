package definition

import (
	"strconv"
	"strings"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers/libvirt/internal/xmltree"
)

// Port forwards are QEMU's, and libvirt's definition has no place for them. So they are written into the vm's metadata.
const (
	forwardsURI  = "https://vmplan.dev/xmlns/forwards/v1"
	forwardsName = "forwards"
	prefix       = "vmplan"
)

// IsMetadata tells whether an element of <metadata> has the name in the namespace.
func IsMetadata(n *xmltree.Node, name, space string) bool {
	prefix, local, ok := strings.Cut(n.Name, ":")
	if !ok {
		return n.Name == name && n.Attr("xmlns") == space
	}
	return local == name && n.Attr("xmlns:"+prefix) == space
}

func isForwards(n *xmltree.Node) bool { return IsMetadata(n, forwardsName, forwardsURI) }

// readForwards gives the vm's NICs the port forwards that its metadata holds.
func readForwards(def *xmltree.Node, vm *resource.VM) {
	for _, all := range def.Get("metadata").Children() {
		if !isForwards(all) {
			continue
		}
		for _, n := range all.Children() {
			if nic := vm.NIC(n.Attr("nic")); nic != nil {
				nic.PortForwards = append(nic.PortForwards, resource.PortForward{
					Name: n.Attr("name"), Protocol: n.Attr("protocol"), Address: n.Attr("address"),
					HostPort: parseInt(n.Attr("host-port")), GuestPort: parseInt(n.Attr("guest-port")),
				})
			}
		}
	}
}

// writeForwards writes all port forwards of the vm.
func writeForwards(def *xmltree.Node, vm *resource.VM) {
	def.Get("metadata").DropFunc(isForwards)
	all := xmltree.New(prefix+":"+forwardsName, "xmlns:"+prefix, forwardsURI)
	for _, nic := range vm.NICs {
		for _, f := range nic.PortForwards {
			all.Add(xmltree.New(prefix+":forward",
				"nic", nic.Label,
				"name", f.Name,
				"protocol", f.Protocol,
				"address", f.Address,
				"host-port", strconv.Itoa(f.HostPort),
				"guest-port", strconv.Itoa(f.GuestPort)))
		}
	}
	if len(all.Kids) > 0 {
		def.Ensure("metadata").Add(all)
	}
}
