package config

import (
	"reflect"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"vmplan.dev/vmplan/config/resource"
)

// object is one instance of a resource block, decoded.
type object struct {
	addr  resource.Addr
	id    string // what references carry: the address, or that of a built-in
	block *block // nil for what no file declares
	scope *scope
	value any                  // pointer to the struct
	vars  map[string]cty.Value // each or count
	inner *scope               // of the appliance that it is an instance of, if it is one
	res   resource.Resource    // value, unless it is an instancetype or preference
	bad   map[string]bool      // fields that could not be decoded, by path
	nulls map[string]bool      // fields that were set to null, where that means something
	// sealed tells of lists that may hold sensitive values which elements are, by path.
	sealed map[string][]bool
}

// at is where a field of the object was written, or the nearest thing around it.
func (o *object) at(path string) hcl.Range { return nearest(o.block.ranges, path) }

// Mistake implements complete.Source.
func (o *object) Mistake(path, summary, format string, args ...any) {
	o.scope.eval.rep.addFirst(mistake(o.at(path), summary, format, args...))
}

// Fail implements complete.Source.
func (o *object) Fail(path string) { o.fail(path) }

// Wrong implements complete.Source.
func (o *object) Wrong(path string) bool { return o.bad[path] }

// Written implements complete.Source.
func (o *object) Written(path string) bool { return writtenAt(o.block.ranges, path) }

// Null implements complete.Source.
func (o *object) Null(path string) bool { return o.nulls[path] }

func (o *object) fail(path string) {
	if o.bad == nil {
		o.bad = map[string]bool{}
	}
	o.bad[path] = true
}

func (o *object) seal(path string, elements []bool) {
	if elements == nil {
		return
	}
	if o.sealed == nil {
		o.sealed = map[string][]bool{}
	}
	o.sealed[path] = elements
}

// decoding is the work on one block of one module instance. Attributes that are the same for every instance of the block
// are evaluated once.
type decoding struct {
	scope  *scope
	block  *block
	base   *hcl.EvalContext
	shared map[*attrSpec]decoded
}

// decoded is an attribute's value in Go.
type decoded struct {
	value  reflect.Value
	state  attrState
	sealed []bool
}

type attrState uint8

const (
	attrUnset  attrState = iota // null
	attrSet                     // value holds it
	attrFailed                  // reported, or depends on what was
)

// decodeBlock gives the objects that a block makes; ok is false when it is not known which.
func (sc *scope) decodeBlock(b *block, from hcl.Range) (all []*object, ok bool) {
	name := string(b.kind) + "." + b.name
	v := sc.demand(name, from, func() cty.Value {
		if b.broken {
			return cty.DynamicVal
		}
		sc.evaluateNeeds(atLevel(b.needs, 0))
		if b.kind == resource.KindHost && sc.parent != nil {
			sc.eval.rep.addFirst(mistake(b.header, "Host in a module", "Hosts are declared by the project itself. Move the block to the root module and hand host.%s to the module as an input.", b.name))
			return cty.DynamicVal
		}
		instances, ok := sc.instances(b)
		switch {
		case !ok:
			return cty.DynamicVal
		case b.group:
			return cty.True
		}
		d := &decoding{scope: sc, block: b, shared: map[*attrSpec]decoded{}}
		d.base = sc.context(atLevel(b.refs, 0), b.repeat)
		sc.checkTriggers(b)
		objects := make([]*object, len(instances))
		for i, in := range instances {
			objects[i] = d.object(in)
		}
		sc.objects[name] = objects
		return cty.True
	})
	return sc.objects[name], v == cty.True
}

// instances gives what the block makes objects for. The instances of an appliance are scopes already.
func (sc *scope) instances(b *block) ([]instance, bool) {
	if b.call == nil {
		return sc.expand(b.repeat, b.header)
	}
	children, ok := sc.instancesOf(b.call, b.header)
	all := make([]instance, len(children))
	for i, child := range children {
		all[i] = child.instance
	}
	return all, ok
}

// contexts are the names that the expressions of an object see, by level.
type contexts struct {
	object  *object
	byLevel map[int]*hcl.EvalContext
}

