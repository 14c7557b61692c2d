package engine

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"vmplan.dev/vmplan/config"
	"vmplan.dev/vmplan/config/atomicfile"
	"vmplan.dev/vmplan/config/resource"
)

// seedPart is the part of a vm that cloud_init makes.
const seedPart = "seed"

// writeFolder writes the blocks beside the disks, and gives the folder its name when all is there.
func (e *exporter) writeFolder(out string) error {
	var blocks []*config.Block
	for _, x := range e.vms {
		for _, n := range x.vm.NICs {
			if b := e.networkBlock(n.Network); b != nil && !slices.ContainsFunc(blocks, func(o *config.Block) bool {
				return o.Kind == b.Kind && o.Label == b.Label
			}) {
				blocks = append(blocks, b)
			}
		}
	}
	for _, x := range e.vms {
		for _, d := range x.disks {
			blocks = append(blocks, e.imageBlock(x, d))
		}
		b, err := e.vmBlock(x)
		if err != nil {
			return err
		}
		blocks = append(blocks, b)
	}
	if err := os.WriteFile(filepath.Join(e.dir, "main.hcl"), config.WriteBlocks(blocks), e.mode()); err != nil {
		return err
	}
	mode := os.FileMode(0o755)
	if e.identity {
		mode = 0o700
	}
	if err := os.Chmod(e.dir, mode); err != nil {
		return err
	}
	return atomicfile.Publish(e.dir, out)
}

// imageBlock describes a disk's file.
func (e *exporter) imageBlock(x *exported, d *exportedDisk) *config.Block {
	b := config.NewBlock(&resource.Image{}, imageAddr(x, d).Name)
	set(b, "source", d.file)
	set(b, "checksum", d.digest)
	if d.Format != e.drivers[x.vm.Host].Defaults().DiskFormat {
		set(b, "format", d.Format)
	}
	return b
}

func imageAddr(x *exported, d *exportedDisk) resource.Addr {
	return resource.Addr{Kind: resource.KindImage, Name: labelOf(resource.KindImage, x.label+"_"+d.spec.Label)}
}

// notExported are fields of a network that it gets anew, or that say what only counts in its project.
var notExported = []string{"host", "name", "uuid", "managed", "depends_on", "lifecycle", "reservation"}

// The values that need not be written down, by the last name of their path.
var (
	usualInVM      = map[string]any{"on_delete": "cascade", "update": "live", "shutdown_timeout": resource.Duration(time.Minute), "device": "disk"}
	usualInNetwork = map[string]any{"mode": "nat", "dhcp": true, "autostart": true}
)

func isUsual(usual map[string]any, f resource.Field) bool {
	value, ok := usual[f.Path[strings.LastIndexByte(f.Path, '.')+1:]]
	return ok && value == f.Value
}

// networkBlock describes a network that a vm is on, or gives nil when there is none.
func (e *exporter) networkBlock(addr resource.Addr) *config.Block {
	n, ok := e.seen.Desired.Get(addr).(*resource.Network)
	if !ok {
		return nil
	}
	b := config.NewBlock(n, plainLabel(addr))
	if e.identity || !n.IsManaged() {
		if n.Name != b.Label {
			set(b, "name", n.Name)
		}
	}
	if !n.IsManaged() {
		if err := b.Set("managed", false); err != nil {
			panic(err)
		}
		return b
	}
	for _, f := range resource.Fields(n) {
		first, _, _ := strings.Cut(f.Path, ".")
		if slices.Contains(notExported, first) || first == "bridge" && n.Mode != "bridge" || isUsual(usualInNetwork, f) {
			continue
		}
		if err := b.Set(f.Path, f.Value); err != nil {
			panic(err) // the paths are those of the language
		}
	}
	return b
}

// plainLabel is the label of an object without the key, which it has when its block makes several.
func plainLabel(a resource.Addr) string {
	return labelOf(a.Kind, strings.TrimSuffix(a.Name+"_"+strings.Trim(a.Key, `[]"`), "_"))
}

// vmBlock describes a vm: its settings, its disks as they were read, and who it is, if that is wanted.
func (e *exporter) vmBlock(x *exported) (*config.Block, error) {
	b := config.NewBlock(x.vm, x.label)
	if e.identity {
		set(b, "uuid", x.vm.UUID)
		if x.vm.Name != x.label {
			set(b, "name", x.vm.Name)
		}
	}
	desired := e.seen.Desired.Get(x.vm.Addr).(*resource.VM)
	for _, f := range resource.Fields(desired) {
		value, ok := e.exportedValue(desired, f)
		if !ok {
			continue
		}
		if err := b.Set(f.Path, value); err != nil {
			panic(err) // the paths are those of the language
		}
	}
	for _, d := range x.disks {
		set(b, "disk."+d.spec.Label+".image", imageAddr(x, d))
	}
	if e.identity {
		return b, e.seedFiles(b, x)
	}
	if e.seen.Desired.Get(x.vm.Addr.WithPart(seedPart)) != nil {
		e.note(fmt.Sprintf("%s: cloud_init is left out, for it may hold secrets: write one where the vm is made from this.", x.vm.Addr))
	}
	return b, nil
}

// exportedValue gives what the block says of a field, if anything.
func (e *exporter) exportedValue(vm *resource.VM, f resource.Field) (any, bool) {
	first, rest, _ := strings.Cut(f.Path, ".")
	label, field, _ := strings.Cut(rest, ".")
	value, ok := clonedValue(vm, f)
	switch {
	case isUsual(usualInVM, f):
		return nil, false
	case first == "disk":
		return f.Value, vm.Disk(label).Volume.Part != seedPart && !slices.Contains([]string{"source", "volume"}, field)
	case first == "nic" && field == "network":
		return resource.Addr{Kind: resource.KindNetwork, Name: plainLabel(f.Value.(resource.Addr))}, true
	case first == "nic" && e.identity && (field == "mac" || field == "address"):
		return f.Value, true
	}
	return value, ok
}

// seedFiles writes down what cloud-init was told, so that the guest takes itself for the one that it was.
func (e *exporter) seedFiles(b *config.Block, x *exported) error {
	seed, ok := e.seen.Desired.Get(x.vm.Addr.WithPart(seedPart)).(*resource.Seed)
	if !ok {
		return nil
	}
	for _, part := range []struct {
		name   string
		secret resource.Secret
	}{
		{"user_data", seed.UserData},
		{"meta_data", seed.MetaData},
		{"network_config", seed.NetworkConfig},
		{"vendor_data", seed.VendorData},
	} {
		name := part.name
		text, known := part.secret.Clear()
		if !known {
			return fmt.Errorf("%s: %s of cloud_init is not known in clear", x.vm.Addr, name)
		}
		if text == "" {
			continue
		}
		file := x.label + "-" + strings.ReplaceAll(name, "_", "-")
		if err := os.WriteFile(filepath.Join(e.dir, file), []byte(text), 0o600); err != nil {
			return err
		}
		if err := b.Set("cloud_init."+name, config.FileText(file)); err != nil {
			return err
		}
	}
	return nil
}
