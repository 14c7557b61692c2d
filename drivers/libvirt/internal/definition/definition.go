// Package definition owns where libvirt keeps each field of a vm, network and pool: one table. A row says how a field is read
// from the XML, how it is written into XML that is there already, which call changes it in a running guest, and what its
// change does. Definition, observation, update and the reference pages all come from these rows.
//
// Writing edits only the elements of the fields that change. A new object is made by writing every row into an empty
// definition. The package does no I/O and does not link libvirt: the reference pages are written on machines without it.
package definition

import (
	"fmt"
	"strconv"
	"strings"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers/libvirt/internal/xmltree"
)

// Field is a row of the table: an attribute of a T, and where an element keeps it. The element is <domain> for a VM, <disk>
// for a Disk, <network> for a Network, and so on.
type Field[T any] struct {
	// Name is the attribute's, as in resource.Change, without what leads to the block.
	Name string
	// Block tells that the attribute is a block, or several: the row is about everything in it.
	Block bool
	// Read sets the attribute of to from the element. It is nil for what is not in the definition, such as autostart.
	Read func(el *xmltree.Node, to *T, c *Context)
	// Write makes the element say what the attribute of from says, and leaves everything else in it as it is.
	Write func(el *xmltree.Node, from *T, c *Context) error
	// Live is the call that changes the attribute in a running guest. It is made where Rules say that the change is live.
	Live Live
	// Rules say what a change does, without Kind and Path; without any it does what the last rule of the kind says.
	Rules []Rule
}

// Live is the libvirt call that changes a field in a running guest. The driver has a function for each.
type Live string

// The calls.
const (
	LiveMetadata Live = "virDomainSetMetadata"
	LiveVCPUs    Live = "virDomainSetVcpusFlags"
	LiveMemory   Live = "virDomainSetMemoryFlags"
	LiveDevice   Live = "virDomainUpdateDeviceFlags"
	LiveForward  Live = "virDomainQemuMonitorCommand"
)

// Host is what a definition depends on beside the object.
type Host struct {
	Arch        string
	DomainTypes []string          // what works, best first
	Virt        map[string]string // the value of <domain type=…> for kvm and qemu
	Test        bool              // libvirt's test driver, which knows few devices
}

// Context is what rows need to know beside the element. Reading needs VolumeID alone.
type Context struct {
	*Host
	// VolumeID names a file of the host as "pool/file", or as it is when it lies in no pool.
	VolumeID func(file string) string
	// File finds the file behind a disk's source.
	File func(source string) (File, error)
	// SerialLog is the path of the file that gets what a new guest writes to its serial console; empty for none.
	SerialLog string

	targets targets
}

// File is the volume behind a disk.
type File struct{ Path, Format string }

func read[T any](fields []Field[T], el *xmltree.Node, to *T, c *Context) {
	for i := range fields {
		if fields[i].Read != nil {
			fields[i].Read(el, to, c)
		}
	}
}

// write writes the fields that changed tells; nil: all.
func write[T any](fields []Field[T], el *xmltree.Node, from *T, c *Context, changed func(name string) bool) error {
	for i := range fields {
		f := &fields[i]
		if f.Write == nil || changed != nil && !changed(f.Name) {
			continue
		}
		if err := f.Write(el, from, c); err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
	}
	return nil
}

// among makes the condition for write from the paths of changes: a field changes also when something inside it does.
func among(paths []string) func(string) bool {
	return func(name string) bool {
		for _, p := range paths {
			if rest, ok := strings.CutPrefix(p, name); ok && (rest == "" || rest[0] == '.') {
				return true
			}
		}
		return false
	}
}

// hostChanges lists the paths of what differs for the host.
func hostChanges(before, after resource.Resource) []string {
	var paths []string
	for _, c := range resource.Diff(before, after) {
		if c.Class == resource.ClassHost {
			paths = append(paths, c.Path)
		}
	}
	return paths
}

// text is the row of an attribute that is the text of an element.
func text[T any](name string, of func(*T) *string, path ...string) Field[T] {
	return Field[T]{
		Name: name,
		Read: func(el *xmltree.Node, to *T, _ *Context) { *of(to) = el.Get(path...).Text() },
		Write: func(el *xmltree.Node, from *T, _ *Context) error {
			if *of(from) == "" {
				el.Get(path[:len(path)-1]...).Drop(path[len(path)-1])
				return nil
			}
			el.Ensure(path...).SetText(*of(from))
			return nil
		},
	}
}

// attribute is the row of an attribute that is one of an element, too.
func attribute[T any](name string, of func(*T) *string, attr string, path ...string) Field[T] {
	return Field[T]{
		Name: name,
		Read: func(el *xmltree.Node, to *T, _ *Context) { *of(to) = el.Get(path...).Attr(attr) },
		Write: func(el *xmltree.Node, from *T, _ *Context) error {
			setAttr(el, *of(from), attr, path...)
			return nil
		},
	}
}

// number is attribute for one that holds a number; 0 is "not set".
func number[T any](name string, of func(*T) *int, attr string, path ...string) Field[T] {
	return Field[T]{
		Name: name,
		Read: func(el *xmltree.Node, to *T, _ *Context) { *of(to) = parseInt(el.Get(path...).Attr(attr)) },
		Write: func(el *xmltree.Node, from *T, _ *Context) error {
			setAttr(el, formatInt(*of(from)), attr, path...)
			return nil
		},
	}
}

// rules gives a row its rules.
func (f Field[T]) rules(list ...Rule) Field[T] {
	f.Rules = list
	return f
}

// live makes a row one that changes in a running guest.
func (f Field[T]) live(call Live, note string) Field[T] {
	f.Live = call
	return f.rules(Rule{Impact: live, Note: note, Call: string(call) + " (live), " + callDefine})
}

// setAttr sets an attribute of the element at the path. An empty value removes it, and the element if that says nothing more.
func setAttr(el *xmltree.Node, value, attr string, path ...string) {
	if value != "" {
		el.Ensure(path...).Set(attr, value)
		return
	}
	at := el.Get(path...)
	if at == nil {
		return
	}
	at.Set(attr, "")
	if len(at.Attrs)+len(at.Kids) == 0 && len(path) > 0 {
		el.Get(path[:len(path)-1]...).DropFunc(func(k *xmltree.Node) bool { return k == at })
	}
}

func parseInt(text string) int {
	n, _ := strconv.Atoi(text)
	return n
}

func formatInt(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// Size reads an element such as <memory unit='KiB'>.
func Size(n *xmltree.Node) resource.Size {
	v, _ := strconv.ParseUint(strings.TrimSpace(n.Text()), 10, 64)
	switch n.Attr("unit") {
	case "bytes", "b":
		return resource.Size(v)
	case "MiB", "M":
		return resource.Size(v) * resource.MiB
	case "GiB", "G":
		return resource.Size(v) * resource.GiB
	}
	return resource.Size(v) * resource.KiB
}

func setKiB(n *xmltree.Node, size resource.Size) {
	n.Set("unit", "KiB")
	n.SetText(strconv.FormatUint(uint64(size/resource.KiB), 10))
}
