package main

import (
	"fmt"
	"strings"
)

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
