package main

import (
	"math/rand/v2"
	"slices"
)

// edit is one change of the files; it says which, or "" when it found nothing to change.
func (l *lab) edit(r *rand.Rand) string {
	if len(l.vms) == 0 || r.IntN(8) == 0 {
		return l.editAround(r)
	}
	v := &l.vms[r.IntN(len(l.vms))]
	// What a host cannot do to running guests is not asked of it.
	device := l.can.plug || v.running == "false"
	switch n := r.IntN(16); {
	case n == 0 && device:
		v.memory = pick(r, l.can.memory...)
		if v.max > 0 && v.max < v.memory {
			v.max = v.memory
		}
		return "memory of " + v.name
	case n == 1 && device:
		v.max = pick(r, 0, slices.Max(l.can.memory))
		return "max_memory of " + v.name
	case n == 2:
		v.vcpus, v.maxVCPUs = 1+r.IntN(2), pick(r, 0, 2, 3)
		return "vcpus of " + v.name
	case n == 3:
		v.title, v.description = pick(r, "", "another title", "a title"), pick(r, "", "other words")
		return "title and description of " + v.name
	case n == 4:
		v.autostart = pick(r, "", "true", "false")
		return "autostart of " + v.name
	case n == 5:
		v.running = l.power(r, v)
		return "running of " + v.name
	case n == 6:
		v.machine = pick(r, "", "q35", "pc")
		return "machine of " + v.name
	case n == 7 && device:
		v.keys = pick(r, "", "x", "xy", "1", "2")
		for i := range v.disks {
			v.disks[i].volume = ""
		}
		for i := range v.nics {
			v.nics[i].address = pick(r, "", "auto")
		}
		v.running = l.power(r, v)
		return "keys of " + v.name
	case n == 8 && l.can.images && device:
		v.seed = pick(r, "", "one", "two")
		return "seed of " + v.name
	case n == 9 && device && len(v.disks) > 1:
		v.disks = v.disks[:len(v.disks)-1]
		return "last disk of " + v.name
	case n == 10 && device && len(v.disks) < 3:
		v.disks = append(v.disks, l.newDisk(r, v, []string{"root", "data", "more"}[len(v.disks)]))
		return "one more disk of " + v.name
	case n == 11 && l.can.resize:
		d := &v.disks[r.IntN(len(v.disks))]
		if d.size > 0 {
			d.size += 4
		}
		return "size of disk " + d.label + " of " + v.name
	case n == 12 && device:
		d := &v.disks[r.IntN(len(v.disks))]
		d.size, d.bus = l.size(r), pick(r, "", "virtio", "scsi")
		if d.label == "root" && v.fromImage {
			d.size += 16
		}
		return "disk " + d.label + " of " + v.name
	case n == 13 && device && len(v.nics) > 0:
		v.nics = slices.Delete(v.nics, 0, 1)
		return "first nic of " + v.name
	case n == 14 && device:
		for _, label := range []string{"one", "two"} {
			has := slices.ContainsFunc(v.nics, func(n labNIC) bool { return n.label == label })
			if nic := l.newNIC(r, v, label); !has && nic.network != "" {
				v.nics = append(v.nics, nic)
				return "one more nic of " + v.name
			}
		}
	case n == 15 && device && len(v.nics) > 0:
		nic := &v.nics[r.IntN(len(v.nics))]
		if again := l.newNIC(r, v, nic.label); again.network != "" {
			*nic = again
		}
		return "nic of " + v.name
	}
	return ""
}

// editAround changes what is around the vms.
func (l *lab) editAround(r *rand.Rand) string {
	switch r.IntN(8) {
	case 0, 1:
		for _, name := range []string{"a", "b", "c", "d"} {
			if len(l.vms) < 3 && !slices.ContainsFunc(l.vms, func(v labVM) bool { return v.name == name }) {
				l.vms = append(l.vms, l.newVM(r, name))
				return "vm " + name + " comes"
			}
		}
	case 2:
		if len(l.vms) > 1 {
			i := r.IntN(len(l.vms))
			name := l.vms[i].name
			l.vms = slices.Delete(l.vms, i, i+1)
			return "vm " + name + " goes"
		}
	case 3:
		if !slices.ContainsFunc(l.nets, func(n labNet) bool { return n.name == "extra" }) {
			l.nets = append(l.nets, newNet(r, "extra"))
			return "network extra comes"
		}
	case 4:
		for i := range l.nets {
			if name := l.nets[i].name; !l.usesNet(name) {
				l.nets = slices.Delete(l.nets, i, i+1)
				return "network " + name + " goes"
			}
		}
	case 5:
		if len(l.nets) > 0 {
			n := &l.nets[r.IntN(len(l.nets))]
			n.autostart = pick(r, "", "true", "false")
			if l.can.plug || !l.usesNet(n.name) {
				n.domain = pick(r, "", n.name+".example", "other.example")
			}
			return "autostart and domain of network " + n.name
		}
	case 6:
		if len(l.vols) > 0 && l.can.resize {
			l.vols[0].size += 4
			return "size of volume db"
		}
	case 7:
		if l.image > 0 && l.can.plug {
			l.image = 3 - l.image
			return "another image"
		}
	}
	return ""
}

func (l *lab) usesNet(name string) bool {
	return slices.ContainsFunc(l.vms, func(v labVM) bool {
		return slices.ContainsFunc(v.nics, func(n labNIC) bool { return n.network == name })
	})
}
