package definition

import (
	"strconv"
	"strings"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers/libvirt/internal/xmltree"
)

// nicFields are the rows of an <interface>. Port forwards are not in it: see forwards.go.
var nicFields = []Field[resource.NIC]{
	{
		Name: "mac",
		Read: func(el *xmltree.Node, nic *resource.NIC, _ *Context) {
			nic.MAC = strings.ToLower(el.Get("mac").Attr("address"))
		},
		Write: func(el *xmltree.Node, nic *resource.NIC, _ *Context) error {
			setAttr(el, nic.MAC, "address", "mac")
			return nil
		},
	},
	{
		Name: "source", Write: writeConnection, Live: LiveDevice, Rules: []Rule{{Impact: live, Call: callDevice}},
		Read: func(el *xmltree.Node, nic *resource.NIC, _ *Context) {
			if el.Attr("type") == "network" {
				nic.Source = el.Get("source").Attr("network")
			}
		},
	},
	{
		Name: "bridge", Write: writeConnection, Live: LiveDevice, Rules: []Rule{{Impact: live, Call: callDevice}},
		Read: func(el *xmltree.Node, nic *resource.NIC, _ *Context) {
			if el.Attr("type") == "bridge" {
				nic.Bridge = el.Get("source").Attr("bridge")
			}
		},
	},
	{
		Name: "user", Write: writeConnection,
		Read: func(el *xmltree.Node, nic *resource.NIC, _ *Context) { nic.User = new(el.Attr("type") == "user") },
	},
	{
		Name: "model",
		Read: func(el *xmltree.Node, nic *resource.NIC, _ *Context) { nic.Model = el.Get("model").Attr("type") },
		Write: func(el *xmltree.Node, nic *resource.NIC, _ *Context) error {
			if setAttr(el, nic.Model, "type", "model"); nic.Model != "virtio" {
				el.Drop("driver")
			}
			return nil
		},
		Rules: []Rule{{Impact: restart, Note: "what only virtio has goes from the definition with that model: queues and other options of its driver", Call: callDefine}},
	},
	{
		Name: "link", Live: LiveDevice, Rules: []Rule{{Impact: live, Call: callDevice}},
		Read: func(el *xmltree.Node, nic *resource.NIC, _ *Context) {
			nic.Link = new(el.Get("link").Attr("state") != "down")
		},
		Write: func(el *xmltree.Node, nic *resource.NIC, _ *Context) error {
			state := ""
			if nic.Link != nil && !*nic.Link {
				state = "down"
			}
			setAttr(el, state, "state", "link")
			return nil
		},
	},
	{
		Name: "bandwidth", Block: true, Read: readBandwidth, Write: writeBandwidth, Live: LiveDevice,
		Rules: []Rule{{Impact: live, Note: noteShape, Call: callDevice}},
	},
}

func isUser(nic *resource.NIC) bool { return nic.User != nil && *nic.User }

// writeConnection plugs a NIC into what it is to be on. What a network added for the old one (its bridge, its port) goes.
func writeConnection(el *xmltree.Node, nic *resource.NIC, _ *Context) error {
	kind, attr, value := "network", "network", nic.Source
	switch {
	case isUser(nic):
		kind, attr, value = "user", "", ""
	case nic.Bridge != "":
		kind, attr, value = "bridge", "bridge", nic.Bridge
	}
	if el.Attr("type") != kind || kind == "user" {
		el.Drop("source")
	}
	el.Set("type", kind)
	if kind == "user" {
		return nil
	}
	source := el.Ensure("source")
	if kind == "network" {
		source.Set("bridge", "")
	}
	source.Set("portid", "")
	source.Set(attr, value)
	return nil
}

func readBandwidth(el *xmltree.Node, nic *resource.NIC, _ *Context) {
	limits := el.Get("bandwidth")
	if limits == nil {
		return
	}
	nic.Bandwidth = &resource.Bandwidth{Inbound: readRate(limits.Get("inbound")), Outbound: readRate(limits.Get("outbound"))}
	NormalizeBandwidth(nic)
}

func readRate(n *xmltree.Node) *resource.Rate {
	if n == nil {
		return nil
	}
	return &resource.Rate{Average: parseInt(n.Attr("average")), Peak: parseInt(n.Attr("peak")), Burst: parseInt(n.Attr("burst"))}
}

// NormalizeBandwidth takes blocks away that limit nothing, which libvirt does not keep.
func NormalizeBandwidth(nic *resource.NIC) {
	b := nic.Bandwidth
	if b == nil {
		return
	}
	for _, rate := range []**resource.Rate{&b.Inbound, &b.Outbound} {
		if *rate != nil && (*rate).Average == 0 {
			*rate = nil
		}
	}
	if b.Inbound == nil && b.Outbound == nil {
		nic.Bandwidth = nil
	}
}

// writeBandwidth keeps what there is no attribute for, such as a floor.
func writeBandwidth(el *xmltree.Node, nic *resource.NIC, _ *Context) error {
	if nic.Bandwidth == nil {
		el.Drop("bandwidth")
		return nil
	}
	limits := el.Ensure("bandwidth")
	writeRate(limits, "inbound", nic.Bandwidth.Inbound)
	writeRate(limits, "outbound", nic.Bandwidth.Outbound)
	return nil
}

func writeRate(limits *xmltree.Node, direction string, rate *resource.Rate) {
	if rate == nil {
		limits.Drop(direction)
		return
	}
	limit := limits.Ensure(direction)
	limit.Set("average", strconv.Itoa(rate.Average))
	limit.Set("peak", formatInt(rate.Peak))
	limit.Set("burst", formatInt(rate.Burst))
}

// NewNIC is the element of a NIC that is plugged in. Its label is its alias, by which it is found again.
func NewNIC(nic *resource.NIC) (*xmltree.Node, error) {
	el := xmltree.New("interface")
	err := write(nicFields, el, nic, &Context{}, nil)
	el.Ensure("alias").Set("name", aliasNIC+nic.Label)
	return el, err
}

// ReadNIC reads what an <interface> says.
func ReadNIC(el *xmltree.Node) *resource.NIC {
	nic := &resource.NIC{}
	read(nicFields, el, nic, &Context{})
	return nic
}

// WriteNIC edits the named fields in the element of a NIC.
func WriteNIC(el *xmltree.Node, nic *resource.NIC, fields []string) error {
	return write(nicFields, el, nic, &Context{}, among(fields))
}

func writeNICs(def *xmltree.Node, before, after *resource.VM, c *Context, changes Changes) error {
	if len(changes.NICs) == 0 {
		return nil
	}
	devices, there := def.Ensure("devices"), nics(def, Known(before, after))
	for _, label := range changes.NICsInOrder(before, after) {
		nic, el := after.NIC(label), find(there, label)
		var err error
		switch {
		case nic == nil:
			devices.DropFunc(func(k *xmltree.Node) bool { return k == el })
		case el == nil:
			if el, err = NewNIC(nic); err == nil {
				devices.Add(el)
			}
		default:
			err = write(nicFields, el, nic, c, among(changes.NICs[label]))
		}
		if err != nil {
			return err
		}
	}
	writeForwards(def, after)
	return nil
}
