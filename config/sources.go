package config

import (
	"strings"

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
	ranges := s.ranges[a.Owner()]
	if ranges == nil {
		return hcl.Range{}, false
	}
	switch {
	case a.Part == seedPart:
		path = joinPath("cloud_init", path)
	case a.Part != "":
		path = joinPath(a.Part, path)
	}
	return nearest(ranges, path), true
}

// Locate is Range in the model's terms.
func (s *Sources) Locate(a resource.Addr, path string) (r resource.Range, ok bool) {
	found, ok := s.Range(a, path)
	if !ok {
		return resource.Range{}, false
	}
	return resource.Range{File: found.Filename, Start: resource.Position(found.Start), End: resource.Position(found.End)}, true
}

// nearest looks a path up, then what is around it; the empty path is the block itself.
func nearest(ranges map[string]hcl.Range, path string) hcl.Range {
	for {
		if r, ok := ranges[path]; ok || path == "" {
			return r
		}
		path = path[:max(strings.LastIndexByte(path, '.'), 0)]
	}
}

func joinPath(prefix, path string) string {
	if path == "" {
		return prefix
	}
	return prefix + "." + path
}

// Files gives the parsed files by name, for snippets.
func (s *Sources) Files() map[string]*hcl.File { return s.files }
