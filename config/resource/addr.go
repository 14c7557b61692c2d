package resource

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Kind is the type of an object as it is written in the language: "vm", "pool", …
type Kind string

// The kinds. Seed has no block of its own: a vm's cloud_init becomes one.
const (
	KindHost    Kind = "host"
	KindPool    Kind = "pool"
	KindNetwork Kind = "network"
	KindImage   Kind = "image"
	KindVolume  Kind = "volume"
	KindSeed    Kind = "seed"
	KindVM      Kind = "vm"
)

// Addr names one object of a project: [module.M[KEY].]KIND.NAME[KEY][.PART].
// It is comparable and its zero value means "none".
type Addr struct {
	// Module is the path of the module instance, such as `module.a.module.b["x"]`; empty in the root. An instance of an
	// appliance is one too, `vm.shop["x"]`, and so is what the instances of an appliance share, `appliance.shop`.
	Module string
	// Kind and Name are the block's type and label.
	Kind Kind
	Name string
	// Key is the instance as written in an address: `["a"]` for for_each, `[0]` for count, else empty.
	Key string
	// Part names what a vm owns: "disk.root", "seed"; empty for an object with a block of its own.
	Part string
}

// String gives the address as users write it.
func (a Addr) String() string {
	if a.IsZero() {
		return ""
	}
	var b strings.Builder
	if a.Module != "" {
		b.WriteString(a.Module)
		if a.Kind == "" {
			return b.String()
		}
		b.WriteByte('.')
	}
	b.WriteString(string(a.Kind))
	b.WriteByte('.')
	b.WriteString(a.Name)
	b.WriteString(a.Key)
	if a.Part != "" {
		b.WriteByte('.')
		b.WriteString(a.Part)
	}
	return b.String()
}

// IsZero tells whether the address names nothing.
func (a Addr) IsZero() bool { return a == Addr{} }

// Owner is the address of the block that a belongs to; a itself when it is no part.
func (a Addr) Owner() Addr {
	a.Part = ""
	return a
}

// WithPart is the address of a part that a owns.
func (a Addr) WithPart(part string) Addr {
	a.Part = part
	return a
}

// StringKey is the Key of a for_each instance.
func StringKey(key string) string { return "[" + strconv.Quote(key) + "]" }

// IndexKey is the Key of a count instance.
func IndexKey(i int) string { return "[" + strconv.Itoa(i) + "]" }

// KeyText is the key without brackets and quotes: a, 0.
func (a Addr) KeyText() string { return keyText(a.Key) }

func keyText(key string) string {
	s := strings.TrimSuffix(strings.TrimPrefix(key, "["), "]")
	if u, err := strconv.Unquote(s); err == nil {
		return u
	}
	return s
}

// Contains tells whether selecting a (as --target does) selects b too: the same object, an instance of the
// block, a part of it, or anything in the module.
func (a Addr) Contains(b Addr) bool {
	if a.Kind == "" {
		return within(b.Module, a.Module)
	}
	if a.Kind == KindVM && a.Part == "" && within(b.Module, a.String()) {
		return true // it is an instance of an appliance
	}
	return a.Module == b.Module && a.Kind == b.Kind && a.Name == b.Name &&
		(a.Key == "" || a.Key == b.Key) && (a.Part == "" || a.Part == b.Part)
}

// within tells whether the module instance at path is the one called name, any instance of it, or inside one.
func within(path, name string) bool {
	rest, ok := strings.CutPrefix(path, name)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[' && !strings.HasSuffix(name, "]"))
}

// CutModule splits off the last step of the path of a module instance: module.a and module.b["x"] of module.a.module.b["x"].
func CutModule(path string) (caller, last string) {
	steps, err := splitAddr(path)
	if err != nil || len(steps) < 2 {
		return "", path
	}
	return moduleText(steps[:len(steps)-2]), moduleText(steps[len(steps)-2:])
}

// moduleText writes steps as a path.
func moduleText(steps []addrStep) string {
	var b strings.Builder
	for i, s := range steps {
		if i > 0 {
			b.WriteByte('.')
		}
		b.WriteString(s.name + s.key)
	}
	return b.String()
}

// WithArticle is the kind as it stands in a sentence: a vm, an image.
func (k Kind) WithArticle() string {
	if k != "" && strings.ContainsRune("aeiou", rune(k[0])) {
		return "an " + string(k)
	}
	return "a " + string(k)
}

// Compare orders addresses: by module, kind (what others stand on first), name, key (indexes by number), part.
func Compare(a, b Addr) int {
	return cmp.Or(
		strings.Compare(a.Module, b.Module),
		cmp.Compare(a.Kind.rank(), b.Kind.rank()),
		strings.Compare(a.Name, b.Name),
		compareKeys(a.Key, b.Key),
		strings.Compare(a.Part, b.Part),
	)
}

func compareKeys(a, b string) int {
	i, errA := strconv.Atoi(strings.Trim(a, "[]"))
	j, errB := strconv.Atoi(strings.Trim(b, "[]"))
	if errA == nil && errB == nil {
		return cmp.Compare(i, j)
	}
	return strings.Compare(a, b)
}

var kindOrder = []Kind{KindHost, KindPool, KindNetwork, KindImage, KindVolume, KindSeed, KindVM}

func (k Kind) rank() int {
	for i, o := range kindOrder {
		if o == k {
			return i
		}
	}
	return len(kindOrder)
}

// MarshalText implements encoding.TextMarshaler. An address that could not be read back is an error: it would make the file
// it is written to unreadable.
func (a Addr) MarshalText() ([]byte, error) {
	text := a.String()
	if a.IsZero() {
		return nil, nil
	}
	if back, err := ParseAddr(text); err != nil || back != a {
		return nil, fmt.Errorf("%q is not an address", text)
	}
	return []byte(text), nil
}

// UnmarshalText implements encoding.TextUnmarshaler; empty text is the zero address.
func (a *Addr) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*a = Addr{}
		return nil
	}
	p, err := ParseAddr(string(text))
	if err == nil {
		*a = p
	}
	return err
}

