package complete

import (
	"net/netip"

	"vmplan.dev/vmplan/config/resource"
)

// NIC completes and checks a nic alone. The model is that of nics that name none.
func NIC(src Source, n *resource.NIC, model string) {
	OrElse(&n.Model, model)
	path := "nic." + n.Label
	checkBridge(src, path+".bridge", n.Bridge)
	if b := n.Bandwidth; b != nil && b.Inbound == nil && b.Outbound == nil {
		src.Mistake(path+".bandwidth", "Bandwidth without a limit", "The bandwidth block of nic %q limits nothing. Write inbound { average = … }, outbound { average = … } or both in it, or take it out.", n.Label)
	}
	if src.Wrong(path+".network") || src.Wrong(path+".bridge") {
		return
	}
	completeForwards(src, path, n)
	switch {
	case IsTrue(n.User) && (!n.Network.IsZero() || n.Bridge != ""):
		src.Mistake(path+".user", "User mode on a network", "nic %q has user = true, which is a network of its own, and is on another too. Keep one of the two.", n.Label)
	case IsTrue(n.User) && n.Address != "":
		src.Mistake(path+".address", "Address in user mode", "nic %q has user = true: its host gives the guest its address there, and nobody reaches it by that. Take address out, and lead ports of the host to the guest by port_forward blocks.", n.Label)
		src.Fail(path + ".address")
	case IsTrue(n.User):
	case n.Network.IsZero() && n.Bridge == "":
		src.Mistake(path, "Missing attribute", "nic %q needs network, or bridge for a bridge of the host, or user = true for a network of its own.", n.Label)
		src.Fail(path + ".network")
	case !n.Network.IsZero() && n.Bridge != "":
		src.Mistake(path+".bridge", "Both network and bridge", "nic %q is on %s, so bridge has no meaning. Keep one of the two.", n.Label, n.Network)
	case n.Bridge != "" && n.Address != "":
		src.Mistake(path+".address", "Address without a network", "The range of bridge %s is not known, so an address cannot be given. Declare network \"NAME\" { mode = \"bridge\"  bridge = %q  cidr = … } and put the nic on it.", n.Bridge, n.Bridge)
		src.Fail(path + ".address")
	}
}

// completeForwards fills in and checks the port forwards of a nic.
func completeForwards(src Source, path string, n *resource.NIC) {
	for i := range n.PortForwards {
		f := &n.PortForwards[i]
		at := path + ".port_forward." + f.Name
		OrElse(&f.Protocol, "tcp")
		OrElse(&f.Address, "127.0.0.1")
		a, err := netip.ParseAddr(f.Address)
		switch {
		case !IsTrue(n.User) && !src.Wrong(path+".user"):
			src.Mistake(at, "Port forward without user mode", "No ports lead to guests on networks and bridges: reach nic %q by the guest's own address. port_forward needs a nic with user = true.", n.Label)
		case err != nil || !a.Is4():
			src.Mistake(at+".address", "Bad address", "%q is not an IPv4 address of the host. Write \"127.0.0.1\", which only the host itself reaches, or \"0.0.0.0\" for all.", f.Address)
		case f.HostPort > maxPort || f.GuestPort > maxPort:
			src.Mistake(at, "Bad port", "port_forward %q has a port above %d.", f.Name, maxPort)
		}
	}
}

const maxPort = 65535
