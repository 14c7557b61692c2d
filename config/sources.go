package config

import (
	"github.com/hashicorp/hcl/v2"

	"vmplan.dev/vmplan/config/resource"
)

// Sources knows where things were written, and the text of the files.
type Sources struct {
	files  map[string]*hcl.File
	ranges map[resource.Addr]map[string]hcl.Range // by field path; "" is the block's header
}

// Range gives the place where field path of the object at a was written, or the nearest thing around it: the block in the
// object, then the object, then the owner. ok is false when the files do not mention it.
func (s *Sources) Range(a resource.Addr, path string) (r hcl.Range, ok bool) {
	panic("to be written")
}

// Files gives the parsed files by name, for snippets.
func (s *Sources) Files() map[string]*hcl.File { return s.files }
