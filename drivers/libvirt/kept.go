//go:build !nolibvirt

package libvirt

import (
	"slices"

	"libvirt.org/go/libvirt"

	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/libvirt/internal/xmltree"
)

// kept lists what libvirt keeps beside a domain, but for its snapshots.
func (st *domainStates) kept(dom *libvirt.Domain, name string, def *xmltree.Node) (out []string, err error) {
	if st.checkpoints[name] {
		if out, err = checkpointsOf(dom); err != nil {
			return nil, fail(err, "list the checkpoints of domain %s", name)
		}
	}
	if def.Get("os", "nvram").Text() != "" {
		out = append(out, drivers.KeptNVRAM)
	}
	for _, tpm := range def.Get("devices").All("tpm") {
		if tpm.Get("backend").Attr("type") == "emulator" {
			out = append(out, drivers.KeptTPM)
		}
	}
	if st.saved[name] && !st.active[name] {
		out = append(out, drivers.KeptMemory)
	}
	return out, nil
}

func checkpointsOf(dom *libvirt.Domain) (out []string, err error) {
	list, err := dom.ListAllCheckpoints(0)
	if missing(err) {
		return nil, nil
	}
	for _, c := range pointers(list) {
		name, failed := c.GetName()
		if failed != nil && err == nil {
			err = failed
		}
		_ = c.Free()
		out = append(out, "checkpoint "+name)
	}
	slices.Sort(out)
	return out, err
}