func (c contexts) of(a *attrSpec) *hcl.EvalContext {
	ctx := c.byLevel[a.level]
	if ctx == nil {
		s := c.object.scopeAt(a.level)
		s.scope.evaluateNeeds(atLevel(c.object.block.needs, a.level))
		ctx = s.context(atLevel(c.object.block.refs, a.level))
		c.byLevel[a.level] = ctx
	}
	return ctx
}

// object decodes one instance, gives it its identity, and the defaults that it alone can tell.
func (d *decoding) object(in instance) *object {
	e, b := d.scope.eval, d.block
	ptr := reflect.New(b.typ)
	o := &object{
		addr:  resource.Addr{Module: d.scope.path, Kind: b.kind, Name: b.name, Key: in.key},
		block: b, scope: d.scope, value: ptr.Interface(), vars: in.vars, inner: d.scope.inner(b, in.key),
	}
	o.id = o.addr.String()
	own := d.base
	if in.vars != nil {
		own = d.base.NewChild()
		own.Variables = in.vars
	}
	ctx := contexts{o, map[int]*hcl.EvalContext{0: own}}
	d.body(o, b.body, ptr.Elem(), ctx)
	e.byID[o.id] = o
	if res, ok := o.value.(resource.Resource); ok {
		o.res = res
		res.Base().Addr = o.addr
		e.inherit(o)
		e.name(o)
		e.identify(o)
		e.complete(o)
		e.objects = append(e.objects, o)
	}
	return o
}

func (d *decoding) body(o *object, spec *bodySpec, v reflect.Value, ctx contexts) {
	for _, a := range spec.attrs {
		if a.path == triggerPath {
			v.FieldByIndex(a.attr.Index).Set(reflect.ValueOf(o.triggers()))
			continue
		}
		got := d.attribute(a, ctx.of(a))
		for under := a.under; got.state == attrUnset && under != nil && a.attr.Class != resource.ClassPower; under = under.under {
			got = d.attribute(under, ctx.of(under))
		}
		switch got.state {
		case attrSet:
			v.FieldByIndex(a.attr.Index).Set(got.value)
			o.seal(a.path, got.sealed)
		case attrFailed:
			o.fail(a.path)
		case attrUnset:
			d.unset(o, a)
		}
	}
	for _, n := range spec.singles {
		inner := reflect.New(n.attr.Type)
		d.body(o, n.body, inner.Elem(), ctx)
		v.FieldByIndex(n.attr.Index).Set(inner)
	}
	for _, n := range spec.labelled {
		field := v.FieldByIndex(n.attr.Index)
		inner := reflect.New(n.attr.Type).Elem()
		inner.FieldByIndex(resource.SchemaOf(n.attr.Type).Label).SetString(n.label)
		d.body(o, n.body, inner, ctx)
		field.Set(reflect.Append(field, inner))
	}
}

// unset handles an attribute that was written and is null: the same as not written, but for what must be there, and for
// power, where null has a meaning of its own.
func (d *decoding) unset(o *object, a *attrSpec) {
	switch {
	case a.attr.Class == resource.ClassPower:
		if o.nulls == nil {
			o.nulls = map[string]bool{}
		}
		o.nulls[a.path] = true
	case a.attr.Required:
		d.scope.eval.rep.addFirst(mistake(a.expr.Range(), "Missing attribute", "%s needs %s, and it is null. %s", o.addr, a.path, a.attr.Doc))
		o.fail(a.path)
	}
}

// attribute evaluates and converts one attribute.
func (d *decoding) attribute(a *attrSpec, ctx *hcl.EvalContext) decoded {
	if a.fixed.IsValid() {
		return decoded{value: a.fixed, state: attrSet}
	}
	varying := a.varying || a.level != 0
	if !varying {
		if got, ok := d.shared[a]; ok {
			return got
		}
	}
	got := decoded{state: attrFailed}
	if v, ok := d.scope.eval.value(a.expr, ctx); ok {
		got = d.scope.eval.convert(a, v)
	}
	if !varying {
		d.shared[a] = got
	}
	return got
}
