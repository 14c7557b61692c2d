//go:build !nolibvirt

package libvirt

import (
	"strings"
	"sync"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/libvirt/internal/definition"
	"vmplan.dev/vmplan/drivers/libvirt/internal/xmltree"
)

// guestHost is what definitions of guests depend on; test: on libvirt's test driver.
func (f *hostFacts) guestHost(test bool) *definition.Host {
	return &definition.Host{Arch: f.Arch, DomainTypes: f.DomainTypes, Virt: f.virt, Test: test}
}

// writing is what the rows of package definition need to know to write a guest of this host.
func (c *call) writing() (*definition.Context, error) {
	facts, err := c.caps()
	if err != nil {
		return nil, err
	}
	pools := sync.OnceValues(func() (poolIndex, error) { return readPools(c.session) })
	return &definition.Context{
		Host: facts.guestHost(c.test),
		File: c.diskFile,
		VolumeID: func(file string) string {
			known, err := pools() // asked only for devices that lost their alias
			if err != nil {
				c.env.Log.Debug("name a file by its pool", "file", file, "error", err)
			}
			return known.volumeID(file)
		},
	}, nil
}

// newDomain is the definition of a vm that is not there yet, with its mark.
func newDomain(vm *resource.VM, mark *drivers.Mark, context *definition.Context) (*xmltree.Node, error) {
	def, err := definition.NewVM(vm, context)
	if err == nil {
		putMark(def, mark)
	}
	return def, err
}

// splitSource takes a disk's source "pool/file" apart; ok is false for a path or anything else outside pools.
func splitSource(source string) (pool, file string, ok bool) {
	pool, file, ok = strings.Cut(source, "/")
	return pool, file, ok && pool != ""
}
