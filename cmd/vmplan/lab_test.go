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

// editLab is one change of the files; it says which, or "" when it found nothing to change.
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

// files writes the project in the language.
func (l *lab) files() string {
	w := &writer{}
	w.block("host", "lab", func() {
		w.text("uri", l.can.uri)
		w.text("domain_type", l.can.domainType)
	})
	if l.pool > 0 {
		w.block("pool", "main", func() { w.text("path", fmt.Sprintf("%s/pool%d", l.can.poolPath, l.pool)) })
	}
	if l.image > 0 {
		w.block("image", "os", func() { w.text("source", fmt.Sprintf("os%d.qcow2", l.image)) })
	}
	for _, n := range l.nets {
		w.block("network", n.name, func() {
			w.text("mode", n.mode)
			w.text("cidr", fmt.Sprintf("10.81.%d.0/24", n.octet))
			w.text("domain", n.domain)
			w.raw("autostart", n.autostart)
		})
	}
	for _, v := range l.vols {
		w.block("volume", v.name, func() {
			w.text("size", mib(v.size))
			w.text("format", v.format)
		})
	}
	for i := range l.vms {
		l.vms[i].write(w, l)
	}
	return w.b.String()
}

func (v *labVM) write(w *writer, l *lab) {
	w.block("vm", v.name, func() {
		switch keys := v.each(); {
		case keys == nil:
		case keys[0] == "0":
			w.raw("count", fmt.Sprint(len(keys)))
		default:
			w.raw("for_each", `toset(["`+strings.Join(keys, `", "`)+`"])`)
		}
		if v.fromImage && l.image > 0 {
			w.raw("image", "image.os")
		}
		w.text("memory", mib(v.memory))
		w.text("max_memory", mib(max(v.max, 0)))
		w.number("vcpus", v.vcpus)
		if v.maxVCPUs >= v.vcpus {
			w.number("max_vcpus", v.maxVCPUs)
		}
		w.text("title", v.title)
		w.text("description", v.description)
		w.raw("running", v.running)
		w.raw("autostart", v.autostart)
		w.text("machine", v.machine)
		w.text("shutdown_timeout", "1s")
		for _, d := range v.disks {
			d.write(w, v.fromImage && l.image > 0 && d.label == "root")
		}
		for _, n := range v.nics {
			w.block("nic", n.label, func() {
				w.raw("network", "network."+n.network)
				w.text("model", n.model)
				w.text("address", n.address)
				w.raw("link", n.link)
			})
		}
		if v.graphics {
			w.block("graphics", "", func() {})
		}
		if v.seed != "" {
			w.block("cloud_init", "", func() { w.text("user_data", "#!/bin/sh\\necho "+v.seed) })
		}
	})
}

func (d *labDisk) write(w *writer, overlay bool) {
	w.block("disk", d.label, func() {
		w.text("bus", d.bus)
		switch {
		case d.volume != "":
			w.raw("volume", "volume."+d.volume)
		case overlay:
			w.text("size", mib(d.size))
		default:
			w.text("size", mib(max(d.size, 8)))
			w.text("format", d.format)
		}
	})
}

func mib(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%dMiB", n)
}

// writer writes blocks; what is not set is left out.
type writer struct {
	b      strings.Builder
	indent string
}

func (w *writer) block(kind, label string, body func()) {
	if label != "" {
		label = fmt.Sprintf(" %q", label)
	}
	fmt.Fprintf(&w.b, "%s%s%s {\n", w.indent, kind, label)
	w.indent += "  "
	body()
	w.indent = w.indent[2:]
	fmt.Fprintf(&w.b, "%s}\n", w.indent)
}

func (w *writer) raw(name, value string) {
	if value != "" {
		fmt.Fprintf(&w.b, "%s%s = %s\n", w.indent, name, value)
	}
}

func (w *writer) text(name, value string) {
	if value != "" {
		w.raw(name, `"`+strings.ReplaceAll(value, `"`, `\"`)+`"`)
	}
}

func (w *writer) number(name string, n int) {
	if n > 0 {
		w.raw(name, fmt.Sprint(n))
	}
}
