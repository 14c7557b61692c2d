package definition

import (
	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers/libvirt/internal/xmltree"
)

// poolFields are the rows of a <pool>.
var poolFields = []Field[resource.Pool]{
	text("name", func(p *resource.Pool) *string { return &p.Name }, "name"),
	text("uuid", func(p *resource.Pool) *string { return &p.UUID }, "uuid"),
	attribute("type", func(p *resource.Pool) *string { return &p.Type }, "type"),
	text("path", func(p *resource.Pool) *string { return &p.Path }, "target", "path"),
	{Name: "autostart", Rules: []Rule{{Impact: live, Call: "virStoragePoolSetAutostart"}}},
}

// ReadPool reads a pool's definition.
func ReadPool(def *xmltree.Node) *resource.Pool {
	p := &resource.Pool{}
	read(poolFields, def, p, nil)
	return p
}

// NewPool is the definition of a pool that is not there yet. What else a definition can hold needs no writing: a pool changes
// in autostart alone.
func NewPool(p *resource.Pool) (*xmltree.Node, error) {
	def := xmltree.New("pool")
	return def, write(poolFields, def, p, nil, nil)
}
