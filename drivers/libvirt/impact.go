//go:build !nolibvirt

package libvirt

import (
	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/libvirt/impact"
)

// Impact implements drivers.Driver.
func (d *driver) Impact(before, after resource.Resource) []drivers.FieldImpact {
	return impact.Of(before, after)
}
