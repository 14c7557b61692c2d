package config

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	hcljson "github.com/hashicorp/hcl/v2/json"
)

// maxFileSize is far above any file that people write; it keeps a mistaken path (a disk image) from filling the memory.
const maxFileSize = 4 << 20

// maxNesting bounds how deep expressions and blocks stand in one another: the parser is recursive.
const maxNesting = 200

// fileSet is all files that were read, by the name that diagnostics use.
type fileSet struct {
	dir    string // of the project
	parsed map[string]*hcl.File
	extra  map[string][]byte // not on disk yet: Options.Extra, by path

	confined bool     // Options.Confined
	given    []string // Options.VarFiles
}

// errOutside is for what a project that is confined to its folder does not read.
var errOutside = errors.New("it is outside of the project's folder, and only what is in there is read")

// isOutside tells whether the project is confined to its folder, and path is elsewhere.
func (s *fileSet) isOutside(path string) bool { return s.confined && !filepath.IsLocal(s.within(path)) }

func (s *fileSet) hash() string {
	h := sha256.New()
	files := make(map[string]*hcl.File, len(s.parsed))
	for name, file := range s.parsed {
		files[filepath.ToSlash(s.within(name))] = file
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		for _, part := range [][]byte{[]byte(name), files[name].Bytes} {
			sum := sha256.Sum256(part)
			h.Write(sum[:])
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// within is the name as seen from the project's folder: neither the place of the checkout counts nor the current folder.
func (s *fileSet) within(name string) string {
	dir, err1 := filepath.Abs(s.dir)
	file, err2 := filepath.Abs(name)
	if rel, err := filepath.Rel(dir, file); err == nil && err1 == nil && err2 == nil {
		return rel
	}
	return name
}

// read gives the bytes of the file and remembers it for snippets, also when it cannot be parsed.
func (s *fileSet) read(name string) (*hcl.File, *hcl.Diagnostic) {
	if f := s.parsed[name]; f != nil {
		return f, nil
	}
	if src, ok := s.extra[name]; ok {
		f := &hcl.File{Bytes: src}
		s.parsed[name] = f
		return f, nil
	}
	at := start(name)
	if s.isOutside(name) && !slices.Contains(s.given, name) {
		return nil, mistake(at, "Cannot read file", "%s: %s.", name, errOutside)
	}
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return nil, mistake(at, "Cannot read file", "%s: %s.", name, reason(err))
	case info.IsDir() || !info.Mode().IsRegular():
		return nil, mistake(at, "Cannot read file", "%s is not a file.", name)
	case info.Size() > maxFileSize:
		return nil, mistake(at, "File too large", "%s has %d bytes, which is more than the %d that are read. Is it the right file?", name, info.Size(), maxFileSize)
	}
	src, err := os.ReadFile(name)
	if err != nil {
		return nil, mistake(at, "Cannot read file", "%s: %s.", name, reason(err))
	}
	f := &hcl.File{Bytes: src}
	s.parsed[name] = f
	return f, nil
}

// native parses a file in HCL's own syntax. With errors the body holds what could be understood.
func (s *fileSet) native(name string) (*hclsyntax.Body, hcl.Diagnostics) {
	f, d := s.read(name)
	if d != nil {
		return nil, hcl.Diagnostics{d}
	}
	if d := tooDeep(f.Bytes, name); d != nil {
		return nil, hcl.Diagnostics{d}
	}
	parsed, diags := hclsyntax.ParseConfig(f.Bytes, name, hcl.InitialPos)
	if parsed == nil {
		return nil, diags
	}
	s.parsed[name] = parsed
	return parsed.Body.(*hclsyntax.Body), diags
}

// json parses a file of variable values in JSON.
func (s *fileSet) json(name string) (hcl.Body, hcl.Diagnostics) {
	f, d := s.read(name)
	if d != nil {
		return nil, hcl.Diagnostics{d}
	}
	if d := tooDeep(f.Bytes, name); d != nil {
		return nil, hcl.Diagnostics{d}
	}
	parsed, diags := hcljson.Parse(f.Bytes, name)
	if parsed == nil {
		return nil, diags
	}
	s.parsed[name] = parsed
	return parsed.Body, diags
}

// reason is an error of the file system without the path that the message names already.
func reason(err error) string {
	if pe := (*os.PathError)(nil); errors.As(err, &pe) {
		return pe.Err.Error()
	}
	return err.Error()
}

// tooDeep refuses a file whose nesting could exhaust the stack of the recursive parser and evaluator. It counts open
// brackets, and the operators that nest to the right without one: ?, ! and -.
func tooDeep(src []byte, name string) *hcl.Diagnostic {
	tokens, _ := hclsyntax.LexConfig(src, name, hcl.InitialPos)
	open := []bracket{{lines: true}}
	sum := 0
	for _, t := range tokens {
		top := &open[len(open)-1]
		switch t.Type {
		case hclsyntax.TokenOBrace:
			open = append(open, bracket{lines: true})
		case hclsyntax.TokenOBrack, hclsyntax.TokenOParen, hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl,
			hclsyntax.TokenOQuote, hclsyntax.TokenOHeredoc:
			open = append(open, bracket{})
		case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenTemplateSeqEnd,
			hclsyntax.TokenCQuote, hclsyntax.TokenCHeredoc:
			if sum -= top.operators; len(open) > 1 {
				open = open[:len(open)-1]
			}
		case hclsyntax.TokenQuestion, hclsyntax.TokenBang, hclsyntax.TokenMinus:
			top.operators++
			sum++
		case hclsyntax.TokenComma:
			sum, top.operators = sum-top.operators, 0
		case hclsyntax.TokenNewline:
			if top.lines {
				sum, top.operators = sum-top.operators, 0
			}
		}
		if len(open)+sum > maxNesting {
			return mistake(t.Range, "Nesting too deep", "More than %d brackets or operators stand in one another here. Give parts of it names with locals.", maxNesting)
		}
	}
	return nil
}

// bracket counts the operators since the last item in it began; lines tells that a line break ends an item.
type bracket struct {
	operators int
	lines     bool
}

// folder lists the files of a module's folder in name order.
type folder struct {
	primary, override []string // *.hcl
	values            []string // files that give variables values
	catalogue         []string // files that add names of images
}

func (s *fileSet) list(dir string) (folder, error) {
	if s.isOutside(dir) {
		return folder{}, errOutside
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return folder{}, err
	}
	var f folder
	for path := range s.extra {
		if filepath.Dir(path) == filepath.Clean(dir) {
			f.primary = append(f.primary, path)
		}
	}
	for _, e := range entries {
		name := e.Name()
		path := filepath.Join(dir, name)
		switch stem, isHCL := strings.CutSuffix(name, ".hcl"); {
		case e.IsDir() || strings.HasPrefix(name, ".") || strings.HasSuffix(name, "~"):
		case strings.HasSuffix(name, catalogueSuffix):
			f.catalogue = append(f.catalogue, path)
		case name == valuesName+".json" || strings.HasSuffix(name, valuesSuffix+".hcl"):
			f.values = append(f.values, path)
		case !isHCL, name == LockName:
		case stem == "override" || strings.HasSuffix(stem, "_override"):
			f.override = append(f.override, path)
		default:
			f.primary = append(f.primary, path)
		}
	}
	slices.Sort(f.primary)
	return f, nil
}

const (
	valuesSuffix = ".vmvars"
	valuesName   = "vmplan.vmvars"
)
