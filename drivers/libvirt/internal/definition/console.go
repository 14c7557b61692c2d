package definition

import (
	"slices"
	"strconv"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers/libvirt/internal/xmltree"
)

// graphicsFields are the rows of a <graphics>. The password, keymap, TLS port and all else in it stays.
var graphicsFields = []Field[resource.Graphics]{
	{
		Name:  "type",
		Read:  func(el *xmltree.Node, g *resource.Graphics, _ *Context) { g.Type = el.Attr("type") },
		Write: writeGraphicsType,
		Rules: []Rule{{Impact: restart, Note: "what only the old type has goes from the definition: its TLS port and channels, or its WebSocket and sharing", Call: callDefine}},
	},
	{
		Name: "listen", Write: writeListen,
		Read: func(el *xmltree.Node, g *resource.Graphics, _ *Context) {
			if g.Listen = el.Attr("listen"); g.Listen == "" {
				g.Listen = el.Get("listen").Attr("address")
			}
		},
	},
	{
		Name: "port",
		Read: func(el *xmltree.Node, g *resource.Graphics, _ *Context) {
			if el.Attr("autoport") != "yes" {
				g.Port = max(parseInt(el.Attr("port")), 0)
			}
		},
		Write: func(el *xmltree.Node, g *resource.Graphics, _ *Context) error {
			port, auto := "-1", "yes"
			if g.Port != 0 {
				port, auto = strconv.Itoa(g.Port), "no"
			}
			el.Set("port", port)
			el.Set("autoport", auto)
			return nil
		},
	},
}

// graphicsOf is the first VNC or SPICE console of a definition, which the graphics block stands for; or nil.
func graphicsOf(def *xmltree.Node) *xmltree.Node {
	for _, k := range def.Get("devices").All("graphics") {
		if kind := k.Attr("type"); kind == "vnc" || kind == "spice" {
			return k
		}
	}
	return nil
}

// What consoles of all types have.
var (
	sharedGraphicsAttrs = []string{"type", "port", "autoport", "listen", "passwd", "passwdValidTo", "connected", "keymap"}
	sharedGraphicsKids  = []string{"listen"}
)

// writeGraphicsType makes a console one of another type, and takes away what that cannot have.
func writeGraphicsType(el *xmltree.Node, g *resource.Graphics, _ *Context) error {
	if el.Attr("type") != g.Type {
		el.Attrs = slices.DeleteFunc(el.Attrs, func(a xmltree.Attr) bool { return !slices.Contains(sharedGraphicsAttrs, a.Name) })
		el.DropFunc(func(k *xmltree.Node) bool { return !slices.Contains(sharedGraphicsKids, k.Name) })
	}
	el.Set("type", g.Type)
	return nil
}

// writeListen changes the address that is listened on first; others stay.
func writeListen(el *xmltree.Node, g *resource.Graphics, _ *Context) error {
	if el.Attr("listen") != "" {
		el.Set("listen", g.Listen)
	}
	listen := el.Ensure("listen")
	listen.Attrs = nil
	listen.Set("type", "address")
	listen.Set("address", g.Listen)
	return nil
}

func writeGraphics(def *xmltree.Node, vm *resource.VM, c *Context, changes Changes) error {
	if !changes.Has("graphics") {
		return nil
	}
	devices, el := def.Ensure("devices"), graphicsOf(def)
	defer func() { fixAudio(devices) }()
	if vm.Graphics == nil {
		devices.DropFunc(func(k *xmltree.Node) bool { return k == el })
		if devices.Get("graphics") == nil {
			devices.Drop("video")
		}
		return nil
	}
	fields := among(changes.Fields)
	if el == nil {
		el, fields = xmltree.New("graphics"), nil
		c.addScreen(devices)
		devices.Add(el)
	}
	return write(graphicsFields, el, vm.Graphics, c, inBlock("graphics", fields))
}

// addScreen gives a guest with its first console what one needs: a video card, and a pointer that is where the user's is.
func (c *Context) addScreen(devices *xmltree.Node) {
	devices.Ensure("video", "model").Set("type", "vga")
	if !c.Test && devices.Get("input") == nil {
		devices.Add(xmltree.New("input", "type", "tablet", "bus", "usb"))
	}
}

// fixAudio takes sound off a SPICE console that is no more.
func fixAudio(devices *xmltree.Node) {
	for _, k := range devices.All("graphics") {
		if k.Attr("type") == "spice" {
			return
		}
	}
	for _, k := range devices.All("audio") {
		if k.Attr("type") == "spice" {
			k.Set("type", "none")
		}
	}
}

// inBlock is the condition for the fields of a block: what changed tells of "block.field"; nil stays nil.
func inBlock(block string, changed func(string) bool) func(string) bool {
	if changed == nil {
		return nil
	}
	return func(name string) bool { return changed(block + "." + name) }
}

// tpmFields are the rows of an emulated <tpm>. Encryption, persistence and PCR banks stay.
var tpmFields = []Field[resource.TPM]{
	{
		Name: "version",
		Read: func(el *xmltree.Node, t *resource.TPM, _ *Context) { t.Version = el.Get("backend").Attr("version") },
		Write: func(el *xmltree.Node, t *resource.TPM, _ *Context) error {
			backend := el.Ensure("backend")
			if backend.Set("version", t.Version); t.Version != "2.0" {
				backend.Drop("active_pcr_banks")
			}
			return nil
		},
		Rules: []Rule{{Impact: restart, Note: "the guest gets a TPM that knows nothing; with 1.2 the choice of PCR banks goes from the definition", Call: callDefine}},
	},
	attribute("model", func(t *resource.TPM) *string { return &t.Model }, "model"),
}

// tpmOf is the emulated TPM of a definition, or nil.
func tpmOf(def *xmltree.Node) *xmltree.Node {
	for _, k := range def.Get("devices").All("tpm") {
		if k.Get("backend").Attr("type") == "emulator" {
			return k
		}
	}
	return nil
}

func writeTPM(def *xmltree.Node, vm *resource.VM, c *Context, changes Changes) error {
	if !changes.Has("tpm") {
		return nil
	}
	devices, el := def.Ensure("devices"), tpmOf(def)
	if vm.TPM == nil {
		devices.DropFunc(func(k *xmltree.Node) bool { return k == el })
		return nil
	}
	fields := among(changes.Fields)
	if el == nil {
		el, fields = xmltree.New("tpm"), nil
		el.Ensure("backend").Set("type", "emulator")
		devices.Add(el)
	}
	return write(tpmFields, el, vm.TPM, c, inBlock("tpm", fields))
}
