//go:build !nolibvirt

package libvirt

import (
	"fmt"
	"path"
	"slices"

	"libvirt.org/go/libvirt"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/libvirt/internal/definition"
	"vmplan.dev/vmplan/drivers/libvirt/internal/xmltree"
)

// updateVM changes the running guest, if it is to be, and then its definition: if the first fails, the definition still
// differs from the files, and the next plan tries again.
func (c *call) updateVM(before, after *resource.VM, live bool) error {
	dom, err := c.renamed(before, after)
	if err != nil {
		return fmt.Errorf("update: %w", err)
	}
	defer freeDomain(dom)
	def, err := wholeDefinition(dom)
	if err != nil {
		return err
	}
	e, err := c.newEdit(before, after, def)
	if err != nil {
		return fmt.Errorf("update vm %s: %w", after.Name, err)
	}
	active, err := dom.IsActive()
	if err != nil {
		return fail(err, "update vm %s", after.Name)
	}
	if live && active {
		if err := e.applyLive(dom); err != nil {
			return err
		}
	}
	if err := e.applyDefinition(); err != nil {
		return fmt.Errorf("update vm %s: %w", after.Name, err)
	}
	if err := autostartVM(dom, after); err != nil || !e.defines() {
		return err
	}
	if !active {
		if err := e.changeSaved(dom); err != nil {
			return err
		}
	}
	defined, err := c.conn.DomainDefineXML(def.String())
	if err != nil {
		return fail(err, "define vm %s", after.Name)
	}
	freeDomain(defined)
	return nil
}

// changeSaved updates a guest's saved memory. It contains a definition too, with which the guest would be resumed. Title and
// description are changed there as well; any other change makes the saved memory useless, and it is discarded.
func (e *edit) changeSaved(dom *libvirt.Domain) error {
	saved, err := dom.HasManagedSaveImage(0)
	if notOffered(err) || err == nil && !saved {
		return nil
	}
	if err != nil {
		return fail(err, "look for saved memory of vm %s", e.after.Name)
	}
	if !e.onlyTexts() {
		return discardSaved(dom, e.after.Name)
	}
	text, err := dom.ManagedSaveGetXMLDesc(libvirt.DOMAIN_SAVE_IMAGE_XML_SECURE)
	if err != nil {
		return fail(err, "read what vm %s was saved as", e.after.Name)
	}
	def, err := xmltree.Parse(text)
	if err != nil {
		return fmt.Errorf("read what vm %s was saved as: %w", e.after.Name, err)
	}
	if err := definition.WriteVM(def, e.before, e.after, e.context); err != nil {
		return err
	}
	return fail(dom.ManagedSaveDefineXML(def.String(), 0), "change what vm %s was saved as", e.after.Name)
}

// edit is a change of a vm: what changes, and the definition that it is made in. All else in the definition stays.
type edit struct {
	*call
	before, after *resource.VM
	def           *xmltree.Node
	context       *definition.Context
	changes       definition.Changes
	live          definition.Changes // those that a running guest can have now
}

func (c *call) newEdit(before, after *resource.VM, def *xmltree.Node) (*edit, error) {
	context, err := c.writing()
	if err != nil {
		return nil, err
	}
	e := &edit{call: c, before: before, after: after, def: def, context: context}
	var all, live []string
	for _, f := range c.Impact(before, after) {
		if f.Impact >= drivers.ImpactReplace {
			return nil, unsupported(f.Path, "it cannot be changed in place")
		}
		all = append(all, f.Path)
		if f.Impact == drivers.ImpactLive {
			live = append(live, f.Path)
		}
	}
	e.changes, e.live = definition.NewChanges(all), definition.NewChanges(live)
	return e, nil
}

// defines tells whether anything but autostart, which is no part of the definition, changes.
func (e *edit) defines() bool {
	return len(e.changes.Fields)+len(e.changes.Disks)+len(e.changes.NICs) > 0 && !e.onlyFields("autostart")
}

// onlyTexts tells whether nothing changes that the guest could see.
func (e *edit) onlyTexts() bool { return e.onlyFields("title", "description", "autostart") }

func (e *edit) onlyFields(fields ...string) bool {
	others := slices.ContainsFunc(e.changes.Fields, func(f string) bool { return !slices.Contains(fields, f) })
	return !others && len(e.changes.Disks)+len(e.changes.NICs) == 0
}

// applyDefinition writes the changes into the definition.
func (e *edit) applyDefinition() error {
	if e.changes.Has("name") {
		if err := e.moveLog(); err != nil {
			return err
		}
	}
	return definition.WriteVM(e.def, e.before, e.after, e.context)
}

// moveLog gives the serial log of a renamed vm its new name. What is in the old one would be overwritten at the next start.
func (e *edit) moveLog() error {
	log := logPath(e.def)
	if path.Base(log) != serialLog(e.before) {
		return nil
	}
	if err := e.deleteLog(e.def, e.before); err != nil {
		return fmt.Errorf("remove its serial log: %w", err)
	}
	for _, kind := range []string{"serial", "console"} {
		for _, n := range e.def.Get("devices").All(kind) {
			if n.Get("log") != nil {
				n.Ensure("log").Set("file", path.Join(path.Dir(log), serialLog(e.after)))
			}
		}
	}
	return nil
}
