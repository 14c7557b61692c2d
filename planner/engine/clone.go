package engine

import (
	"fmt"
	"slices"
	"strings"

	"vmplan.dev/vmplan/config"
	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/planner"
)

// Clone writes the block name, which makes a copy of the vm or volume at from; overlay: copy-on-write over its disks. Nothing is
// copied, and no file is written. Files must be loaded and hosts surveyed. The error is *Mistakes when the project would have
// mistakes with the block.
func (p *Project) Clone(from resource.Addr, name string, overlay bool) ([]byte, error) {
	if !config.ValidLabel(name) {
		return nil, fmt.Errorf("%q cannot be the name of a block: it takes letters, digits, - and _, and begins with a letter", name)
	}
	b, err := cloneBlock(p.seen, from, name)
	if err != nil {
		return nil, err
	}
	if overlay {
		set(b, "clone_mode", "overlay")
	}
	text := config.WriteBlocks([]*config.Block{b})
	return text, p.checkExtra("(clone).hcl", text)
}

// checkExtra makes sure that the project has no mistakes with text as one more file.
func (p *Project) checkExtra(name string, text []byte) error {
	files, _, diags := p.loadExtra(map[string][]byte{name: text})
	if !diags.HasErrors() {
		return nil
	}
	return &Mistakes{Diagnostics: diags, Files: files, Because: "with the block the project would have mistakes, so it was not written"}
}

// cloneBlock writes down what the object at from is, as the block name that is made from it.
func cloneBlock(in planner.Input, from resource.Addr, name string) (*config.Block, error) {
	r := in.Desired.Get(from)
	to := from
	to.Module, to.Name, to.Key, to.Part = "", name, "", ""
	switch {
	case from.Kind != resource.KindVM && from.Kind != resource.KindVolume:
		return nil, fmt.Errorf("%s: only vms and volumes are cloned", from)
	case r == nil:
		return nil, fmt.Errorf("%s is not in the files: see vmplan list", from)
	case from.Module != "":
		return nil, fmt.Errorf("%s is in a module, whose objects cannot be referred to from outside: write the clone into the module", from)
	case in.Desired.Get(to) != nil:
		return nil, fmt.Errorf("the project has %s already: call the clone otherwise", to)
	}
	b := config.NewBlock(r, name)
	set(b, "clone", from)
	newImportWriter(in, "").host(b, r.Base().Host)
	switch r := r.(type) {
	case *resource.VM:
		cloneVMBlock(b, in, r)
	case *resource.Volume:
		if from.Part != "" {
			return nil, fmt.Errorf("%s: name the vm to clone all of it; for a disk alone write volume %q { clone = %s }", from, name, from)
		}
		set(b, "size", sizeOf(in, r))
	}
	return b, nil
}

func cloneVMBlock(b *config.Block, in planner.Input, vm *resource.VM) {
	for _, f := range resource.Fields(vm) {
		value, ok := clonedValue(vm, f)
		if !ok {
			continue
		}
		if err := b.Set(f.Path, value); err != nil {
			panic(err) // the paths are those of the language
		}
	}
	for _, d := range vm.Disks {
		if v, ok := in.Desired.Get(d.Volume).(*resource.Volume); ok && (d.ReadOnly == nil || !*d.ReadOnly) {
			set(b, "disk."+d.Label+".size", sizeOf(in, v))
		}
	}
}

// notCloned are fields of a vm that its clone has its own of, or that vmplan decides.
var notCloned = []string{"host", "name", "uuid", "managed", "depends_on", "image", "domain_type", "running"}

// clonedValue gives what a clone's block says of the field, if anything.
func clonedValue(vm *resource.VM, f resource.Field) (any, bool) {
	first, rest, _ := strings.Cut(f.Path, ".")
	label, field, _ := strings.Cut(rest, ".")
	if a, ok := f.Value.(resource.Addr); ok && first == "nic" && a.Module != "" {
		return nil, false // the instance's of an appliance: nobody else can name it, but a clone takes it over
	}
	switch {
	case slices.Contains(notCloned, first) || first == "lifecycle" || f.Class == resource.ClassInput:
		return nil, false
	case first == "disk":
		d := vm.Disk(label)
		shared := d.Volume.Part == "" && d.ReadOnly != nil && *d.ReadOnly
		return f.Value, d.Volume.Part != "seed" && field != "source" && (field != "volume" || shared)
	case first == "nic" && field == "address":
		return "auto", true
	case first == "nic" && (field == "mac" || field == "source"):
		return nil, false
	}
	return f.Value, true
}

// sizeOf is the volume's size on its host, or what the files say.
func sizeOf(in planner.Input, v *resource.Volume) resource.Size {
	if live := in.Hosts[v.Host].Observed.Objects[resource.Key(v)]; live != nil {
		if found, ok := live.Resource.(*resource.Volume); ok {
			return found.Size
		}
	}
	return v.Size
}