// ParseAddr reads an address such as `vm.web["a"].disk.root`, or `module.m` alone (Kind is then empty: all of the module).
func ParseAddr(s string) (Addr, error) {
	steps, err := splitAddr(s)
	if err != nil {
		return Addr{}, fmt.Errorf("address %q: %w", s, err)
	}
	var a Addr
	n := 0
	for inModule(steps[n:]) {
		if steps[n].key != "" {
			return Addr{}, fmt.Errorf("address %q: %s takes a name before its key", s, steps[n].name)
		}
		n += 2
	}
	a.Module, steps = moduleText(steps[:n]), steps[n:]
	if len(steps) == 0 && n > 0 {
		return a, nil
	}
	if len(steps) < 2 || steps[0].key != "" {
		return Addr{}, fmt.Errorf("address %q: write it as KIND.NAME, for example vm.web", s)
	}
	a.Kind, a.Name, a.Key = Kind(steps[0].name), steps[1].name, steps[1].key
	if a.Kind.rank() == len(kindOrder) {
		return Addr{}, fmt.Errorf("address %q: there is no kind %q", s, a.Kind)
	}
	var part []string
	for _, p := range steps[2:] {
		if p.key != "" {
			return Addr{}, fmt.Errorf("address %q: a key stands after the name only", s)
		}
		part = append(part, p.name)
	}
	a.Part = strings.Join(part, ".")
	return a, nil
}

// inModule tells whether the steps begin with those of a module instance. An instance of an appliance is told from a vm by
// what comes behind it: an object in it, and not a part of a vm.
func inModule(steps []addrStep) bool {
	if len(steps) < 2 {
		return false
	}
	switch steps[0].name {
	case "module", "appliance":
		return true
	case string(KindVM):
		return len(steps) >= 4 && slices.Contains(instanceKinds, Kind(steps[2].name))
	}
	return false
}

// instanceKinds are the kinds of the objects that an instance of an appliance consists of.
var instanceKinds = []Kind{KindNetwork, KindVolume, KindVM}

type addrStep struct{ name, key string }

func splitAddr(s string) ([]addrStep, error) {
	var steps []addrStep
	for {
		end := strings.IndexAny(s, ".[")
		if end < 0 {
			end = len(s)
		}
		step := addrStep{name: s[:end]}
		if !validName(step.name) {
			return nil, fmt.Errorf("%q is not a name", step.name)
		}
		s = s[end:]
		if strings.HasPrefix(s, "[") {
			key, rest, err := cutKey(s)
			if err != nil {
				return nil, err
			}
			step.key, s = key, rest
		}
		steps = append(steps, step)
		if s == "" {
			return steps, nil
		}
		if s[0] != '.' {
			return nil, fmt.Errorf("unexpected %q", s)
		}
		s = s[1:]
	}
}

func cutKey(s string) (key, rest string, err error) {
	inner := s[1:]
	if strings.HasPrefix(inner, `"`) {
		q, err := strconv.QuotedPrefix(inner)
		if err != nil || !strings.HasPrefix(inner[len(q):], "]") {
			return "", "", fmt.Errorf("bad key %s", s)
		}
		text, err := strconv.Unquote(q)
		return StringKey(text), inner[len(q)+1:], err
	}
	digits, rest, ok := strings.Cut(inner, "]")
	i, err := strconv.Atoi(digits)
	if !ok || err != nil || i < 0 {
		return "", "", fmt.Errorf(`bad key %s: write ["a"] or [0] (and quote it for the shell)`, s)
	}
	return IndexKey(i), rest, nil
}

func validName(s string) bool {
	for i, r := range s {
		first := r == '_' || unicode.IsLetter(r)
		if !first && (i == 0 || r != '-' && !unicode.IsDigit(r) && !unicode.IsMark(r)) {
			return false
		}
	}
	return s != ""
}
