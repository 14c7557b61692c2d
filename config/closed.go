package config

import (
	"net/url"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"vmplan.dev/vmplan/config/catalogue"
	"vmplan.dev/vmplan/config/function"
	"vmplan.dev/vmplan/config/resource"
)

// closed tells whether the module is an appliance's that is in a folder of its own. That may come from anybody: it sees no
// names but its own, reads no files but the folder's, and takes nothing of a host but what it makes itself.
func (m *module) closed() bool { return m.inline != nil && m.inline.closed }

// closedSchemes are where the images of such an appliance may come from: what everybody can get, and no login is for.
var closedSchemes = []string{"https", "oci", "oci+http"}

// trustName is the attribute beside source that lists servers.
const trustName = "trust"

// trusted reads the list of servers: HOST[:PORT][/PATH].
func (l *loader) trusted(attr *hclsyntax.Attribute) []string {
	v, diags := attr.Expr.Value(nil)
	var list []string
	if v, err := convert.Convert(v, cty.List(cty.String)); err == nil && !diags.HasErrors() && !v.IsNull() && v.IsWhollyKnown() {
		for _, text := range v.AsValueSlice() {
			if text.IsNull() || text.AsString() == "" || strings.Contains(text.AsString(), "://") {
				list = nil
				break
			}
			list = append(list, strings.TrimSuffix(text.AsString(), "/"))
		}
	}
	if list == nil {
		l.rep.add(mistake(attr.Expr.Range(), "Bad list of servers", "Write the servers as plain texts, with what of them is trusted: [\"registry.example/team/shop\"]."))
	}
	return list
}

// trusts tells whether the project lets the appliance's image come from a location like those of its own.
func (a *appliance) trusts(location string) bool {
	u, err := url.Parse(location)
	if err != nil || u.Path != path.Clean(u.Path) {
		return false // it may lead out of what is trusted
	}
	return slices.ContainsFunc(a.trust, func(part string) bool {
		rest, ok := strings.CutPrefix(u.Host+u.Path, part)
		return ok && (rest == "" || strings.ContainsAny(rest[:1], "/:@"))
	})
}

// readAppliance reads the appliance in a folder: appliance "NAME" { source = "./FOLDER" }.
func (l *loader) readAppliance(a *appliance, m *module, b *hclsyntax.Block, source *hclsyntax.Attribute) {
	a.closed = true
	a.own, a.shared = &module{inline: a}, &module{inline: a}
	for _, attr := range sortedAttributes(b.Body) {
		if attr.Name == trustName {
			a.trust = l.trusted(attr)
		} else if attr.Name != sourceName {
			l.rep.add(mistake(attr.NameRange, "Appliance of a folder", "What %s is stands in its folder; beside source nothing can be said here. Its instances can say what they want otherwise.", a))
		}
	}
	for _, nested := range b.Body.Blocks {
		l.rep.add(mistake(nested.TypeRange, "Appliance of a folder", "What %s is stands in its folder; beside source nothing can be said here. Its instances can say what they want otherwise.", a))
	}
	text, ok := literal(source.Expr)
	if !ok || !strings.HasPrefix(text, "./") && !strings.HasPrefix(text, "../") {
		a.own.broken = true
		l.rep.add(mistake(source.Expr.Range(), "Bad appliance source", "The source of an appliance is a local folder, as a plain text that begins with ./ or ../. What is in a registry is got by vmplan appliance pull."))
		return
	}
	dir := filepath.Join(m.dir, filepath.FromSlash(text))
	a.own.dir, a.shared.dir = dir, dir
	files, err := l.files.list(dir)
	if err != nil {
		a.own.broken = true
		l.rep.add(mistake(source.Expr.Range(), "Cannot read folder", "%s: %s.", dir, reason(err)))
		return
	}
	var found *hclsyntax.Block
	for _, inner := range l.blocks(a.own, files.primary) {
		switch {
		case inner.Type == applianceBlock && l.labels(inner, 1) && l.first(inner, blockRange(found)):
			found = inner
		case inner.Type == applianceBlock:
		case slices.Contains(besideAppliance, inner.Type):
			l.harmless(dir, inner)
			l.declare(a.shared, inner)
		default:
			l.rep.add(mistake(inner.TypeRange, "Appliance of a folder", "The folder of an appliance holds an appliance block, and of other blocks only %s.", strings.Join(besideAppliance, ", ")))
		}
	}
	switch {
	case found == nil && !a.own.broken:
		a.own.broken = true
		l.rep.add(mistake(source.Expr.Range(), "No appliance", "There is no appliance block in %s.", dir))
	case found != nil && found.Body.Attributes[sourceName] != nil:
		l.rep.add(mistake(found.Body.Attributes[sourceName].NameRange, "Appliance of a folder", "An appliance that is in a folder of its own cannot lead to another one."))
	case found != nil:
		for _, inner := range found.Body.Blocks {
			l.harmless(dir, inner)
		}
		l.fillAppliance(a, found)
	}
}

