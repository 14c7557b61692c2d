package config

import (
	"maps"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"vmplan.dev/vmplan/config/resource"
)

// usage is a vm block that says appliance = appliance.NAME, as it is written: what it gives and overrides.
type usage struct {
	of    reference
	call  *call
	parts table[*block] // vm "NAME" { … } in it, for an appliance with several
}

// compile reads a resource block; a vm may be an instance of an appliance.
func (l *loader) compile(src *hclsyntax.Block) *block {
	if src.Type != string(resource.KindVM) {
		return compileBlock(src, l.rep)
	}
	u, plain, ok := l.declareUsage(src)
	b := compileBlock(plain, l.rep)
	b.usage, b.broken = u, !ok
	return b
}

// declareUsage reads what makes the vm block src an instance of an appliance, and gives the block without that. ok tells
// whether it is known of which.
func (l *loader) declareUsage(src *hclsyntax.Block) (u *usage, plain *hclsyntax.Block, ok bool) {
	attrs := src.Body.Attributes
	if attrs[applianceBlock] == nil {
		if attr := attrs[withName]; attr != nil {
			l.rep.add(mistake(attr.NameRange, "Not an instance", "with gives the parameters of an appliance, and this vm is made from none. Write appliance = appliance.NAME, or take with out."))
			src = without(src, withName)
		}
		return nil, src, true
	}
	of, ok := l.applianceReference(attrs[applianceBlock])
	plain = without(src, applianceBlock, withName)
	u = &usage{of: of, call: &call{kind: resource.KindVM, name: src.Labels[0], header: src.DefRange(), repeat: repetition{attrs["count"], attrs["for_each"]}}}
	u.call.readInputs(attrs[withName])
	if attr := attrs["depends_on"]; attr != nil {
		u.call.needs = staticReferences(attr, &reporter{}) // whose mistakes are reported with the block's
	}
	plain.Body.Blocks = slices.DeleteFunc(plain.Body.Blocks, func(b *hclsyntax.Block) bool {
		if b.Type != string(resource.KindVM) {
			return false
		}
		l.declarePart(u, b)
		return true
	})
	if !ok {
		return nil, plain, false
	}
	return u, plain, true
}

// without gives a copy of a block that lacks attributes.
func without(b *hclsyntax.Block, names ...string) *hclsyntax.Block {
	c := *b
	c.Body = copyBody(b.Body)
	for _, name := range names {
		delete(c.Body.Attributes, name)
	}
	return &c
}

// applianceReference reads appliance = appliance.NAME, which is needed before anything is evaluated.
func (l *loader) applianceReference(attr *hclsyntax.Attribute) (reference, bool) {
	rng := attr.Expr.Range()
	if text, ok := literal(attr.Expr); ok {
		l.rep.add(mistake(rng, "Text in place of a reference", "appliance refers to an appliance. Write it without quotes: appliance = appliance.%s.", text))
		return reference{}, false
	}
	t, diags := hcl.AbsTraversalForExpr(attr.Expr)
	if r := (reference{}); !diags.HasErrors() {
		if r = newReference(t); r.root == applianceBlock && r.name != "" && len(r.steps) == 0 {
			return r, true
		}
	}
	l.rep.add(mistake(rng, "Not a reference", "appliance refers to an appliance, written appliance.NAME: which one is needed before anything is evaluated."))
	return reference{}, false
}

// readInputs reads with = { … }. Its values are evaluated one by one where their names are plain; else all at once.
func (c *call) readInputs(attr *hclsyntax.Attribute) {
	c.inputs = map[string]*hclsyntax.Attribute{}
	if attr == nil {
		return
	}
	cons, ok := attr.Expr.(*hclsyntax.ObjectConsExpr)
	if !ok {
		c.with = attr
		return
	}
	for _, item := range cons.Items {
		name, ok := literal(item.KeyExpr)
		if !ok {
			c.with, c.inputs = attr, nil
			return
		}
		c.inputs[name] = &hclsyntax.Attribute{Name: name, Expr: item.ValueExpr, SrcRange: item.ValueExpr.Range(), NameRange: item.KeyExpr.Range(), EqualsRange: item.KeyExpr.Range()}
	}
}

