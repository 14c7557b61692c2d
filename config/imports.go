package config

import (
	"strings"

	"github.com/zclconf/go-cty/cty"

	"vmplan.dev/vmplan/config/resource"
)

// imported says by which name an object exists on its host already.
type imported struct {
	*adoption
	name string // a vm's, network's or pool's; else the file's
	pool string // of an image or volume
}

// findImports evaluates the import blocks, before anything is decided about the objects they are about.
func (e *evaluator) findImports() {
	root := e.root()
	for _, a := range root.mod.adoptions {
		if first := e.imports[a.to.addr]; first != nil {
			e.rep.add(mistake(a.to.rng, "Named twice", "%s is imported already at %s.", a.to, place(first.to.rng)))
			continue
		}
		if e.imports == nil {
			e.imports = map[resource.Addr]*imported{}
		}
		e.imports[a.to.addr] = root.importID(a)
	}
}

// importID evaluates what an object to import is called on its host; without names when that is wrong.
func (sc *scope) importID(a *adoption) *imported {
	in, rng := &imported{adoption: a}, a.id.Expr.Range()
	refs := referencesIn(a.id.Expr)
	for _, r := range refs {
		if r.root != "var" && r.root != "path" {
			sc.eval.rep.add(mistake(r.rng, "Not known yet", "What exists is looked up before anything else, so an id can refer to variables only."))
			return in
		}
	}
	v, ok := sc.eval.value(a.id.Expr, sc.context(refs, repetition{}))
	if !ok {
		return in
	}
	v, _ = v.Unmark()
	if v.IsNull() || !v.IsKnown() || v.Type() != cty.String || v.AsString() == "" {
		sc.eval.rep.add(mistake(rng, "Wrong type", "id is the name of the object on its host, such as \"web\", or \"POOL/FILE\" for a volume."))
		return in
	}
	text := v.AsString()
	if !stored(a.to.addr) {
		in.name = text
		return in
	}
	pool, file, ok := strings.Cut(text, "/")
	if !ok || pool == "" || file == "" || strings.Contains(file, "/") {
		sc.eval.rep.add(mistake(rng, "Bad id", "%s lies in a pool: write \"POOL/FILE\", such as \"default/%s\".", a.to, text[strings.LastIndexByte(text, '/')+1:]))
		return in
	}
	in.pool, in.name = pool, file
	return in
}

// stored tells whether the object at a is a volume of a pool.
func stored(a resource.Addr) bool {
	return a.Kind == resource.KindImage || a.Kind == resource.KindVolume || a.Part != ""
}

// importOf gives what is imported as the object at a, unless it is recorded already: then the block has done its work.
func (e *evaluator) importOf(a resource.Addr) *imported {
	in := e.imports[a]
	if in == nil || in.name == "" || e.prior.Objects[e.recordedAt(a)] != nil {
		return nil
	}
	return in
}

// importsWanted gives the imports for the planner.
func (e *evaluator) importsWanted() []resource.Import {
	var out []resource.Import
	for _, a := range e.root().mod.adoptions {
		in := e.imports[a.to.addr]
		if in == nil || in.adoption != a || in.name == "" {
			continue
		}
		id := in.name
		if in.pool != "" {
			id = in.pool + "/" + in.name
		}
		out = append(out, resource.Import{To: a.to.addr, ID: id})
	}
	return out
}

// checkImports checks that what is imported is declared, and as what it is.
func (p *placement) checkImports(root *scope) {
	parts := map[resource.Addr]string{} // pools of the disks that vms own
	for _, r := range p.extra {
		if v, ok := r.(*resource.Volume); ok && len(root.mod.adoptions) > 0 {
			parts[v.Addr] = v.PoolName
		}
	}
	for _, a := range root.mod.adoptions {
		o := p.byID[a.to.addr.Owner().String()]
		if o == nil {
			p.missingImport(root, a)
			continue
		}
		if !o.res.Base().IsManaged() {
			p.rep.add(mistake(a.to.rng, "Not managed", "%s has managed = false, so it is used as it is and not imported. Take out the one or the other.", o.addr))
			continue
		}
		if a.to.addr.Part != "" && !p.ownsDisk(o, a.to.addr) {
			p.rep.add(mistake(a.to.rng, "Missing object", "%s has no disk of its own that is called %s.", o.addr, strings.TrimPrefix(a.to.addr.Part, diskPart)))
			continue
		}
		if in := p.importOf(a.to.addr); in != nil {
			p.checkImported(o, in, parts)
		}
	}
}

func (p *placement) missingImport(root *scope, a *adoption) {
	declared, known := root.mod.find(a.to.addr)
	b := root.mod.blocks.byName[string(a.to.addr.Kind)+"."+a.to.addr.Name]
	switch {
	case declared && b != nil && !b.repeat.single() && a.to.addr.Key == "":
		p.rep.add(mistake(a.to.rng, "Instance not named", "%s has count or for_each: say which one, such as %s.", a.to, exampleInstance(b)))
	case declared && !p.rep.failed():
		p.rep.add(mistake(a.to.rng, "Missing object", "There is no instance %s.", a.to))
	case !declared && known:
		p.rep.add(mistake(a.to.rng, "Missing object", "%s is not declared. Write its block first; import only says that it exists already.%s", a.to, didYouMean(withoutKey(a.to.addr).String(), root.mod.names())))
	}
}

func (p *placement) ownsDisk(o *object, a resource.Addr) bool {
	vm := o.res.(*resource.VM)
	for i := range vm.Disks {
		if diskPart+vm.Disks[i].Label == a.Part {
			return vm.Disks[i].Volume.IsZero()
		}
	}
	return false
}

// checkImported compares what the block says of itself with the id.
func (p *placement) checkImported(o *object, in *imported, parts map[resource.Addr]string) {
	a := in.to.addr
	if !stored(a) {
		if name := o.res.Base().Name; name != in.name && !o.bad["name"] {
			p.rep.add(mistake(o.at("name"), "Another name", "%s is imported as %q (%s), and its name is %q. Take name out, or change it once the import is applied.", a, in.name, place(in.id.Expr.Range()), name))
		}
		return
	}
	pool := ""
	switch r := o.res.(type) {
	case *resource.Image:
		pool = r.PoolName
	case *resource.Volume:
		pool = r.PoolName
	case *resource.VM:
		pool = parts[a]
	}
	if pool != "" && pool != in.pool {
		p.rep.add(mistake(in.id.Expr.Range(), "Another pool", "%s lives in the pool %q, and the id names %q. Set pool to the block of that one; if there is none yet, write pool %q { managed = false }.", a, pool, in.pool, in.pool))
	}
}
