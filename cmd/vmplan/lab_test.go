package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// abilities are what the hosts of a random project can do, and how much of it a test can afford.
type abilities struct {
	uri         string
	domainType  string // of the host block
	poolPath    string // below it are the pools that projects declare
	defaultPool bool   // projects need not declare one
	images      bool   // bits can be written: images and seeds
	stopPools   bool   // what a pool holds is known also while it is stopped
	resize      bool   // volumes can grow in place
	plug        bool   // the devices and the memory of running guests can be changed
	cables      bool   // the cables of running guests can be pulled and plugged in
	steady      bool   // nobody switches guests off: their systems take long to start
	running     int    // vms that may run at once
	memory      []int  // MiB to choose from, ascending
}

// lab is a random project: what its files say.
type lab struct {
	can   abilities
	pool  int // of the pool the project declares, which is another folder for each number; 0: none
	image int // which of the image's two contents; 0: none
	nets  []labNet
	vols  []labVol
	vms   []labVM
}

type labNet struct {
	name, mode, domain string
	octet              int // of 10.81.OCTET.0/24
	autostart          string
}

type labVol struct {
	name, format string
	size         int // MiB
}

type labVM struct {
	name, keys          string // keys: for_each over a set of these letters, count when a digit, else one vm
	memory, max         int    // MiB; max 0: not said
	vcpus, maxVCPUs     int
	title, description  string
	running, autostart  string
	machine, seed       string
	graphics, fromImage bool
	disks               []labDisk
	nics                []labNIC
}

type labDisk struct {
	label, volume, bus, format string
	size                       int // MiB; 0 with an image: as big as that
}

type labNIC struct{ label, network, model, address, link string }

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// newLab makes a project of up to four vm blocks.
func newLab(r *rand.Rand, can abilities) *lab {
	l := &lab{can: can, pool: 1}
	if can.defaultPool {
		l.pool = pick(r, 0, 1)
	}
	if can.images {
		l.image = pick(r, 0, 1, 2)
	}
	for _, name := range []string{"lan", "back"} {
		if r.IntN(3) > 0 {
			l.nets = append(l.nets, newNet(r, name))
		}
	}
	if r.IntN(2) == 0 {
		l.vols = append(l.vols, labVol{name: "db", size: l.size(r)})
	}
	for _, name := range []string{"a", "b", "c", "d"} {
		if len(l.vms) == 0 || r.IntN(3) == 0 {
			l.vms = append(l.vms, l.newVM(r, name))
		}
	}
	return l
}

var octets = map[string]int{"lan": 1, "back": 2, "extra": 3}

func newNet(r *rand.Rand, name string) labNet {
	return labNet{
		name: name, mode: pick(r, "", "nat", "isolated", "route", "open"), domain: pick(r, "", name+".example"),
		octet: octets[name], autostart: pick(r, "", "", "false"),
	}
}

func (l *lab) newVM(r *rand.Rand, name string) labVM {
	v := labVM{
		name: name, keys: pick(r, "", "", "", "xy", "2"), memory: pick(r, l.can.memory...), vcpus: 1 + r.IntN(2),
		title: pick(r, "", "a title"), description: pick(r, "", "a <description> & \"more\""), autostart: pick(r, "", "true", "false"),
		machine: pick(r, "", "q35", "pc"), fromImage: l.image > 0 && r.IntN(2) == 0, graphics: r.IntN(4) == 0,
	}
	v.running = l.power(r, &v)
	if r.IntN(2) == 0 {
		v.max = slices.Max(l.can.memory)
	}
	if r.IntN(2) == 0 {
		v.maxVCPUs = 3
	}
	if l.can.images {
		v.seed = pick(r, "", "one", "two")
	}
	for _, label := range []string{"root", "data", "more"}[:1+r.IntN(3)] {
		v.disks = append(v.disks, l.newDisk(r, &v, label))
	}
	for _, label := range []string{"one", "two"} {
		if n := l.newNIC(r, &v, label); n.network != "" && r.IntN(2) == 0 {
			v.nics = append(v.nics, n)
		}
	}
	return v
}

// power says whether a vm may run: most are only defined, where guests cost something.
func (l *lab) power(r *rand.Rand, v *labVM) string {
	running := 0
	for _, other := range l.vms {
		if other.running != "false" && other.name != v.name {
			running += max(1, len(other.each()))
		}
	}
	if running+max(1, len(v.each())) > l.can.running {
		return "false"
	}
	return pick(r, "", "true", "null", "false")
}

// each lists the keys of a block's instances; nil when there is just one.
func (v *labVM) each() []string {
	if v.keys == "" {
		return nil
	}
	if n := v.keys[0]; n >= '0' && n <= '9' {
		return []string{"0", "1"}[:n-'0']
	}
	return strings.Split(v.keys, "")
}

func (l *lab) newDisk(r *rand.Rand, v *labVM, label string) labDisk {
	d := labDisk{label: label, bus: pick(r, "", "", "virtio", "scsi"), format: pick(r, "", "", "raw"), size: l.size(r)}
	free := func(vol string) bool {
		for _, other := range l.vms {
			for _, d := range other.disks {
				if d.volume == vol {
					return false
				}
			}
		}
		return !slices.ContainsFunc(v.disks, func(d labDisk) bool { return d.volume == vol })
	}
	if len(l.vols) > 0 && label != "root" && v.keys == "" && r.IntN(2) == 0 && free(l.vols[0].name) {
		d.volume = l.vols[0].name
	}
	if label == "root" && v.fromImage {
		d.format, d.size = "", pick(r, 0, 16, 24)
	}
	return d
}

// size is that of a disk, the same one where disks cannot grow.
func (l *lab) size(r *rand.Rand) int {
	if !l.can.resize {
		return 8
	}
	return 8 + r.IntN(8)
}

func (l *lab) newNIC(r *rand.Rand, v *labVM, label string) labNIC {
	if len(l.nets) == 0 {
		return labNIC{}
	}
	n := labNIC{label: label, network: pick(r, l.nets...).name, model: pick(r, "", "virtio", "e1000"), link: pick(r, "", "", "false")}
	n.address = pick(r, "", "auto")
	if v.keys == "" && r.IntN(2) == 0 {
		n.address = fmt.Sprintf("10.81.%d.%d", octets[n.network], 100+10*int(v.name[0]-'a')+len(label)+map[string]int{"one": 0, "two": 3}[label])
	}
	return n
}
