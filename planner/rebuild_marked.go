package planner

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/state"
)

// Marked gives what the live objects that bear the lineage's mark tell: records of vms and networks under the addresses of
// their marks, and of the disks of these vms as if they owned them. They are what the files are loaded with, and observed,
// before Rebuild. Of several objects with one mark the one counts that has a UUID such as this project gives, if it is the only one:
// what people copy gets a random one. Else none does.
func Marked(hosts map[string]Host, lineage string) map[resource.Addr]*state.Record {
	out := map[resource.Addr]*state.Record{}
	reserved := map[string]string{} // addresses by host and MAC
	bearers := map[resource.Addr][]liveObject{}
	for _, o := range liveObjects(hosts) {
		if net, ok := o.Resource.(*resource.Network); ok {
			for _, r := range net.Reservations {
				reserved[o.host+" "+r.MAC] = r.Address
			}
		}
		if m := o.Mark; m != nil && m.Lineage == lineage && strings.HasPrefix(o.key, string(m.Addr.Kind)+"/") {
			bearers[m.Addr] = append(bearers[m.Addr], o)
		}
	}
	for addr, all := range bearers {
		if len(all) > 1 {
			all = slices.DeleteFunc(all, func(o liveObject) bool { return !isNameUUID(uuidOf(o.Resource)) })
		}
		if len(all) != 1 {
			continue
		}
		r := resource.Clone(all[0].Resource)
		r.Base().Addr, r.Base().Host = addr, all[0].host
		out[addr] = &state.Record{Object: r, Status: state.StatusReady}
		if all[0].Mark.Released {
			out[addr].Status = state.StatusReleased
		}
	}
	for _, rec := range maps.Clone(out) {
		vm, ok := rec.Object.(*resource.VM)
		if !ok {
			continue
		}
		for i := range vm.NICs {
			vm.NICs[i].Address = reserved[vm.Host+" "+vm.NICs[i].MAC]
		}
		for _, part := range partsOfDisks(vm) {
			out[part.Base().Addr] = &state.Record{Object: part, Status: state.StatusReady}
		}
	}
	return out
}

// isNameUUID tells whether the UUID is one made of a name (version 5), and not of chance.
func isNameUUID(id string) bool { return len(id) == 36 && id[14] == '5' }

// liveObject is one of what was observed, and where.
type liveObject struct {
	location
	*drivers.Object
}

// builds tells whether it is the guest that builds an image, which has the image's mark and is gone when that is whole.
func (o *liveObject) builds() bool {
	return o.Mark != nil && o.Mark.Addr.Kind == resource.KindImage && o.Resource.Kind() == resource.KindVM
}

// leftBuilding says of such a guest why it is there still.
func leftBuilding(img resource.Addr) string {
	return fmt.Sprintf("builds %s, which was cut short: the next build of that clears it away, or vmplan orphans --delete", img)
}

// liveObjects gives all that was observed, in order of host and key.
func liveObjects(hosts map[string]Host) []liveObject {
	var out []liveObject
	for _, label := range slices.Sorted(maps.Keys(hosts)) {
		objects := hosts[label].Observed.Objects
		for _, key := range slices.Sorted(maps.Keys(objects)) {
			out = append(out, liveObject{location{label, key}, objects[key]})
		}
	}
	return out
}

// seedDisk is the label of the disk that a vm's seed is.
const seedDisk = "seed"

// partsOfDisks gives a volume or seed for every disk of the vm, under the address it has if the vm owns it.
func partsOfDisks(vm *resource.VM) []resource.Resource {
	var out []resource.Resource
	for i := range vm.Disks {
		d := &vm.Disks[i]
		pool, file, ok := strings.Cut(d.Source, "/")
		if !ok || d.Label == "" {
			continue
		}
		meta := resource.Meta{Addr: vm.Addr.WithPart("disk." + d.Label), Host: vm.Host, Name: vm.Name + "-" + d.Label}
		if d.Label == seedDisk && strings.HasSuffix(file, ".iso") {
			meta.Addr = vm.Addr.WithPart(seedDisk)
			d.Volume = meta.Addr
			out = append(out, &resource.Seed{Meta: meta, PoolName: pool, File: file})
			continue
		}
		d.Volume = meta.Addr
		format := file[strings.LastIndexByte(file, '.')+1:]
		out = append(out, &resource.Volume{Meta: meta, PoolName: pool, File: file, Format: format})
	}
	return out
}
