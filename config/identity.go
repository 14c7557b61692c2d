package config

import (
	"fmt"
	"net"
	"strings"

	"github.com/google/uuid"

	"vmplan.dev/vmplan/config/resource"
)

// identity makes what tells objects apart for ever: UUIDs and MACs, from the lineage of the state and their addresses.
type identity struct {
	lineage   string
	namespace uuid.UUID
}

func newIdentity(lineage string) identity {
	ns, err := uuid.Parse(lineage)
	if err != nil {
		ns = uuid.NewSHA1(uuid.NameSpaceOID, []byte(lineage))
	}
	return identity{lineage, ns}
}

func (id identity) uuid(a resource.Addr) string {
	return uuid.NewSHA1(id.namespace, []byte(a.String())).String()
}

// mac is resource.DefaultMAC of the project.
func (id identity) mac(vm resource.Addr, nic string, attempt int) string {
	return resource.DefaultMAC(id.lineage, vm, nic, attempt)
}

// name gives the object its name on the host.
func (e *evaluator) name(o *object) {
	meta := o.res.Base()
	kept := e.keptName(o.addr, o.res.Kind())
	if !o.bad["name"] {
		orElse(&meta.Name, kept)
		orElse(&meta.Name, joinName(o.scope.names, o.addr.Name, o.addr.Key))
	}
	if why := badName(meta.Name); why != "" && meta.Name != kept && !o.bad["name"] && o.addr.Kind != resource.KindHost {
		e.rep.addFirst(mistake(o.at("name"), "Bad name", "%s would be called %q on its host: %s. Set name = … to another.", o.addr, meta.Name, why))
		o.fail("name")
	}
}

// maxName leaves room for what disks and seeds put behind the name of their vm in a file's name.
const maxName = 128

func badName(name string) string {
	switch {
	case name == "":
		return "it is empty"
	case len(name) > maxName:
		return fmt.Sprintf("it is longer than %d bytes", maxName)
	case strings.HasPrefix(name, "-") || strings.HasPrefix(name, "."):
		return "it begins with " + name[:1]
	}
	for _, r := range name {
		if !strings.ContainsRune("-_.+@", r) && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') {
			return fmt.Sprintf("letters, digits and - _ . + @ are allowed, and not %q", r)
		}
	}
	return ""
}

// identify gives the object its UUID, and its nics their MACs.
func (e *evaluator) identify(o *object) {
	if !o.res.Base().IsManaged() {
		return
	}
	switch r := o.res.(type) {
	case *resource.Pool:
		r.UUID = e.keepUUID(o.addr)
	case *resource.Network:
		r.UUID = e.keepUUID(o.addr)
	case *resource.VM:
		e.vmUUID(o, r)
		for i := range r.NICs {
			e.nicMAC(o, r, &r.NICs[i])
		}
	}
}

func (e *evaluator) vmUUID(o *object, vm *resource.VM) {
	if vm.UUID == "" || o.bad["uuid"] {
		vm.UUID = e.keepUUID(o.addr)
		return
	}
	id, err := uuid.Parse(vm.UUID)
	if err != nil || id == uuid.Nil {
		e.rep.addFirst(mistake(o.at("uuid"), "Bad UUID", "%q is not a UUID, such as \"3f0f3c9c-2f6f-4a5a-8b1c-0c5d1f7b9a10\".", vm.UUID))
		o.fail("uuid")
		vm.UUID = e.keepUUID(o.addr)
		return
	}
	vm.UUID = id.String()
}

func (e *evaluator) nicMAC(o *object, vm *resource.VM, nic *resource.NIC) {
	path := "nic." + nic.Label + ".mac"
	switch {
	case o.bad[path]:
	case nic.MAC == "":
		nic.MAC = e.nics.mac[nicKey{vm.Addr, nic.Label}]
		orElse(&nic.MAC, e.recordedNIC(vm.Addr, nic.Label).MAC)
		orElse(&nic.MAC, e.namespace.mac(vm.Addr, nic.Label, 0))
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
