package config

import (
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"

	"vmplan.dev/vmplan/config/resource"
)

// PackedFile is the file of a parcel that holds its appliance.
const PackedFile = "appliance.hcl"

// diskSource is what the source of an image in a parcel begins with; the name of a disk of the parcel follows.
const diskSource = "disk:"

// Parcel is an appliance as it is written, with all that it needs of its project. It names no object, file or machine of that.
type Parcel struct {
	Files map[string][]byte        // by path relative to the project's folder, with slashes
	Disks map[string]resource.Addr // the images whose bits it needs, by the name that its files call them by
}

// packer collects what an appliance needs.
type packer struct {
	project *Project
	a       *appliance
	rep     *reporter
	parcel  *Parcel
	taken   map[string]bool // names that are collected already
	blocks  []*hclwrite.Block
	locals  map[string]hclwrite.Tokens
}

// Pack gives the appliance called name as a parcel. What it needs and cannot take along is reported.
func (p *Project) Pack(name string) (*Parcel, Diagnostics) {
	var rep reporter
	a := p.root.appliances.byName[name]
	if a == nil {
		rep.add(mistake(start(p.dir), "Missing object", "There is no appliance %q in the files.%s", name, didYouMean(name, p.root.appliances.order)))
		return nil, rep.sorted()
	}
	k := &packer{
		project: p, a: a, rep: &rep, taken: map[string]bool{}, locals: map[string]hclwrite.Tokens{},
		parcel: &Parcel{Files: map[string][]byte{}, Disks: map[string]resource.Addr{}},
	}
	if a.closed {
		rep.add(mistake(a.header, "Appliance of a folder", "%s came in a folder of its own: push it from where it is written.", a))
		return nil, rep.sorted()
	}
	src := k.source(a.header, applianceBlock, name)
	if src == nil {
		return nil, rep.sorted()
	}
	main := k.rewrite(src)
	for _, inner := range main.Body().Blocks() {
		if inner.Type() == string(resource.KindImage) && len(inner.Labels()) == 1 {
			addr := resource.Addr{Module: a.String(), Kind: resource.KindImage, Name: inner.Labels()[0]}
			k.disk(inner, addr)
		}
	}
	k.needs(src.Body, false)
	k.finish(main)
	return k.parcel, rep.sorted()
}

// source finds a block of the root module as it was parsed.
func (k *packer) source(at hcl.Range, kind, name string) *hclsyntax.Block {
	f := k.project.files.parsed[at.Filename]
	if f == nil {
		return nil
	}
	for _, b := range f.Body.(*hclsyntax.Body).Blocks {
		if b.Type == kind && len(b.Labels) == 1 && b.Labels[0] == name {
			return b
		}
	}
	return nil
}

// rewrite gives the text of a block for changes.
func (k *packer) rewrite(b *hclsyntax.Block) *hclwrite.Block {
	text := b.Range().SliceBytes(k.project.files.parsed[b.Range().Filename].Bytes)
	f, diags := hclwrite.ParseConfig(append(slices.Clone(text), '\n'), b.Range().Filename, hcl.InitialPos)
	if diags.HasErrors() || len(f.Body().Blocks()) != 1 {
		panic(fmt.Sprintf("config: a block that was parsed once is not parsed again: %v", diags))
	}
	return f.Body().Blocks()[0]
}

// needs collects what the expressions of a body name. outside tells that the body is outside of the appliance's block.
func (k *packer) needs(body *hclsyntax.Body, outside bool) {
	for _, attr := range sortedAttributes(body) {
		if attr.Name == "type" || attr.Name == "ignore_changes" {
			continue // words, not names
		}
		k.needsOf(attr.Expr, outside)
	}
	for _, b := range body.Blocks {
		if b.Type == parameterBlock && !outside {
			k.parameter(b)
		}
		k.needs(b.Body, outside)
	}
}

