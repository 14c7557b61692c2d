package config

import (
	"net"

	"github.com/google/uuid"

	"vmplan.dev/vmplan/config/internal/complete"
	"vmplan.dev/vmplan/config/resource"
)

// name gives the object its name on the host.
func (e *evaluator) name(o *object) {
	meta := o.res.Base()
	recorded := e.recordedName(o.addr, o.res.Kind())
	if !o.bad["name"] {
		complete.OrElse(&meta.Name, recorded)
		complete.OrElse(&meta.Name, joinName(o.scope.names, o.addr.Name, o.addr.Key))
	}
	if why := complete.BadName(meta.Name); why != "" && meta.Name != recorded && !o.bad["name"] && o.addr.Kind != resource.KindHost {
		e.rep.addFirst(mistake(o.at("name"), "Bad name", "%s would be called %q on its host: %s. Set name = … to another.", o.addr, meta.Name, why))
		o.fail("name")
	}
}

// identify gives the object its UUID, and its nics their MACs.
func (e *evaluator) identify(o *object) {
	if !o.res.Base().IsManaged() {
		return
	}
	switch r := o.res.(type) {
	case *resource.Pool:
		r.UUID = e.uuidOf(o.addr)
	case *resource.Network:
		r.UUID = e.uuidOf(o.addr)
	case *resource.VM:
		e.vmUUID(o, r)
		for i := range r.NICs {
			e.nicMAC(o, r, &r.NICs[i])
		}
	}
}

func (e *evaluator) vmUUID(o *object, vm *resource.VM) {
	if vm.UUID == "" || o.bad["uuid"] {
		vm.UUID = e.uuidOf(o.addr)
		return
	}
	id, err := uuid.Parse(vm.UUID)
	if err != nil || id == uuid.Nil {
		e.rep.addFirst(mistake(o.at("uuid"), "Bad UUID", "%q is not a UUID, such as \"3f0f3c9c-2f6f-4a5a-8b1c-0c5d1f7b9a10\".", vm.UUID))
		o.fail("uuid")
		vm.UUID = e.uuidOf(o.addr)
		return
	}
	vm.UUID = id.String()
}

func (e *evaluator) nicMAC(o *object, vm *resource.VM, nic *resource.NIC) {
	path := "nic." + nic.Label + ".mac"
	switch {
	case o.bad[path]:
	case nic.MAC == "":
		nic.MAC = e.nics.MAC[complete.NICKey{VM: vm.Addr, NIC: nic.Label}]
		complete.OrElse(&nic.MAC, e.recordedNIC(vm.Addr, nic.Label).MAC)
		complete.OrElse(&nic.MAC, e.namespace.MAC(vm.Addr, nic.Label, 0))
	default:
		hw, err := net.ParseMAC(nic.MAC)
		if err != nil || len(hw) != 6 || hw[0]&1 != 0 {
			e.rep.addFirst(mistake(o.at(path), "Bad MAC", "%q is not the MAC address of a network card: six pairs of hex digits, such as \"52:54:00:12:34:56\", where the first pair is even.", nic.MAC))
			o.fail(path)
			nic.MAC = ""
			return
		}
		nic.MAC = hw.String()
	}
}
