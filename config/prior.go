package config

import (
	"strings"

	"vmplan.dev/vmplan/config/internal/complete"
	"vmplan.dev/vmplan/config/resource"
)

// What was decided by default when an object was made stays as it is recorded, so that neither another name in the files
// nor another default makes a new one of it. What the files say themselves always counts.

// recorded gives what is recorded of the object at a, or nil: under its address or one that it moved from.
func recorded[R resource.Resource](e *evaluator, a resource.Addr) R {
	r, _ := e.prior.Objects[e.recordedAt(a)].(R)
	return r
}

// recordedNIC gives what is recorded, or else found, of a vm's nic, or nothing.
func (e *evaluator) recordedNIC(vm resource.Addr, label string) resource.NIC {
	was := recorded[*resource.VM](e, vm)
	if was == nil {
		was = e.prior.Found[vm]
	}
	if was != nil && was.NIC(label) != nil {
		return *was.NIC(label)
	}
	return resource.NIC{}
}

// recordedName gives the name that the object at a has on its host already, or nothing.
func (e *evaluator) recordedName(a resource.Addr, kind resource.Kind) string {
	if was := e.prior.Objects[e.recordedAt(a)]; was != nil && was.Kind() == kind {
		return was.Base().Name
	}
	if in := e.importOf(a); in != nil && !stored(a) {
		return in.name
	}
	return ""
}

// uuidOf gives the UUID that an object was made with or is found with, or else the one that follows from its address. A pool
// that was made before a file declared it has one that the host chose: none is wanted for it.
func (e *evaluator) uuidOf(a resource.Addr) string {
	id := ""
	switch was := e.prior.Objects[e.recordedAt(a)].(type) {
	case *resource.Pool:
		return was.UUID
	case *resource.Network:
		id = was.UUID
	case *resource.VM:
		id = was.UUID
	}
	if found := e.prior.Found[a]; found != nil {
		complete.OrElse(&id, found.UUID)
	}
	complete.OrElse(&id, e.namespace.UUID(a))
	return id
}

// useRecordedFile gives the file that a volume was made as; in another format it is another one.
func (e *evaluator) useRecordedFile(v *resource.Volume) {
	if in := e.importOf(v.Addr); in != nil {
		v.File = in.name
	}
	if was := recorded[*resource.Volume](e, v.Addr); was != nil && was.File != "" && was.Format == v.Format {
		v.File = was.File
	}
}

// useRecordedImageFile gives the file that an image was imported as; other bits are another file.
func (e *evaluator) useRecordedImageFile(img *resource.Image) {
	if in := e.importOf(img.Addr); in != nil {
		img.File = in.name
	}
	was := recorded[*resource.Image](e, img.Addr)
	if was != nil && was.File != "" && was.Pin.Version() == img.Pin.Version() && len(resource.Diff(bitsOf(was), bitsOf(img))) == 0 {
		img.File = was.File
	}
}

// useRecordedLocations lets the queries of an image's URLs count as those that it was imported with, when a sum or the lock says which file
// it is: signed URLs are others every day. The query of a Vagrant catalogue is no signature, but chooses the box.
func (e *evaluator) useRecordedLocations(img *resource.Image) {
	was := recorded[*resource.Image](e, img.Addr)
	_, locked := e.project.lock.Of(img)
	if was == nil || !isSum(img.Checksum) && (!locked || strings.HasPrefix(img.Source, "vagrant+")) {
		return
	}
	if was.Source == img.Source {
		img.FullSource = img.FullSource.As(was.FullSource)
	}
	if was.Checksum == img.Checksum {
		img.FullChecksum = img.FullChecksum.As(was.FullChecksum)
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

// takenAddresses gives the addresses that recorded nics have, by network: also those of vms that go, because theirs come
// free only while the plan is carried out.
func (e *evaluator) takenAddresses() map[resource.Addr][]string {
	taken := map[resource.Addr][]string{}
	for _, r := range e.prior.Objects {
		vm, ok := r.(*resource.VM)
		if !ok {
			continue
		}
		for i := range vm.NICs {
			if nic := &vm.NICs[i]; nic.Address != "" {
				network := e.nowAt(nic.Network)
				taken[network] = append(taken[network], nic.Address)
			}
		}
	}
	return taken
}

// nowAt gives the address of what was recorded at a.
func (e *evaluator) nowAt(a resource.Addr) resource.Addr {
	for range e.renames.from {
		if e.exists(a) {
			break
		}
		next, by := e.renames.next(a)
		if by == nil {
			break
		}
		a = next
	}
	return a
}
