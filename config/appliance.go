package config

import (
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"vmplan.dev/vmplan/config/resource"
)

// Words of an appliance and of the vms that are made from it.
const (
	applianceBlock = "appliance"
	parameterBlock = "parameter"
	withName       = "with"
	sharedName     = "shared"
	sourceName     = "source"
)

// appliance is an appliance block: two modules that are written inline. Each instance has own to itself; shared exists once.
// What is written in either sees, beside its own names, those of the module around it.
type appliance struct {
	name   string
	header hcl.Range
	own    *module
	shared *module
	vm     *block // the vm without a name; nil when each has one, and is among the blocks of own
	closed bool   // it is in a folder of its own, sees no names but its own, and reads no other files
	// trust lists what the project says beside source: servers, or parts of them, that images of a closed one may come from like
	// the project's own.
	trust []string
}

func (a *appliance) String() string { return applianceBlock + "." + a.name }

func (a *appliance) where() *hcl.Range {
	if a == nil {
		return nil
	}
	return &a.header
}

// applianceBlocks are the types of blocks that an appliance may hold.
func applianceBlocks() []string {
	names := []string{parameterBlock, "locals", "output"}
	for k := range blockTypes {
		if k != resource.KindHost && k != resource.KindPool {
			names = append(names, string(k))
		}
	}
	slices.Sort(names)
	return names
}

// declareAppliance reads an appliance block of the module m.
func (l *loader) declareAppliance(m *module, b *hclsyntax.Block) *appliance {
	a := &appliance{name: b.Labels[0], header: b.DefRange()}
	if attr := b.Body.Attributes[sourceName]; attr != nil {
		l.readAppliance(a, m, b, attr)
		return a
	}
	a.own = &module{dir: m.dir, inline: a, outer: m}
	a.shared = &module{dir: m.dir, inline: a, outer: m}
	l.fillAppliance(a, b)
	return a
}

// fillAppliance reads what stands in the block b of an appliance.
func (l *loader) fillAppliance(a *appliance, b *hclsyntax.Block) {
	for _, attr := range sortedAttributes(b.Body) {
		if attr.Name != string(resource.KindImage) {
			l.rep.add(unknownAttribute(attr, applianceBlock, append(applianceBlocks(), string(resource.KindImage), sourceName)))
		}
	}
	for _, nested := range b.Body.Blocks {
		l.declareInside(a, nested)
	}
	if a.vm == nil && !slices.ContainsFunc(a.own.blocks.order, a.own.isVM) {
		l.rep.add(mistake(a.header, "Missing block", "%s has no vm. Write vm { … } in it, or vm \"NAME\" { … } for each of several.", a))
	}
	if attr := b.Body.Attributes[string(resource.KindImage)]; attr != nil {
		a.setImage(attr)
	}
}

func (m *module) isVM(name string) bool { return m.blocks.byName[name].kind == resource.KindVM }

// declareInside sorts one block of an appliance into its modules.
func (l *loader) declareInside(a *appliance, b *hclsyntax.Block) {
	kind := resource.Kind(b.Type)
	switch {
	case !slices.Contains(applianceBlocks(), b.Type):
		l.rep.add(mistake(b.TypeRange, "Unknown block type", "An appliance block has no block %q.%s", b.Type, didYouMean(b.Type, applianceBlocks())))
	case b.Type == "locals" || b.Type == "output":
		l.declare(a.own, b)
	case b.Type == parameterBlock:
		if l.labels(b, 1) && l.first(b, a.own.variables.byName[b.Labels[0]].where()) {
			a.own.variables.add(b.Labels[0], declareVariable(b, l.rep))
		}
	case kind == resource.KindVM && len(b.Labels) == 0:
		l.declareUnnamed(a, b)
	case kind == resource.KindVM && a.vm != nil:
		l.rep.add(mistake(b.DefRange(), "Vm without a name", "%s has a vm without a name already (%s). Where there are several, each has one: vm \"NAME\" { … }.", a, place(a.vm.header)))
	default:
		to, b := l.sharedOrOwn(a, b)
		other := a.own
		if other == to {
			other = a.shared
		}
		if len(b.Labels) != 1 || l.first(b, other.blocks.byName[b.Type+"."+b.Labels[0]].where()) {
			l.declare(to, b)
		}
	}
}

// declareUnnamed reads the vm { … } of an appliance.
func (l *loader) declareUnnamed(a *appliance, b *hclsyntax.Block) {
	if i := slices.IndexFunc(a.own.blocks.order, a.own.isVM); a.vm != nil || i >= 0 {
		first := a.vm
		if first == nil {
			first = a.own.blocks.byName[a.own.blocks.order[i]]
		}
		l.rep.add(mistake(b.DefRange(), "Vm without a name", "%s has a vm already (%s). Where there are several, each has a name: vm \"NAME\" { … }.", a, place(first.header)))
		return
	}
	for _, name := range []string{"count", "for_each", applianceBlock, withName} {
		if attr := b.Body.Attributes[name]; attr != nil {
			l.rep.add(mistake(attr.NameRange, "Attribute of the instance", "%s is said where the appliance is used: vm \"NAME\" { appliance = %s  %s = … }. Or give this vm a name.", name, a, name))
			return
		}
	}
	named := *b
	named.Labels = []string{a.name}
	a.vm = compileBlock(&named, l.rep)
	a.vm.header = b.DefRange()
}

// sharedOrOwn tells which module of the appliance a block belongs to, and gives the block without saying so. Images and what
// describes vms in general are the same for all instances.
func (l *loader) sharedOrOwn(a *appliance, b *hclsyntax.Block) (*module, *hclsyntax.Block) {
	switch resource.Kind(b.Type) {
	case resource.KindImage, kindInstancetype, kindPreference:
		return a.shared, b
	case resource.KindNetwork, resource.KindVolume:
	default:
		return a.own, b
	}
	attr := b.Body.Attributes[sharedName]
	if attr == nil {
		return a.own, b
	}
	plain := *b
	plain.Body = copyBody(b.Body)
	delete(plain.Body.Attributes, sharedName)
	if staticBool(attr, false, l.rep) {
		return a.shared, &plain
	}
	return a.own, &plain
}

// setImage gives the vms of the appliance that name no image the appliance's.
func (a *appliance) setImage(attr *hclsyntax.Attribute) {
	set := func(b *block) {
		if b.usage == nil && b.ranges[attr.Name].Empty() {
			c := &compiler{block: b}
			c.attribute(b.body, resource.SchemaOf(b.typ), string(b.kind), attr, "")
		}
	}
	if a.vm != nil {
		set(a.vm)
	}
	for _, name := range a.own.blocks.order {
		if a.own.isVM(name) {
			set(a.own.blocks.byName[name])
		}
	}
}