// declarePart reads what an instance says of one of the appliance's vms.
func (l *loader) declarePart(u *usage, b *hclsyntax.Block) {
	if !l.labels(b, 1) || !l.first(b, u.parts.byName[b.Labels[0]].where()) {
		return
	}
	for _, name := range []string{"count", "for_each", "depends_on", applianceBlock, withName} {
		if attr := b.Body.Attributes[name]; attr != nil {
			l.rep.add(mistake(attr.NameRange, "Attribute of the instance", "%s cannot be said of one vm of an instance. Write it in the block around this one, or in the appliance.", name))
			return
		}
	}
	u.parts.add(b.Labels[0], compileBlock(b, l.rep))
}

// link makes instances of what says so in the module m, once all its appliances are declared.
func (l *loader) link(m *module) {
	for _, name := range m.appliances.order {
		l.checkUsages(m.appliances.byName[name].own, []*appliance{m.appliances.byName[name]})
	}
	l.checkUsages(m, nil)
	for _, name := range m.blocks.order {
		m.blocks.byName[name] = l.instantiate(m, m.blocks.byName[name])
	}
}

// checkUsages refuses instances in m of what is no appliance, or of one of those they are in themselves: stack.
func (l *loader) checkUsages(m *module, stack []*appliance) {
	for _, name := range m.blocks.order {
		b := m.blocks.byName[name]
		if b.usage == nil {
			continue
		}
		of := b.usage.of
		a := m.appliance(of.name)
		i := slices.Index(stack, a)
		switch {
		case a == nil && !m.isBroken():
			l.rep.add(mistake(of.rng, "Missing object", "%s is not declared.%s", of, didYouMean(of.String(), m.applianceNames())))
		case i == len(stack)-1 && i >= 0:
			l.rep.add(mistake(of.rng, "Appliance in itself", "%s would be made of itself: it would never end.", a))
		case i >= 0:
			l.rep.add(mistake(of.rng, "Appliance in itself", "%s would be made of itself, by way of %s: it would never end.", a, stack[len(stack)-1]))
		}
		if b.broken = b.broken || a == nil || i >= 0; !b.broken && len(stack) > 0 {
			l.checkUsages(a.own, append(slices.Clone(stack), a))
		}
	}
}

// isBroken tells whether names that are missing may be so because a file could not be read.
func (m *module) isBroken() bool { return m != nil && (m.broken || m.outer.isBroken()) }

// appliance gives the one called name that is declared in the module or around it, or nil.
func (m *module) appliance(name string) *appliance {
	for ; m != nil; m = m.outer {
		if a := m.appliances.byName[name]; a != nil {
			return a
		}
	}
	return nil
}

func (m *module) applianceNames() []string {
	var out []string
	for ; m != nil; m = m.outer {
		for _, name := range m.appliances.order {
			out = append(out, applianceBlock+"."+name)
		}
	}
	return out
}

// instantiate gives the block b of the module m as an instance, if it is one of an appliance: what it says itself over what the
// appliance says.
func (l *loader) instantiate(m *module, b *block) *block {
	if b.usage == nil || b.broken {
		return b
	}
	u, a := b.usage, m.appliance(b.usage.of.name)
	c := *u.call
	c.appliance = a
	if a.vm == nil {
		target := *a.own
		target.blocks = l.several(u, a, u.common(b))
		group := *b
		group.call, c.target, group.group = &c, &target, true
		return &group
	}
	for _, name := range u.parts.order {
		l.rep.add(mistake(u.parts.byName[name].header, "Unknown block type", "%s has one vm. What is to be otherwise in it is written in the block around this one.", a))
	}
	merged := overlay(a.vm.said(a.String()).shifted(-1), b)
	merged.name, merged.header, merged.repeat = b.name, b.header, b.repeat
	merged.ranges[""] = b.header
	merged.call, c.target = &c, a.own
	return merged
}

// several gives the blocks of an instance of an appliance whose vms have names; common is what the instance says of each.
func (l *loader) several(u *usage, a *appliance, common *block) table[*block] {
	blocks := table[*block]{byName: maps.Clone(a.own.blocks.byName), order: a.own.blocks.order}
	var labels []string
	for _, name := range a.own.blocks.order {
		base := a.own.blocks.byName[name]
		if base.kind != resource.KindVM {
			continue
		}
		labels = append(labels, base.name)
		over := common
		if part := u.parts.byName[base.name]; part != nil {
			over = overlay(common, part)
		}
		blocks.byName[name] = l.instantiate(a.own, overlay(base.said(a.String()), over.said(u.call.String()).shifted(1)))
	}
	for _, name := range u.parts.order {
		if !slices.Contains(labels, name) {
			l.rep.add(mistake(u.parts.byName[name].header, "Unknown name", "%s has no vm %q.%s", a, name, didYouMean(name, labels)))
		}
	}
	return blocks
}

