//go:build !nolibvirt

package libvirt

import (
	"libvirt.org/go/libvirt"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/libvirt/internal/xmltree"
)

// checkOwner refuses an operation on an object that carries another mark than the operation asks for. What is not there, or is
// another object of that name, the operation itself finds out.
func (c *call) checkOwner(op drivers.Op) error {
	owner := drivers.OwnerOf(op)
	if owner == nil {
		return nil
	}
	live, err := c.markOf(op.Target())
	if u, ok := op.(*drivers.Update); ok && missing(err) {
		live, err = c.markOf(u.Before) // which is renamed now
	}
	if missing(err) {
		return nil
	}
	if err != nil {
		return fail(err, "read the ownership mark of %s", op.Target().Base().Name)
	}
	return owner.Check(live)
}

// markOf reads the mark of the object that has r's name; nil when it has none, or cannot have one.
func (c *call) markOf(r resource.Resource) (*drivers.Mark, error) {
	switch r := r.(type) {
	case *resource.VM:
		return c.markOfVM(r.Name)
	case *resource.Network:
		net, err := c.conn.LookupNetworkByName(r.Name)
		if err != nil {
			return nil, err
		}
		defer freeNetwork(net)
		tree, err := networkTree(net)
		if err != nil {
			return nil, err
		}
		return readMark(tree.Get("metadata")), nil
	}
	return nil, nil
}

func (c *call) markOfVM(name string) (*drivers.Mark, error) {
	dom, err := c.conn.LookupDomainByName(name)
	if err != nil {
		return nil, err
	}
	defer freeDomain(dom)
	text, err := dom.GetMetadata(libvirt.DOMAIN_METADATA_ELEMENT, markURI, libvirt.DOMAIN_AFFECT_CURRENT)
	if hasCode(err, libvirt.ERR_NO_DOMAIN_METADATA) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	element, err := xmltree.Parse(text) // that of markURI, which libvirt gives without its namespace
	if err != nil {
		return nil, err
	}
	return markIn(element), nil
}
