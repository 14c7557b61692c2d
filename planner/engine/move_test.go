package engine

import (
	"testing"

	"vmplan.dev/vmplan/config/resource"
)

func TestRenameOf(t *testing.T) {
	for _, c := range []struct{ from, to, at, want string }{
		{"vm.a", "vm.b", "vm.a", "vm.b"},
		{"vm.a", "vm.b", "vm.a.disk.root", "vm.b.disk.root"},
		{"vm.a", "vm.b", `vm.a["x"].seed`, `vm.b["x"].seed`},
		{"vm.a", "vm.b", "vm.ab", ""},
		{"vm.a", "vm.b", "volume.a", ""},
		{"vm.a", `vm.b["x"]`, "vm.a.disk.root", `vm.b["x"].disk.root`},
		{"vm.a", `vm.b["x"]`, "vm.a[0]", ""},
		{"vm.a[0]", "vm.a", "vm.a[0]", "vm.a"},
		{"vm.a[0]", "vm.a", "vm.a[1]", ""},
		{"vm.a", "module.m.vm.a", "vm.a", "module.m.vm.a"},
		{"module.m", "module.n", "module.m.vm.a", "module.n.vm.a"},
		{"module.m", "module.n", `module.m["k"].module.x.vm.a`, `module.n["k"].module.x.vm.a`},
		{"module.m", "module.n", "module.mm.vm.a", ""},
		{"module.m", "module.n", "vm.a", ""},
	} {
		m := Renaming{mustAddr(t, c.from), mustAddr(t, c.to)}
		if err := m.check(); err != nil {
			t.Error(err)
		}
		got, ok := m.of(mustAddr(t, c.at))
		switch {
		case c.want == "" && (ok || got.String() != c.at):
			t.Errorf("%s → %s moves %s to %s", c.from, c.to, c.at, got)
		case c.want != "" && (!ok || got.String() != c.want):
			t.Errorf("%s → %s moves %s to %s (%v), want %s", c.from, c.to, c.at, got, ok, c.want)
		}
	}
}

func TestRenameRefuses(t *testing.T) {
	for _, c := range [][2]string{
		{"vm.a", "volume.a"}, {"vm.a", "module.m"}, {"module.m", "vm.a"}, {"vm.a.disk.root", "vm.a.disk.r"}, {"vm.a", "vm.a"}, {"host.a", "host.b"},
	} {
		if err := (Renaming{mustAddr(t, c[0]), mustAddr(t, c[1])}).check(); err == nil {
			t.Errorf("%s → %s is taken", c[0], c[1])
		}
	}
}

func mustAddr(t *testing.T, text string) resource.Addr {
	t.Helper()
	a, err := resource.ParseAddr(text)
	if err != nil {
		t.Fatal(err)
	}
	return a
}
