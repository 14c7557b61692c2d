package resource

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestSizesWithUnits(t *testing.T) {
	for in, want := range map[string]Size{
		"2GiB": 2 * GiB, " 500 MB ": 500_000_000, "1.5GiB": 1536 * MiB, "0B": 0, "10kB": 10_000, "10KB": 10_000, "1TiB": TiB, "7B": 7,
		"9223372036854775807B": math.MaxInt64,
	} {
		if got, err := ParseSize(in); err != nil || got != want {
			t.Errorf("%q: %d, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "2", "GiB", "-1GiB", "2 gib", "2G", "0x1p3GiB", "1e3GiB", "InfB", "NaNB", "9223372036854775808B", "9000000TiB", "1.2.3GiB", "1_0B", "2GiB3"} {
		if got, err := ParseSize(in); err == nil {
			t.Errorf("%q was read as %d", in, got)
		}
	}
	for size, want := range map[Size]string{0: "0 B", 2 * GiB: "2 GiB", 1536 * MiB: "1536 MiB", 500_000_000: "500 MB", 1025: "1025 B", 3 * KiB: "3 KiB"} {
		if got := size.String(); got != want {
			t.Errorf("%d is written %q, want %q", size, got, want)
		}
	}
}

func TestSizesReadBackAsWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		unit := rapid.SampledFrom([]Size{1, 1e3, KiB, 1e6, MiB, GiB, TiB}).Draw(t, "unit")
		s := unit * Size(rapid.Uint64Range(0, math.MaxInt64/uint64(unit)).Draw(t, "n"))
		if got, err := ParseSize(s.String()); err != nil || got != s {
			t.Fatalf("%d, written %q, reads as %d, %v", s, s, got, err)
		}
	})
}

func FuzzParseSize(f *testing.F) {
	for _, s := range []string{"2GiB", "1.5 MB", "-1B", "1e9TiB", "NaNB", "9223372036854775807B"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		size, err := ParseSize(s)
		if err != nil {
			return
		}
		if again, err := ParseSize(size.String()); err != nil || again != size || size > math.MaxInt64 {
			t.Fatalf("%q is %d, written %q, which reads as %d, %v", s, size, size, again, err)
		}
	})
}

func TestDurationsReadBackAsWritten(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 3 * time.Minute: "3m", time.Hour: "1h", 90 * time.Second: "1m30s", 10 * time.Hour: "10h", 20 * time.Minute: "20m",
		time.Hour + 30*time.Second: "1h0m30s", 1500 * time.Millisecond: "1.5s",
	} {
		if got := Duration(d).String(); got != want {
			t.Errorf("%d is written %q, want %q", d, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		unit := rapid.SampledFrom([]time.Duration{1, time.Second, time.Minute, time.Hour}).Draw(t, "unit")
		d := Duration(unit * time.Duration(rapid.Int64Range(math.MinInt64/int64(unit), math.MaxInt64/int64(unit)).Draw(t, "n")))
		var got Duration
		if err := got.UnmarshalText([]byte(d.String())); err != nil || got != d {
			t.Fatalf("%d, written %q, reads as %d, %v", d, d, got, err)
		}
	})
}

func TestSecretsAreNeverShown(t *testing.T) {
	s := NewSecret(secretText, salt)
	vm := &VM{CloudInit: &CloudInit{UserData: s}}
	seed := &Seed{UserData: s}
	shown, err := json.Marshal([]any{s, vm, Encoded{seed}, Diff(&Seed{}, seed), Fields(seed)})
	if err != nil {
		t.Fatal(err)
	}
	texts := []string{string(shown), Format(s), Format(Fields(vm)[0].Value)}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%T"} {
		for _, v := range []any{s, &s, *vm.CloudInit, vm.CloudInit, *seed, seed, []Secret{s}, map[string]Secret{"a": s}, Encoded{seed}, Fields(seed), Diff(&Seed{}, seed)} {
			texts = append(texts, fmt.Sprintf(verb, v))
		}
	}
	hidden := []string{secretText, fmt.Sprintf("%x", secretText)}
	for _, text := range texts {
		for _, h := range hidden {
			if strings.Contains(text, h) {
				t.Errorf("the secret is shown: %s", text)
			}
		}
	}
	if text, ok := s.Clear(); text != secretText || !ok {
		t.Errorf("Clear: %q, %v", text, ok)
	}
}

func TestADecodedSecretIsUsableOnceRevealed(t *testing.T) {
	seed := &Seed{UserData: NewSecret("one", salt), MetaData: NewSecret("two", salt)}
	texts := map[string]string{}
	Secrets(seed, texts)

	data, err := json.Marshal(Encoded{seed})
	if err != nil {
		t.Fatal(err)
	}
	var e Encoded
	if err := json.Unmarshal(data, &e); err != nil {
		t.Fatal(err)
	}
	decoded := e.Resource.(*Seed)
	if _, ok := decoded.UserData.Clear(); ok {
		t.Error("a decoded secret gives a text before it is revealed")
	}
	if d := Diff(seed, decoded); len(d) > 0 {
		t.Errorf("decoding changed %v", d)
	}
	delete(texts, seed.MetaData.Hash())
	if missing := Reveal(decoded, texts); len(missing) != 1 || missing[0] != seed.MetaData.Hash() {
		t.Errorf("missing: %v", missing)
	}
	if text, ok := decoded.UserData.Clear(); text != "one" || !ok {
		t.Errorf("revealed: %q, %v", text, ok)
	}
}