// parameter looks that no secret goes along as a default.
func (k *packer) parameter(b *hclsyntax.Block) {
	attr, def := b.Body.Attributes["sensitive"], b.Body.Attributes["default"]
	if attr == nil || def == nil {
		return
	}
	if v, diags := attr.Expr.Value(nil); !diags.HasErrors() && v.Type() == cty.Bool && v.True() {
		k.rep.add(mistake(def.Range(), "Secret in an appliance", "The default of a sensitive parameter would go along, for everybody to read. Take it out, and give the value where the appliance is used."))
	}
}

func (k *packer) needsOf(expr hclsyntax.Expression, outside bool) {
	k.files(expr)
	for _, r := range referencesIn(expr) {
		if !outside && k.own(r) || isBuiltin(r.String()) {
			continue
		}
		k.take(r)
	}
}

// own tells whether r is declared in the appliance.
func (k *packer) own(r reference) bool {
	for _, m := range []*module{k.a.own, k.a.shared} {
		if (&scope{mod: m}).declares(r) {
			return true
		}
	}
	return k.a.vm != nil && r.root == vmWord
}

// take collects what r names in the project around the appliance, if it can go along.
func (k *packer) take(r reference) {
	root := k.project.root
	if k.taken[r.String()] {
		return
	}
	switch b := root.blocks.byName[r.String()]; {
	case r.root == "local" && root.locals.byName[r.name] != nil:
		k.taken[r.String()] = true
		attr := root.locals.byName[r.name]
		text := attr.Expr.Range().SliceBytes(k.project.files.parsed[attr.SrcRange.Filename].Bytes)
		k.locals[r.name] = hclwrite.Tokens{{Type: hclsyntax.TokenIdent, Bytes: text}}
		k.needsOf(attr.Expr, true)
	case b != nil && (b.kind == resource.KindImage || b.kind == kindInstancetype || b.kind == kindPreference):
		k.taken[r.String()] = true
		k.block(b)
	case r.root == "path" && r.name != "module":
		k.rep.add(mistake(r.rng, "Not in the appliance", "%s is a folder of this machine. Only path.module goes along with an appliance.", r))
	case r.root == "var":
		k.rep.add(mistake(r.rng, "Not in the appliance", "%s is the project's and cannot go along. Make it a parameter of the appliance.", r))
	case b != nil || r.root == moduleWord || r.root == applianceBlock:
		k.rep.add(mistake(r.rng, "Not in the appliance", "%s is the project's and cannot go along. Write it into the appliance, or make what is needed of it a parameter.", r))
	}
}

// block takes a whole block along.
func (k *packer) block(b *block) {
	src := k.source(b.header, string(b.kind), b.name)
	if src == nil {
		return
	}
	text := k.rewrite(src)
	kept := src.Body
	if b.kind == resource.KindImage {
		k.disk(text, resource.Addr{Kind: resource.KindImage, Name: b.name})
		kept = withoutOrigin(kept)
	}
	k.blocks = append(k.blocks, text)
	k.needs(kept, true)
}

// originOf are the attributes and blocks of an image that say where it comes from and where it is: its disk goes along instead.
var originOf = []string{sourceName, "checksum", "format", "from", "build", "seal", "pool", "host", "name", "managed"}

func withoutOrigin(body *hclsyntax.Body) *hclsyntax.Body {
	c := copyBody(body)
	for _, name := range originOf {
		delete(c.Attributes, name)
	}
	c.Blocks = slices.DeleteFunc(slices.Clone(c.Blocks), func(b *hclsyntax.Block) bool { return slices.Contains(originOf, b.Type) })
	return c
}

// disk has an image come from a disk of the parcel.
func (k *packer) disk(b *hclwrite.Block, addr resource.Addr) {
	if b.Body().GetAttribute("count") != nil || b.Body().GetAttribute("for_each") != nil {
		k.rep.add(mistake(k.a.header, "Not in the appliance", "%s has count or for_each; only single images go along.", addr))
		return
	}
	breakUp(b.Body())
	for _, name := range originOf {
		b.Body().RemoveAttribute(name)
	}
	for _, inner := range b.Body().Blocks() {
		if slices.Contains(originOf, inner.Type()) {
			b.Body().RemoveBlock(inner)
		}
	}
	b.Body().SetAttributeValue(sourceName, cty.StringVal(diskSource+addr.Name))
	k.parcel.Disks[addr.Name] = addr
}

