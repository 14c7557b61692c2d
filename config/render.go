package config

import (
	"fmt"
	"slices"
	"strings"

	"vmplan.dev/vmplan/config/resource"
)

// RenderOptions say what Render gives beside the vms.
type RenderOptions struct {
	All   bool // also what belongs to them, and what they stand on and no block of the project itself declares
	Moved bool // also moved blocks, so that what is rendered can take the place of what it was made from
}

// Render gives the objects at a, or those of a kind that Render is asked for, as blocks of the project itself: without
// count, for_each, modules and appliances, with all that was completed. It is for a Config without mistakes. Secrets are
// left out, with a word about it, and so are conditions. There are none when nothing is at a.
func (c *Config) Render(a resource.Addr, opts RenderOptions) []*Block {
	r := &rendering{config: c, labels: map[resource.Addr]resource.Addr{}}
	for _, o := range c.eval.objects {
		if a.Contains(o.addr) && o.addr.Kind != resource.KindHost && (opts.All || o.addr.Kind == resource.KindVM || o.addr == a) {
			r.add(o)
		}
	}
	for i := 0; opts.All && i < len(r.objects); i++ {
		r.addNeeds(r.objects[i])
	}
	slices.SortFunc(r.objects, func(x, y *object) int { return resource.Compare(r.addr(x.addr), r.addr(y.addr)) })
	var out []*Block
	for _, o := range r.objects {
		out = append(out, r.block(o))
	}
	for _, o := range r.objects {
		if to := r.addr(o.addr); opts.Moved && to != o.addr {
			b := &Block{Kind: movedBlock, values: map[string]string{}}
			b.put("from", o.addr.String())
			b.put("to", to.String())
			out = append(out, b)
		}
	}
	return out
}

// rendering is one run of Render.
type rendering struct {
	config  *Config
	objects []*object
	labels  map[resource.Addr]resource.Addr // of the objects, by the address they have now
}

func (r *rendering) add(o *object) {
	if r.labels[o.addr] != (resource.Addr{}) {
		return
	}
	to := resource.Addr{Kind: o.addr.Kind, Name: flatLabel(o.addr)}
	for n := 2; r.taken(to, o); n++ {
		to.Name = fmt.Sprintf("%s_%d", flatLabel(o.addr), n)
	}
	r.labels[o.addr] = to
	r.objects = append(r.objects, o)
}

// taken tells whether another block has the address.
func (r *rendering) taken(a resource.Addr, by *object) bool {
	for _, o := range r.config.eval.objects {
		if o != by && (a.Contains(o.addr) && a.Module == o.addr.Module && a.Kind == o.addr.Kind || r.labels[o.addr] == a) {
			return true
		}
	}
	return false
}

// flatLabel is what the block of an object is called that belongs to no module: shop-de-static.
func flatLabel(a resource.Addr) string {
	var parts []string
	for path := a.Module; path != ""; path, _ = resource.CutModule(path) {
		_, step := resource.CutModule(path)
		_, name, _ := strings.Cut(strings.TrimSuffix(step, lastKey(resource.Addr{Module: path})), ".")
		parts = append([]string{name, lastKey(resource.Addr{Module: path})}, parts...)
	}
	label := joinName(append(parts, a.Name, a.Key)...)
	return strings.Map(func(c rune) rune {
		if ValidLabel("a" + string(c)) {
			return c
		}
		return '_'
	}, label)
}

// addNeeds adds what the object refers to and no block of the project itself declares.
func (r *rendering) addNeeds(o *object) {
	for _, f := range resource.Fields(o.res) {
		if a, ok := f.Value.(resource.Addr); ok {
			if n := r.config.eval.byID[a.Owner().String()]; n != nil && n.addr.Module != "" {
				r.add(n)
			}
		}
	}
}

// addr is the address by which what is at a is referred to.
func (r *rendering) addr(a resource.Addr) resource.Addr {
	if to, ok := r.labels[a.Owner()]; ok {
		return to.WithPart(a.Part)
	}
	if a.Module != "" {
		return resource.Addr{Kind: a.Kind, Name: flatLabel(a), Part: a.Part}
	}
	return a
}

func (r *rendering) block(o *object) *Block {
	b := NewBlock(o.res, r.addr(o.addr).Name)
	if name := o.res.Base().Name; name != b.Label {
		b.put("name", expression(name))
	}
	for _, f := range resource.Fields(o.res) {
		if r.isSaid(o, f) {
			r.set(b, f)
		}
	}
	if img, ok := o.res.(*resource.Image); ok && !(img.FullSource.IsZero() && img.FullChecksum.IsZero()) {
		b.Comment("logins and what stands behind a question mark are not shown: write the URLs in full")
	}
	if vm, ok := o.res.(*resource.VM); ok && vm.IsManaged() && vm.Running == nil {
		b.put("running", "null")
	}
	return b
}

// isSaid tells whether the block of the object says anything about the field.
func (r *rendering) isSaid(o *object, f resource.Field) bool {
	vm, isVM := o.res.(*resource.VM)
	written := !o.block.ranges[f.Path].Empty()
	pool, isPool := f.Value.(resource.Addr)
	switch {
	case f.Path == "name" || isVM && (f.Path == "instancetype" || f.Path == "preference"):
		return false
	case f.Path == "host":
		return len(r.config.eval.hosts()) > 1
	case isPool && pool.Kind == resource.KindPool:
		return r.config.eval.byID[pool.String()] != nil
	case isVM && len(vm.Disks) > 0 && f.Path == diskPart+vm.Disks[0].Label+".image":
		return f.Value != vm.Image
	}
	return written || !decided(o.res, f.Path)
}

func (e *evaluator) hosts() []*object {
	return slices.DeleteFunc(slices.Clone(e.objects), func(o *object) bool { return o.addr.Kind != resource.KindHost })
}

func (r *rendering) set(b *Block, f resource.Field) {
	value := f.Value
	switch v := value.(type) {
	case resource.Addr:
		value = r.addr(v)
	case []resource.Addr:
		var list []resource.Addr
		for _, a := range v {
			list = append(list, r.addr(a))
		}
		value = list
	case []string:
		if f.Path == triggerPath {
			value = r.triggers(v)
		}
	case string:
		if f.Path == "host" {
			value = resource.Addr{Kind: resource.KindHost, Name: v}
		}
	}
	if err := b.Set(f.Path, value); err != nil {
		panic(err) // the paths are those of the language
	}
}

// triggers writes objects and fields of objects as references.
func (r *rendering) triggers(texts []string) []resource.Addr {
	var out []resource.Addr
	for _, text := range texts {
		if a, err := resource.ParseAddr(text); err == nil {
			out = append(out, r.addr(a))
		}
	}
	return out
}
