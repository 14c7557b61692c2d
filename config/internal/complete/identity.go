package complete

import (
	"fmt"
	"strings"

	"github.com/google/uuid"

	"vmplan.dev/vmplan/config/resource"
)

// Identity makes what tells objects apart for ever: UUIDs and MACs, from the lineage of the state and their addresses.
type Identity struct {
	Lineage   string
	namespace uuid.UUID
}

// NewIdentity gives the identity of a project by the lineage of its state.
func NewIdentity(lineage string) Identity {
	ns, err := uuid.Parse(lineage)
	if err != nil {
		ns = uuid.NewSHA1(uuid.NameSpaceOID, []byte(lineage))
	}
	return Identity{lineage, ns}
}

// UUID gives the UUID that follows from an address.
func (id Identity) UUID(a resource.Addr) string {
	return uuid.NewSHA1(id.namespace, []byte(a.String())).String()
}

// MAC is resource.DefaultMAC of the project.
func (id Identity) MAC(vm resource.Addr, nic string, attempt int) string {
	return resource.DefaultMAC(id.Lineage, vm, nic, attempt)
}

// maxName leaves room for what disks and seeds put behind the name of their vm in a file's name.
const maxName = 128

// BadName says why an object cannot be called name on its host; nothing when it can.
func BadName(name string) string {
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
