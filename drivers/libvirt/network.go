//go:build !nolibvirt

package libvirt

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"libvirt.org/go/libvirt"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/libvirt/internal/definition"
	"vmplan.dev/vmplan/drivers/libvirt/internal/xmltree"
)

// newNetwork is the definition of a network that is not there yet, with its mark.
func newNetwork(n *resource.Network, mark *drivers.Mark) (*xmltree.Node, error) {
	def, err := definition.NewNetwork(n)
	if err == nil {
		putMark(def, mark)
	}
	return def, err
}

// createNetwork defines, autostarts and starts the network. One at a time: libvirt gives two that come at once the same bridge.
func (c *call) createNetwork(n *resource.Network, mark *drivers.Mark) error {
	c.networks.Lock()
	defer c.networks.Unlock()
	net, err := c.conn.LookupNetworkByName(n.Name)
	if missing(err) {
		net, err = c.defineNetwork(n, mark)
	} else if err == nil {
		err = checkNetwork(net, n)
	}
	if err != nil {
		return fail(err, "create network %s", n.Name)
	}
	defer freeNetwork(net)
	if err := autostartNetwork(net, n); err != nil {
		return err
	}
	active, err := net.IsActive()
	if err != nil {
		return fail(err, "look at network %s", n.Name)
	}
	if !active {
		if err := c.startWithGuests(net, n.Name); err != nil {
			return err
		}
	}
	return c.closeParkingOf(net, n.Name)
}

// startWithGuests starts a network that is off and plugs in the guests that were on it when somebody stopped it, or even
// undefined it: libvirt leaves them on a bridge that is no more.
func (c *call) startWithGuests(net *libvirt.Network, name string) error {
	start := func() error { return c.startNetwork(net, name) }
	if c.test {
		return start()
	}
	return c.withGuestsParked(net, name, start)
}

func (c *call) defineNetwork(n *resource.Network, mark *drivers.Mark) (*libvirt.Network, error) {
	def, err := newNetwork(n, mark)
	if err != nil {
		return nil, err
	}
	return c.conn.NetworkDefineXML(def.String())
}

// network looks a network up by name. Another network that has the name by now is ErrConflict.
func (c *call) network(n *resource.Network) (*libvirt.Network, error) {
	net, err := c.conn.LookupNetworkByName(n.Name)
	if err != nil {
		return nil, err
	}
	if err := checkNetwork(net, n); err != nil {
		freeNetwork(net)
		return nil, err
	}
	return net, nil
}

func checkNetwork(net *libvirt.Network, n *resource.Network) error {
	uuid, err := net.GetUUIDString()
	if err != nil || n.UUID == "" || uuid == n.UUID {
		return err
	}
	return fmt.Errorf("%w: another network has that name", drivers.ErrConflict)
}

func autostartNetwork(net *libvirt.Network, n *resource.Network) error {
	if n.Autostart == nil {
		return nil
	}
	on, err := net.GetAutostart()
	if err == nil && on != *n.Autostart {
		err = net.SetAutostart(*n.Autostart)
	}
	return fail(err, "set autostart of network %s", n.Name)
}

func (c *call) startNetwork(net *libvirt.Network, name string) error {
	active, err := net.IsActive()
	if err == nil && !active {
		err = net.Create()
	}
	if err != nil && strings.Contains(err.Error(), "File exists") {
		err = c.startOnAnotherBridge(net, err)
	}
	return explainTakenBridge(fail(err, "start network %s", name), name)
}

// explainTakenBridge says how to get rid of a bridge that already has the network's addresses. A daemon that dies between that and the note
// that the network is up leaves bridge and DHCP server to nobody, and no way to take them down through libvirt.
func explainTakenBridge(err error, name string) error {
	if err == nil {
		return nil
	}
	bridge := takenBy.FindStringSubmatch(err.Error())
	if bridge == nil {
		return err
	}
	return fmt.Errorf("%w. Give one of them another cidr; or, if no network has that bridge, a libvirt daemon that died has left it: "+
		"on the host, end the dnsmasq whose command line has dnsmasq/%s.conf, and run: ip link delete %s", err, name, bridge[1])
}

var takenBy = regexp.MustCompile(`already in use by interface (virbr[0-9]+)`)

