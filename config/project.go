package config

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"vmplan.dev/vmplan/config/resource"
)

type module struct{}
type namedValues struct{}
type evaluator struct{}

type fileSet struct {
	parsed map[string]*hcl.File
}

func (s *fileSet) hash() string {
	names := make([]string, 0, len(s.parsed))
	for n := range s.parsed {
		names = append(names, n)
	}
	slices.Sort(names)
	h := sha256.New()
	for _, n := range names {
		h.Write([]byte(n))
		h.Write([]byte{0})
		h.Write(s.parsed[n].Bytes)
		h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Open reads and parses the project in folder dir, with the local modules it calls. The Project is never nil, and Load may
// be called on it also when there were errors, to find what else is wrong.
func Open(dir string, opts Options) (*Project, Diagnostics) {
	p := &Project{dir: dir, opts: opts, files: &fileSet{parsed: map[string]*hcl.File{}}}
	return p, nil
}

// Load evaluates the project. The Config is never nil; its Set is what could be made sense of when there were errors.
func (p *Project) Load(prior Prior) (*Config, Diagnostics) {
	return &Config{Set: resource.NewSet(), Sources: &Sources{files: p.Files()}, Hash: p.Hash()}, nil
}

// Outputs evaluates the outputs of the root module with the addresses that running guests have now: by vm, by NIC label.
// They come in order of name.
func (c *Config) Outputs(live map[resource.Addr]map[string][]string) ([]Output, Diagnostics) {
	return nil, nil
}
