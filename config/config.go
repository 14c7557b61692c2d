// Package config turns a folder of HCL files into a Config: the set of objects wanted, and where each of their fields was
// written. It loads, evaluates, expands modules, counts and for_each, completes defaults, decides what can be known before
// a plan (UUIDs, MACs, file names, addresses), and checks everything that can be checked without a host. All mistakes of all
// files are reported at once, with ranges.
//
// It must not know hosts, state files or plans: what is recorded comes in as Prior. hcl and cty types do not leave it,
// except for Diagnostics.
package config

import (
	"github.com/hashicorp/hcl/v2"

	"vmplan.dev/vmplan/config/resource"
)

// Diagnostics are mistakes and warnings with source ranges.
type Diagnostics = hcl.Diagnostics

// Options are what the command line adds to the files.
type Options struct {
	VarFiles []string          // --var-file, in order; after the folder's own
	Vars     map[string]string // --var
	Environ  []string          // "KEY=value"; VMPLAN_VAR_* count
	Version  string            // of vmplan, for required_version
}

// StateSettings say where the state is: vmplan { state "TYPE" { … } }.
type StateSettings struct {
	Type string // "local" unless written otherwise
	Path string // of the local state file, absolute
}

// Prior is what earlier applies decided and must stay.
type Prior struct {
	Lineage string // namespace of every UUID and MAC
	Salt    []byte // for secrets
	// Addresses given to NICs with address = "auto": by vm, by NIC label.
	Addresses map[resource.Addr]map[string]string
}

// Config is a loaded project.
type Config struct {
	Set     *resource.Set
	Sources *Sources
	Hash    string // sha256 over all files read, hex
}
