package config

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"vmplan.dev/vmplan/config/function"
)

// sensitive marks what must not be shown. Marks follow values through every expression.
var sensitive = function.Sensitive

// guestMark marks what only a running guest can tell; the text is the nic whose address it is.
type guestMark string

// guestOnly tells whether v depends on a running guest, and on which nic.
func guestOnly(v cty.Value) (nic string, ok bool) {
	_, marks := v.UnmarkDeep()
	for m := range marks {
		if g, is := m.(guestMark); is && (!ok || string(g) < nic) {
			nic, ok = string(g), true
		}
	}
	return nic, ok
}

// guestMistake reports the use of an address that is not known before apply.
func guestMistake(rng hcl.Range, nic string) *hcl.Diagnostic {
	return mistake(rng, "Known only when the guest runs", "This needs the address of %s, which DHCP gives to the running guest, so there would be no plan to show. Give the nic a fixed address: address = \"auto\" for the next free one of its network, or one of your choice.", nic)
}