// besideAppliance are the blocks that stand beside an appliance in its folder: what it shares.
var besideAppliance = []string{"locals", string(resource.KindImage), string(kindInstancetype), string(kindPreference)}

func blockRange(b *hclsyntax.Block) *hcl.Range {
	if b == nil {
		return nil
	}
	r := b.DefRange()
	return &r
}

// harmless refuses what would take something of the host or of this machine that is not the appliance's: volumes and images
// that exist already, files outside of its folder dir as images, ports that others reach.
func (l *loader) harmless(dir string, b *hclsyntax.Block) {
	refuse := func(rng hcl.Range, format string, args ...any) {
		l.rep.add(mistake(rng, "Not for an appliance of a folder", format+" An appliance in a folder of its own may come from anybody; to do this, write it into the project's own files.", args...))
	}
	kind := resource.Kind(b.Type)
	if attr := b.Body.Attributes["managed"]; attr != nil && kind != resource.KindNetwork {
		refuse(attr.NameRange, "It would use %s that exists already.", article(b.Type))
	}
	if kind == resource.KindImage {
		l.harmlessImage(dir, b, refuse)
	}
	for _, nic := range innerBlocks(b, "nic") {
		for _, forward := range innerBlocks(nic, "port_forward") {
			attr := forward.Body.Attributes["address"]
			if attr == nil {
				continue
			}
			if address, ok := literal(attr.Expr); !ok || address != "127.0.0.1" {
				refuse(attr.Expr.Range(), "Others than this machine would reach the guest through the host.")
			}
		}
	}
}

func innerBlocks(b *hclsyntax.Block, kind string) []*hclsyntax.Block {
	return slices.DeleteFunc(slices.Clone(b.Body.Blocks), func(inner *hclsyntax.Block) bool { return inner.Type != kind })
}

func (l *loader) harmlessImage(dir string, b *hclsyntax.Block, refuse func(hcl.Range, string, ...any)) {
	for _, inner := range b.Body.Blocks {
		if inner.Type == "build" || inner.Type == "seal" {
			refuse(inner.TypeRange, "It would build an image.")
		}
	}
	if attr := b.Body.Attributes["checksum"]; attr != nil {
		if sum, ok := literal(attr.Expr); !ok || !strings.HasPrefix(sum, "sha256:") && !strings.HasPrefix(sum, "sha512:") {
			refuse(attr.Expr.Range(), "A checksum is sha256:HEX or sha512:HEX here.")
		}
	}
	attr := b.Body.Attributes[sourceName]
	if attr == nil {
		return
	}
	location, ok := literal(attr.Expr)
	scheme, _, isURL := strings.Cut(location, "://")
	local := !isURL && (catalogue.IsName(location) || isIn(dir, location))
	if !ok || isURL && !slices.Contains(closedSchemes, scheme) || !isURL && !local {
		refuse(attr.Expr.Range(), "The source of an image is a plain text here, of a registry (oci://), the web (https://), the catalogue, or a file of the folder.")
	}
}

// isIn tells whether the location is a file of the folder, and one disk: a descriptor could name others.
func isIn(folder, location string) bool {
	file, _, _ := strings.Cut(location, "#")
	_, err := function.Within(folder, file)
	return err == nil && filepath.IsLocal(file) && !strings.EqualFold(filepath.Ext(file), ".ovf")
}
