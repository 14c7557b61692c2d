//go:build !nolibvirt

package libvirt

import (
	"errors"
	"fmt"

	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers/libvirt/internal/definition"
	"vmplan.dev/vmplan/drivers/libvirt/internal/xmltree"
)

// parkingName is the name of a network's parking network: NICs of running guests wait there while their network is restarted.
// It exists only during that time. Each network has its own, because several may be restarted at once.
func parkingName(uuid string) string { return parkingPrefix + uuid }

const parkingPrefix = "vmplan-aside-"

// closeParking removes a parking network unless NICs are on it. A run that was killed leaves both behind; later runs move the
// NICs back one by one.
func (c *call) closeParking(name string) error {
	if c.test {
		return nil
	}
	net, err := c.conn.LookupNetworkByName(name)
	if missing(err) {
		return nil
	}
	if err != nil {
		return fail(err, "look up network %s", name)
	}
	defer freeNetwork(net)
	nics, err := c.nicsOn(name)
	for _, n := range nics {
		freeDomain(n.dom)
	}
	if err != nil || len(nics) > 0 {
		return err
	}
	err = net.Destroy()
	if missing(err) || hasCode(err, libvirt.ERR_OPERATION_INVALID) {
		return nil // another NIC's leaving has done it
	}
	return fail(err, "remove network %s", name)
}

// closeParkingOf removes the parking network of a network. If the network is active, NICs that a killed run left parked are
// moved back first.
func (c *call) closeParkingOf(net *libvirt.Network, network string) error {
	if c.test {
		return nil
	}
	uuid, err := net.GetUUIDString()
	if err != nil {
		return fail(err, "read the uuid of network %s", network)
	}
	active, err := net.IsActive()
	if err != nil {
		return fail(err, "read the state of network %s", network)
	}
	if active {
		if err := c.unpark(parkingName(uuid), network); err != nil {
			return err
		}
	}
	return c.closeParking(parkingName(uuid))
}

// unpark moves parked NICs back to their network, with the link state of their guests' definitions.
func (c *call) unpark(parking, network string) error {
	nics, err := c.nicsOn(parking)
	for _, n := range nics {
		if err == nil {
			err = n.unpark(network)
		}
		freeDomain(n.dom)
	}
	return err
}

func (n guestNIC) unpark(network string) error {
	defined, err := domainTree(n.dom, libvirt.DOMAIN_XML_INACTIVE)
	if err != nil {
		return err
	}
	link := new(true)
	for _, d := range defined.Get("devices").All("interface") {
		if d.Get("mac").Attr("address") == n.def.Get("mac").Attr("address") {
			link = definition.ReadNIC(d).Link
		}
	}
	return n.move(&resource.NIC{Source: network, Link: link})
}

// guestNIC is a NIC of a running guest.
type guestNIC struct {
	dom *libvirt.Domain
	def *xmltree.Node // of the interface, live
}

// withGuestsParked calls do, which takes a network down, while the NICs of running guests are on the parking network: libvirt
// does not plug guests in again when a network is destroyed and started. Their link is down meanwhile, so that they ask for an
// address again. If this is interrupted, the running NICs differ from their definitions; the next plan shows and fixes that.
func (c *call) withGuestsParked(net *libvirt.Network, network string, do func() error) (err error) {
	nics, err := c.nicsOn(network)
	if err != nil {
		return err
	}
	defer func() {
		for _, n := range nics {
			freeDomain(n.dom)
		}
	}()
	if len(nics) == 0 {
		return do()
	}
	uuid, err := net.GetUUIDString()
	if err != nil {
		return fail(err, "read the uuid of network %s", network)
	}
	name := parkingName(uuid)
	parking, err := c.openParking(name)
	if err != nil {
		return err
	}
	defer func() {
		freeNetwork(parking)
		err = errors.Join(err, c.closeParking(name))
	}()
	for _, n := range nics {
		down := &resource.NIC{Source: name, Link: new(false)}
		if err := n.move(down); err != nil {
			return errors.Join(err, moveBack(nics, network))
		}
	}
	return errors.Join(do(), moveBack(nics, network))
}

func (c *call) openParking(name string) (*libvirt.Network, error) {
	net, err := c.conn.LookupNetworkByName(name)
	if missing(err) {
		def := libvirtxml.Network{Name: name, Bridge: &libvirtxml.NetworkBridge{STP: "off", Delay: "0"}}
		text, marshalErr := def.Marshal()
		if marshalErr != nil {
			return nil, marshalErr
		}
		net, err = c.conn.NetworkCreateXML(text) // transient: it is gone when it is stopped
	}
	return net, fail(err, "create network %s", name)
}

// nicsOn lists the NICs of running guests that are on the network.
func (c *call) nicsOn(network string) ([]guestNIC, error) {
	var nics []guestNIC
	err := c.eachRunning(func(dom *libvirt.Domain, def *xmltree.Node) error {
		for _, n := range def.Get("devices").All("interface") {
			if n.Get("source").Attr("network") != network {
				continue
			}
			if err := dom.Ref(); err != nil {
				return err
			}
			nics = append(nics, guestNIC{dom, n})
		}
		return nil
	})
	return nics, err
}

// moveBack gives every NIC its network and link back, as far as that goes.
func moveBack(nics []guestNIC, network string) error {
	var errs []error
	for _, n := range nics {
		errs = append(errs, n.move(&resource.NIC{Source: network, Link: definition.ReadNIC(n.def).Link}))
	}
	return errors.Join(errs...)
}

// move puts the NIC on another network, while the guest runs.
func (n guestNIC) move(to *resource.NIC) error {
	def, err := xmltree.Parse(n.def.String())
	if err != nil {
		return fmt.Errorf("move a NIC: %w", err)
	}
	if err := definition.WriteNIC(def, to, []string{"source", "link"}); err != nil {
		return fmt.Errorf("move a NIC: %w", err)
	}
	return fail(n.dom.UpdateDeviceFlags(def.String(), libvirt.DOMAIN_DEVICE_MODIFY_LIVE), "put NIC %s on network %s", def.Get("mac").Attr("address"), to.Source)
}
