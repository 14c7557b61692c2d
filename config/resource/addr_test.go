package resource

import (
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestAddressesReadBackAsWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := genAddr(t)
		_, last := CutModule(a.Module)
		if rapid.IntRange(0, 9).Draw(t, "module alone") == 0 && last != "" && !strings.HasPrefix(last, "vm.") {
			a = Addr{Module: a.Module}
		}
		b, err := ParseAddr(a.String())
		if err != nil || a != b {
			t.Fatalf("%q read back as %#v, %v; want %#v", a, b, err, a)
		}
		data, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		var c Addr
		if err := json.Unmarshal(data, &c); err != nil || a != c {
			t.Fatalf("%s read back as %#v, %v; want %#v", data, c, err, a)
		}
	})
}

func TestAddressesOnTheCommandLine(t *testing.T) {
	for in, want := range map[string]Addr{
		`vm.web`:                          {Kind: KindVM, Name: "web"},
		`vm.web["a.b]"]`:                  {Kind: KindVM, Name: "web", Key: `["a.b]"]`},
		`vm.web[007]`:                     {Kind: KindVM, Name: "web", Key: `[7]`},
		`vm.web["a"].disk.root`:           {Kind: KindVM, Name: "web", Key: `["a"]`, Part: "disk.root"},
		`module.net["x"].module.y.pool.p`: {Module: `module.net["x"].module.y`, Kind: KindPool, Name: "p"},
		`module.net`:                      {Module: "module.net"},
		`vm.shop["x"].volume.static`:      {Module: `vm.shop["x"]`, Kind: KindVolume, Name: "static"},
		`vm.shop.vm.app[0].disk.root`:     {Module: "vm.shop", Kind: KindVM, Name: "app", Key: "[0]", Part: "disk.root"},
		`module.m.vm.shop.network.back`:   {Module: "module.m.vm.shop", Kind: KindNetwork, Name: "back"},
		`appliance.shop.image.base`:       {Module: "appliance.shop", Kind: KindImage, Name: "base"},
		`appliance.shop`:                  {Module: "appliance.shop"},
		`volume.größe`:                    {Kind: KindVolume, Name: "größe"},
	} {
		if got, err := ParseAddr(in); err != nil || got != want {
			t.Errorf("%s: %#v, %v", in, got, err)
		}
	}
	for _, in := range []string{
		"", "vm", "vm.", ".web", "vm.web.", "vm.web[", "vm.web[]", "vm.web[-1]", `vm.web["a]`, `vm.web["a"`, "vm.web[a]", "vm[0].web",
		"cow.bella", "module", "module.", "module.a.vm", "module[0].a", "vm.web[0][1]", "vm.web.disk[0]", "vm.we b", "vm.0", "vm.web\xff", "vm.web\x00",
	} {
		if got, err := ParseAddr(in); err == nil {
			t.Errorf("%q was read as %#v", in, got)
		}
	}
}

func TestSelectingAnAddressSelectsWhatIsInIt(t *testing.T) {
	for _, c := range []struct {
		selected, other string
		want            bool
	}{
		{"vm.web", "vm.web", true},
		{"vm.web", `vm.web["a"]`, true},
		{"vm.web", `vm.web["a"].disk.root`, true},
		{`vm.web["a"]`, `vm.web["b"]`, false},
		{"vm.web.disk.root", "vm.web", false},
		{"vm.web", "vm.webb", false},
		{"vm.web", "module.a.vm.web", false},
		{"module.a", "module.a.vm.web", true},
		{"module.a", `module.a["x"].vm.web`, true},
		{"module.a", "module.a.module.b.vm.web", true},
		{"module.a", "module.ab.vm.web", false},
		{"vm.shop", "vm.shop.volume.static", true},
		{"vm.shop", `vm.shop["x"].vm.app.disk.root`, true},
		{`vm.shop["x"]`, `vm.shop["x"].network.back`, true},
		{`vm.shop["x"]`, `vm.shop["y"].network.back`, false},
		{"vm.shop", "vm.shop_de.volume.static", false},
		{"vm.shop.vm.app", "vm.shop.volume.static", false},
		{"appliance.shop", "appliance.shop.volume.static", true},
	} {
		s, err1 := ParseAddr(c.selected)
		o, err2 := ParseAddr(c.other)
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		if got := s.Contains(o); got != c.want {
			t.Errorf("%s contains %s: %v", s, o, got)
		}
	}
}

func TestCompareIsATotalOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := genAddr(t), genAddr(t), genAddr(t)
		if rapid.Bool().Draw(t, "alike") { // differ in the key alone
			b, c = a, a
			b.Key, c.Key = genKey(t), genKey(t)
		}
		if Compare(a, b) != -Compare(b, a) {
			t.Fatalf("%s and %s: %d and %d", a, b, Compare(a, b), Compare(b, a))
		}
		if (Compare(a, b) == 0) != (a == b) {
			t.Fatalf("%s and %s compare as %d", a, b, Compare(a, b))
		}
		if Compare(a, b) <= 0 && Compare(b, c) <= 0 && Compare(a, c) > 0 {
			t.Fatalf("%s ≤ %s ≤ %s, but not the first and the last", a, b, c)
		}
	})
}

func FuzzParseAddr(f *testing.F) {
	for _, s := range []string{"vm.web", `module.a["x"].vm.web[0].disk.root`, "module.a", `vm.web["\u00e9\n"]`, "vm.web[99999999999999999999]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseAddr(s)
		if err != nil {
			return
		}
		if b, err := ParseAddr(a.String()); err != nil || a != b {
			t.Fatalf("%q became %q, which reads as %#v, %v", s, a, b, err)
		}
	})
}

func TestModulePathsAreCutAtTheirSteps(t *testing.T) {
	for _, c := range []struct{ path, caller, last string }{
		{"module.a", "", "module.a"},
		{`module.a["module.x"]`, "", `module.a["module.x"]`},
		{`module.a["q\".module.x"].module.b[0]`, `module.a["q\".module.x"]`, "module.b[0]"},
		{"module.module.module.b", "module.module", "module.b"},
		{`module.a.vm.shop["x"]`, "module.a", `vm.shop["x"]`},
	} {
		if caller, last := CutModule(c.path); caller != c.caller || last != c.last {
			t.Errorf("%s: %q and %q", c.path, caller, last)
		}
	}
}