// breakUp gives the attribute of a block that is written on one line a line of its own: hclwrite would add the next one behind it.
func breakUp(body *hclwrite.Body) {
	attrs := body.Attributes()
	isNewline := func(t *hclwrite.Token) bool { return t.Type == hclsyntax.TokenNewline }
	if len(body.Blocks()) > 0 || slices.ContainsFunc(body.BuildTokens(nil), isNewline) {
		return
	}
	body.Clear()
	body.AppendNewline()
	for name, attr := range attrs { // there is one at most
		body.SetAttributeRaw(name, attr.Expr().BuildTokens(nil))
	}
}

// finish writes the parcel's file.
func (k *packer) finish(main *hclwrite.Block) {
	f := hclwrite.NewEmptyFile()
	body := f.Body()
	body.AppendBlock(main)
	for _, b := range k.blocks {
		body.AppendNewline()
		body.AppendBlock(b)
	}
	if len(k.locals) > 0 {
		body.AppendNewline()
		locals := body.AppendNewBlock("locals", nil)
		for _, name := range slices.Sorted(maps.Keys(k.locals)) {
			locals.Body().SetAttributeRaw(name, k.locals[name])
		}
	}
	if k.parcel.Files[PackedFile] != nil {
		k.rep.add(mistake(k.a.header, "Name taken", "The appliance reads a file %s, as its own file is called. Give that one another name.", PackedFile))
	}
	k.parcel.Files[PackedFile] = Format(f.Bytes())
}

// isReader tells whether a function reads a file.
func isReader(name string) bool {
	return name == "templatefile" || strings.HasPrefix(name, "file") && name != "fileset"
}

// files collects the files that an expression reads.
func (k *packer) files(expr hclsyntax.Expression) {
	_ = hclsyntax.VisitAll(expr, func(n hclsyntax.Node) hcl.Diagnostics {
		call, ok := n.(*hclsyntax.FunctionCallExpr)
		if !ok || len(call.Args) == 0 {
			return nil
		}
		switch {
		case call.Name == "fileset" || call.Name == "abspath" || call.Name == "pathexpand":
			k.rep.add(mistake(call.NameRange, "Not in the appliance", "%s() looks at the files of this machine, and which of them go along with an appliance has to be plain. Name them one by one.", call.Name))
		case isReader(call.Name):
			k.file(call)
		}
		return nil
	})
}

func (k *packer) file(call *hclsyntax.FunctionCallExpr) {
	rng := call.Args[0].Range()
	here := &hcl.EvalContext{Variables: map[string]cty.Value{"path": cty.ObjectVal(map[string]cty.Value{"module": cty.StringVal(".")})}}
	v, diags := call.Args[0].Value(here)
	if diags.HasErrors() || v.IsNull() || !v.IsKnown() || v.Type() != cty.String {
		k.rep.add(mistake(rng, "Not in the appliance", "Which file this is cannot be told before the appliance is used. Write its name as a plain text."))
		return
	}
	name := path.Clean(filepath.ToSlash(v.AsString()))
	data, err := readWithin(k.project.root.dir, name)
	if err != nil {
		k.rep.add(mistake(rng, "Not in the appliance", "%s cannot go along: %s.", name, err))
		return
	}
	if k.parcel.Files[name] = data; call.Name != "templatefile" {
		return
	}
	if text, diags := hclsyntax.ParseTemplate(data, name, hcl.InitialPos); !diags.HasErrors() {
		k.files(text)
	}
}

// readWithin reads a file of a folder, and none outside of it: links count as what they lead to.
func readWithin(dir, name string) ([]byte, error) {
	if !filepath.IsLocal(name) {
		return nil, fmt.Errorf("only files of the project's folder do")
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	f, err := root.Open(name)
	if err != nil {
		return nil, fmt.Errorf("%s", reason(err))
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFileSize+1))
	if err != nil {
		return nil, fmt.Errorf("%s", reason(err))
	}
	if len(data) > maxFileSize {
		return nil, fmt.Errorf("it has more than %d MiB", maxFileSize>>20)
	}
	return data, nil
}