// startOnAnotherBridge lets libvirt choose a bridge once more. A daemon that died while it started a network leaves the bridge
// behind, which nobody owns then: libvirt can neither use nor remove it. A name that libvirt would not choose is the files'.
func (c *call) startOnAnotherBridge(net *libvirt.Network, failed error) error {
	old, err := networkTree(net)
	if err != nil {
		return err
	}
	bridge := old.Get("bridge")
	if bridge == nil || !chosenBridge.MatchString(bridge.Attr("name")) {
		return failed
	}
	bridge.Set("name", "")
	defined, err := c.conn.NetworkDefineXML(old.String())
	if err != nil {
		return err
	}
	defer freeNetwork(defined)
	return defined.Create()
}

var chosenBridge = regexp.MustCompile(`^virbr[0-9]+$`)

// updateNetwork tells a running network's own server about fixed addresses and names; for other changes it edits the
// definition and restarts the network.
func (c *call) updateNetwork(before, after *resource.Network) (err error) {
	net, err := c.network(after)
	if err != nil {
		return fail(err, "update network %s", after.Name)
	}
	defer freeNetwork(net)
	defer func() { err = errors.Join(err, c.closeParkingOf(net, after.Name)) }()
	if err := autostartNetwork(net, after); err != nil {
		return err
	}
	restart, served := false, false
	for _, f := range c.Impact(before, after) {
		switch {
		case f.Impact > drivers.ImpactLive:
			restart = true
		case f.Path != "autostart":
			served = true
		}
	}
	if restart {
		return c.redefineNetwork(net, before, after)
	}
	if served {
		return updateServed(net, after)
	}
	return nil
}

func (c *call) redefineNetwork(net *libvirt.Network, before, after *resource.Network) error {
	def, err := networkTree(net)
	if err != nil {
		return err
	}
	if err := definition.WriteNetwork(def, before, after); err != nil {
		return fmt.Errorf("define network %s: %w", after.Name, err)
	}
	return c.putNetwork(net, after.Name, def.String(), true)
}

// putNetwork writes a network's definition, and restarts the network if wanted. The network is stopped first: cut short anywhere,
// this leaves a network that is off or has its old definition, which the next plan sees.
func (c *call) putNetwork(net *libvirt.Network, name, text string, restart bool) error {
	active, err := net.IsActive()
	if err != nil {
		return fail(err, "define network %s", name)
	}
	define := func() error {
		defined, err := c.conn.NetworkDefineXML(text)
		if err != nil {
			return fail(err, "define network %s", name)
		}
		freeNetwork(defined)
		return nil
	}
	again := func() error {
		if err := net.Destroy(); err != nil {
			return fail(err, "stop network %s", name)
		}
		return errors.Join(define(), c.startNetwork(net, name))
	}
	switch {
	case active && c.test: // it never shows the new definition of an active network
		return again()
	case active && restart:
		return c.withGuestsParked(net, name, again)
	}
	if err := define(); err != nil || !restart && !active {
		return err
	}
	return c.startNetwork(net, name)
}

func (c *call) deleteNetwork(n *resource.Network) error {
	net, err := c.network(n)
	if missing(err) {
		return nil
	}
	if err != nil {
		return fail(err, "delete network %s", n.Name)
	}
	defer freeNetwork(net)
	if err := c.closeParkingOf(net, n.Name); err != nil {
		return err
	}
	if active, err := net.IsActive(); err != nil {
		return fail(err, "delete network %s", n.Name)
	} else if active {
		if err := c.checkNobodyOn(n.Name); err != nil {
			return err
		}
		if err := net.Destroy(); err != nil {
			return fail(err, "stop network %s", n.Name)
		}
	}
	err = net.Undefine()
	if missing(err) {
		return nil // it was transient
	}
	return fail(err, "undefine network %s", n.Name)
}

// checkNobodyOn makes sure that no running guest would lose its network.
func (c *call) checkNobodyOn(network string) error {
	var users []string
	err := c.eachRunning(func(_ *libvirt.Domain, def *xmltree.Node) error {
		for _, nic := range def.Get("devices").All("interface") {
			if nic.Get("source").Attr("network") == network {
				users = append(users, string(resource.KindVM)+"/"+def.Get("name").Text())
			}
		}
		return nil
	})
	if err == nil && len(users) > 0 {
		err = fmt.Errorf("delete network %s: %w by %s", network, drivers.ErrInUse, joinUsers(union(nil, users)))
	}
	return err
}

// markNetwork rewrites the mark in the persistent definition; a running network is not touched.
func (c *call) markNetwork(n *resource.Network, mark drivers.Mark) error {
	net, err := c.network(n)
	if err != nil {
		return fail(err, "mark network %s", n.Name)
	}
	defer freeNetwork(net)
	tree, err := networkTree(net)
	if err != nil {
		return err
	}
	putMark(tree, &mark)
	return c.putNetwork(net, n.Name, tree.String(), false)
}
