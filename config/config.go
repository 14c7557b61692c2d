// Package config turns a folder of HCL files into a Config: the set of objects wanted, and where each of their fields was
// written. It loads, evaluates, expands modules, counts and for_each, completes defaults, decides what can be known before
// a plan (UUIDs, MACs, file names, addresses), and checks everything that can be checked without a host. All mistakes of all
// files are reported at once, with ranges.
//
// The way through: Open reads and parses (parse.go), merges overrides (override.go) and sorts the blocks of every module
// (module.go); Load evaluates on demand (eval.go, reference.go), decodes blocks by the struct tags of package resource
// (compile.go, decode.go) and completes each object (package complete); then it completes what only the whole project can
// tell: host and pool (place.go, and location.go for what is recorded), the parts of a vm (disks.go, seed.go), addresses
// (address.go); and last checks the result (validate.go).
//
// It must not know hosts, state files or plans: what is recorded comes in as Prior. hcl and cty types do not leave it,
// except for Diagnostics and the parsed files behind snippets.
package config

import (
	"sync"

	"github.com/hashicorp/hcl/v2"

	"vmplan.dev/vmplan/config/catalogue"
	"vmplan.dev/vmplan/config/resource"
)

// Diagnostics are mistakes and warnings with source ranges.
type Diagnostics = hcl.Diagnostics

// Options are what the command line adds to the files.
type Options struct {
	VarFiles []string          // --var-file, in order; after the folder's own
	Vars     map[string]string // --var
	Environ  []string          // "KEY=value"; VMPLAN_VAR_* count
	Version  string            // of vmplan, for required_version; empty: not checked
	Schemes  []string          // of the URLs that images can come from; nil: not checked
	// AnyValue lets variables of the root module lack a value: what depends on them is not checked.
	AnyValue bool
	// Defaults gives what the host behind a URI decides where the files say nothing; of an empty or unknown URI, what most hosts do.
	// It does no I/O. nil: nothing is decided.
	Defaults func(uri string) resource.HostDefaults
	// ExampleURI is a host's, for messages.
	ExampleURI string
	// Confined keeps everything that is read, but for VarFiles, to the project's folder: for files that are not trusted. Links
	// out of the folder are the caller's to refuse.
	Confined bool
	// Extra are files of the project's folder that are not written yet, by name.
	Extra map[string][]byte
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
	// Objects are those recorded, by the address they are recorded at. What was decided by default when one was made (its
	// name, UUID, MACs, addresses and files) stays, until the files say something else.
	Objects map[resource.Addr]resource.Resource
	// Found are vms that import blocks take over, as they are on their hosts: these keep their UUIDs and MACs.
	Found map[resource.Addr]*resource.VM
}

// Project is a folder that has been read and parsed, but not evaluated.
type Project struct {
	dir        string
	opts       Options
	root       *module
	state      StateSettings
	stateKnown bool
	values     map[string]given // of the root's variables, from outside the .hcl files
	files      *fileSet
	lock       *Lock
	catalogue  *catalogue.Catalogue
	badNames   Diagnostics
}

// State says where the project's state is kept; the default when the files do not say, or say it wrongly.
func (p *Project) State() StateSettings { return p.state }

// StateKnown tells whether State is right although Open reported mistakes: then what is recorded can be worked with.
func (p *Project) StateKnown() bool { return p.stateKnown }

// Hash is the sha256 in hex over names and contents of all files read: modules and variable files included.
func (p *Project) Hash() string { return p.files.hash() }

// Catalogue gives the names of images that everybody and this project have.
func (p *Project) Catalogue() *catalogue.Catalogue { return p.catalogue }

// BadCatalogue gives what Open reported of the project's files of names: they can be looked at without the rest.
func (p *Project) BadCatalogue() Diagnostics { return p.badNames }

// Files gives the files read by name, for snippets.
func (p *Project) Files() map[string]*hcl.File { return p.files.parsed }

// Config is a loaded project. Set is complete and right only when Load reported no error.
type Config struct {
	Set     *resource.Set
	Sources *Sources
	Hash    string // Project.Hash
	Moves   []resource.Move
	Removed []resource.Removal
	Imports []resource.Import

	mu   sync.Mutex // Outputs evaluates anew
	eval *evaluator
}

// Output is the value of one output block of the root module.
type Output struct {
	Name        string
	Description string
	Value       any    // of nil, bool, string, json.Number, []any, map[string]any; what is not known is nil
	Type        string // as variables write it: string, list(string), object({…})
	Sensitive   bool
	Known       bool // false when part of it only a running guest can tell
}
