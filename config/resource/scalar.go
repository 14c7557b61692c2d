package resource

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Size is a number of bytes, written with a unit: "2GiB", "500MB". Zero means not set.
type Size uint64

// Units of Size.
const (
	KiB Size = 1 << 10
	MiB Size = 1 << 20
	GiB Size = 1 << 30
	TiB Size = 1 << 40
)

type sizeUnit struct {
	name  string
	bytes uint64
}

var sizeUnits = []sizeUnit{
	{"TiB", 1 << 40},
	{"GiB", 1 << 30},
	{"MiB", 1 << 20},
	{"KiB", 1 << 10},
	{"TB", 1e12},
	{"GB", 1e9},
	{"MB", 1e6},
	{"kB", 1e3},
	{"KB", 1e3},
	{"B", 1},
}

// ParseSize reads a size with a unit: B, kB, MB, GB, TB (powers of 1,000) or KiB, MiB, GiB, TiB (powers of 1,024).
func ParseSize(s string) (Size, error) {
	text := strings.TrimSpace(s)
	for _, u := range sizeUnits {
		number, ok := strings.CutSuffix(text, u.name)
		if !ok {
			continue
		}
		number = strings.TrimSpace(number)
		if n, err := strconv.ParseUint(number, 10, 64); err == nil {
			if n > math.MaxInt64/u.bytes {
				return 0, fmt.Errorf("%q is too large", s)
			}
			return Size(n * u.bytes), nil
		}
		f, err := strconv.ParseFloat(number, 64)
		if err != nil || strings.Trim(number, "0123456789.") != "" || f*float64(u.bytes) >= math.MaxInt64 {
			break
		}
		return Size(f * float64(u.bytes)), nil
	}
	return 0, fmt.Errorf(`%q is not a size: write a number and a unit, for example "512MiB" or "20GiB"`, s)
}

// String writes the size in the largest unit that keeps it whole, binary before decimal, so that ParseSize gives it back and
// two sizes that differ look different.
func (s Size) String() string {
	for _, u := range []Size{TiB, GiB, MiB, 1e12, 1e9, 1e6, KiB, 1e3} {
		if s >= u && s%u == 0 {
			return strconv.FormatUint(uint64(s/u), 10) + " " + unitName(u)
		}
	}
	return strconv.FormatUint(uint64(s), 10) + " B"
}

func unitName(bytes Size) string {
	i := slices.IndexFunc(sizeUnits, func(u sizeUnit) bool { return u.bytes == uint64(bytes) })
	return sizeUnits[i].name
}

// UnmarshalJSON reads a number of bytes, or a text with a unit as people write it. Sizes are written as numbers.
func (s *Size) UnmarshalJSON(data []byte) error {
	if len(data) == 0 || data[0] != '"' {
		return json.Unmarshal(data, (*uint64)(s))
	}
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	size, err := ParseSize(text)
	if err == nil {
		*s = size
	}
	return err
}

// Duration is a time span, written as Go does: "90s", "3m". Zero means not set.
type Duration time.Duration

// String writes the duration without trailing zero units: 3m, not 3m0s.
func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	*d = Duration(v)
	return err
}

// Secret is a text that must not leave the process in clear. Its JSON form is the salted hash alone, so a decoded
// Secret can be compared but not used until Reveal gives it its text again.
type Secret struct {
	clear *string // a pointer, because fmt prints its address where it is led past Format
	hash  string
}

// NewSecret seals text with the salt of the state it will be recorded in; an empty text gives the zero Secret.
func NewSecret(text string, salt []byte) Secret {
	if text == "" {
		return Secret{}
	}
	mac := hmac.New(sha256.New, salt)
	mac.Write([]byte(text))
	return Secret{clear: &text, hash: hex.EncodeToString(mac.Sum(nil))}
}

// As gives the secret the hash of another one, so that they count as the same. It keeps its own text.
func (s Secret) As(other Secret) Secret { return Secret{clear: s.clear, hash: other.hash} }

// Hash is the salted hash in hex; empty for the zero Secret. Secrets are equal when their hashes are.
func (s Secret) Hash() string { return s.hash }

// Clear is the text; ok is false for a secret that was decoded and not revealed.
func (s Secret) Clear() (text string, ok bool) {
	if s.clear == nil {
		return "", s.hash == ""
	}
	return *s.clear, true
}

// IsZero tells whether nothing is sealed.
func (s Secret) IsZero() bool { return s.hash == "" }

// String never gives the text.
func (s Secret) String() string { return "(sensitive)" }

// Format implements fmt.Formatter, because with some verbs (%#v, %d) fmt would look inside.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// MarshalJSON writes the hash.
func (s Secret) MarshalJSON() ([]byte, error) { return json.Marshal(s.hash) }

// UnmarshalJSON reads a hash.
func (s *Secret) UnmarshalJSON(data []byte) error {
	s.clear = nil
	return json.Unmarshal(data, &s.hash)
}
