package cli

import (
	"fmt"

	"vmplan.dev/vmplan/config/resource"
)

// rename is what "state mv" is asked for: one object, all instances of a block, or a module.
type rename struct{ from, to resource.Addr }

// of gives the new address of what is at a, and whether the renaming is about it. An instance keeps its key unless to has one.
func (m rename) of(a resource.Addr) (resource.Addr, bool) {
	whole := m.from.Key == "" && m.to.Key == ""
	return a.Rename(m.from, m.to, m.from.Kind == "" || whole)
}

// check tells why the renaming cannot be done, if so.
func (m rename) check() error {
	switch {
	case m.from.Part != "" || m.to.Part != "":
		return fmt.Errorf("from %s to %s: what a vm owns moves with it: name the vm", m.from, m.to)
	case m.from.Kind == resource.KindHost || m.to.Kind == resource.KindHost:
		return fmt.Errorf("from %s to %s: a host cannot be moved", m.from, m.to)
	case (m.from.Kind == "") != (m.to.Kind == ""):
		return fmt.Errorf("from %s to %s: a module can be moved to a module, an object to an object", m.from, m.to)
	case m.from.Kind != m.to.Kind:
		return fmt.Errorf("from %s to %s: a %s cannot become a %s", m.from, m.to, m.from.Kind, m.to.Kind)
	case m.from == m.to:
		return fmt.Errorf("from %s to %s: they are the same", m.from, m.to)
	}
	return nil
}
