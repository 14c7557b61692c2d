package config

import (
	"strings"

	"vmplan.dev/vmplan/config/resource"
)

// recorded gives what is recorded of the object at a, or nil: under its address or one that it moved from.
func recorded[R resource.Resource](e *evaluator, a resource.Addr) R {
	r, _ := e.prior.Objects[e.recordedAt(a)].(R)
	return r
}

func (e *evaluator) recordedAt(a resource.Addr) resource.Addr { return a }

// recordedNIC gives what is recorded of a vm's nic, or nothing.
func (e *evaluator) recordedNIC(vm resource.Addr, label string) resource.NIC {
	if was := recorded[*resource.VM](e, vm); was != nil {
		for i := range was.NICs {
			if was.NICs[i].Label == label {
				return was.NICs[i]
			}
		}
	}
	return resource.NIC{}
}

// keepName gives an object without a name of its own the one it was made with.
func (e *evaluator) keepName(o *object) {
	if was := e.prior.Objects[e.recordedAt(o.addr)]; was != nil && was.Kind() == o.res.Kind() {
		orElse(&o.res.Base().Name, was.Base().Name)
	}
}

// keepUUID gives the UUID that an object was made with, or else the one that follows from its address.
func (e *evaluator) keepUUID(a resource.Addr) string {
	id := ""
	switch was := e.prior.Objects[e.recordedAt(a)].(type) {
	case *resource.Pool:
		id = was.UUID
	case *resource.Network:
		id = was.UUID
	case *resource.VM:
		id = was.UUID
	}
	orElse(&id, e.namespace.uuid(a))
	return id
}

// keepFile gives the name and file that a volume was made with; a file in another format is another file.
func (e *evaluator) keepFile(v *resource.Volume) {
	was := recorded[*resource.Volume](e, v.Addr)
	if was == nil || was.File == "" {
		return
	}
	if was.Format == v.Format {
		v.File = was.File
	}
}

// seedPrefix is what the names of a vm's seeds begin with.
func (e *evaluator) seedPrefix(vm *resource.VM) string {
	if was := recorded[*resource.Seed](e, vm.Addr.WithPart(seedPart)); was != nil {
		if i := strings.LastIndexByte(was.File, '-'); i > 0 {
			return was.File[:i]
		}
	}
	return vm.Name + "-" + seedPart
}