// common is what the block of an instance says of each of its vms: all but the name, which is that of the whole.
func (u *usage) common(b *block) *block {
	c := *b
	body := *b.body
	body.attrs = slices.DeleteFunc(slices.Clone(body.attrs), func(a *attrSpec) bool { return a.path == "name" })
	c.body, c.ranges = &body, maps.Clone(b.ranges)
	delete(c.ranges, "name")
	c.needs = nil // all of the instance waits for them
	return &c
}

// said gives a copy of a block whose fields are said by what.
func (b *block) said(what string) *block {
	c := *b
	c.origins = map[string]string{}
	for path := range b.ranges {
		c.origins[path] = what
	}
	return &c
}

// shifted gives a copy of a block all of whose expressions are evaluated so many levels further out.
func (b *block) shifted(by int) *block {
	c := *b
	c.body = b.body.shifted(by)
	c.refs, c.needs, c.triggers = shiftedReferences(b.refs, by), shiftedReferences(b.needs, by), shiftedReferences(b.triggers, by)
	c.rules = slices.Clone(b.rules)
	for i := range c.rules {
		c.rules[i].level += by
	}
	return &c
}

func shiftedReferences(refs []reference, by int) []reference {
	out := slices.Clone(refs)
	for i := range out {
		out[i].level += by
	}
	return out
}

func (b *bodySpec) shifted(by int) *bodySpec {
	c := &bodySpec{typ: b.typ}
	for _, a := range b.attrs {
		c.attrs = append(c.attrs, a.shifted(by))
	}
	for _, n := range b.singles {
		c.singles = append(c.singles, nestedSpec{n.attr, n.label, n.body.shifted(by)})
	}
	for _, n := range b.labelled {
		c.labelled = append(c.labelled, nestedSpec{n.attr, n.label, n.body.shifted(by)})
	}
	return c
}

func (a *attrSpec) shifted(by int) *attrSpec {
	if a == nil {
		return nil
	}
	c := *a
	c.level, c.under = a.level+by, a.under.shifted(by)
	return &c
}

// overlay gives base with what over sets in its place. The header and the name are base's.
func overlay(base, over *block) *block {
	c := *base
	c.body = overlayBody(base.body, over.body)
	c.refs = slices.Concat(base.refs, over.refs)
	c.needs = slices.Concat(base.needs, over.needs)
	c.rules = slices.Concat(base.rules, over.rules)
	if _, ok := over.ranges[triggerPath]; ok {
		c.triggers = over.triggers
	}
	c.ranges, c.origins = maps.Clone(base.ranges), maps.Clone(base.origins)
	if c.origins == nil {
		c.origins = map[string]string{}
	}
	for path, rng := range over.ranges {
		if path != "" {
			c.ranges[path], c.origins[path] = rng, over.origins[path]
		}
	}
	return &c
}

func overlayBody(base, over *bodySpec) *bodySpec {
	c := &bodySpec{typ: base.typ, attrs: slices.Clone(base.attrs), singles: slices.Clone(base.singles), labelled: slices.Clone(base.labelled)}
	for _, a := range over.attrs {
		i := slices.IndexFunc(c.attrs, func(b *attrSpec) bool { return b.attr == a.attr })
		if i < 0 {
			c.attrs = append(c.attrs, a)
			continue
		}
		top := *a
		top.addUnder(c.attrs[i])
		c.attrs[i] = &top
	}
	c.singles = overlayBlocks(c.singles, over.singles)
	c.labelled = overlayBlocks(c.labelled, over.labelled)
	return c
}

// addUnder puts b below all that a lies over already.
func (a *attrSpec) addUnder(b *attrSpec) {
	if a.under == nil {
		a.under = b
		return
	}
	under := *a.under
	under.addUnder(b)
	a.under = &under
}

func overlayBlocks(base, over []nestedSpec) []nestedSpec {
	for _, n := range over {
		i := slices.IndexFunc(base, func(b nestedSpec) bool { return b.attr == n.attr && b.label == n.label })
		if i < 0 {
			base = append(base, n)
		} else {
			base[i] = nestedSpec{n.attr, n.label, overlayBody(base[i].body, n.body)}
		}
	}
	return base
}
