package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vmplan.dev/vmplan/config/internal/complete"
	"vmplan.dev/vmplan/config/resource"
)

// write puts files into a new folder and makes it the current one.
func write(t *testing.T, files map[string]string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func mustLoad(t *testing.T, prior Prior) *Config {
	t.Helper()
	p, diags := Open(".", Options{Defaults: testDefaults})
	c, more := p.Load(prior)
	if diags = append(diags, more...); diags.HasErrors() {
		t.Fatal(diags)
	}
	return c
}

const twoVMs = `host "lab" { uri = "sim:lab.json" }
vm "a" {
  disk "root" {
    size = "1GiB"
  }
  nic "n" { bridge = "br0" }
  cloud_init {
    hostname = "x"
  }
}
`

// The state is kept next to the files, or where they say.
func TestStatePlace(t *testing.T) {
	write(t, map[string]string{"main.hcl": twoVMs, "sub/main.hcl": "vmplan {\n  state \"local\" {\n    path = \"x/lab.vmstate\"\n  }\n}\n"})
	cwd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]string{".": "vmplan.vmstate", "sub": "sub/x/lab.vmstate"} {
		p, _ := Open(dir, Options{Defaults: testDefaults})
		if got := p.State(); got != (StateSettings{Type: "local", Path: filepath.Join(cwd, want)}) {
			t.Errorf("%s: %+v", dir, got)
		}
	}
}

// The hash is that of the content: it does not change with the place of the folder, and does with any byte in it.
func TestHash(t *testing.T) {
	write(t, map[string]string{
		"a/main.hcl": twoVMs, "b/main.hcl": twoVMs, "c/main.hcl": twoVMs + "\n", "d/other.hcl": twoVMs,
		"e/main.hcl": twoVMs, "e/vmplan.vmvars.hcl": "",
	})
	hashes := map[string][]string{}
	for _, dir := range []string{"a", "b", "c", "d", "e"} {
		p, _ := Open(dir, Options{Defaults: testDefaults})
		hashes[p.Hash()] = append(hashes[p.Hash()], dir)
	}
	if len(hashes) != 4 {
		t.Errorf("folders by hash: %v", hashes)
	}
}

func TestSourcesRange(t *testing.T) {
	write(t, map[string]string{"main.hcl": twoVMs})
	s := mustLoad(t, Prior{}).Sources
	vm := resource.Addr{Kind: resource.KindVM, Name: "a"}
	for _, c := range []struct {
		addr resource.Addr
		path string
		want string
	}{
		{vm, "", "main.hcl:2,1-7"},
		{vm, "memory", "main.hcl:2,1-7"},
		{vm, "nic.n.mac", "main.hcl:6,3-10"},
		{vm, "nic.n.bridge", "main.hcl:6,13-27"},
		{vm.WithPart("disk.root"), "size", "main.hcl:4,5-18"},
		{vm.WithPart("disk.root"), "format", "main.hcl:3,3-14"},
		{vm.WithPart("seed"), "user_data", "main.hcl:7,3-13"},
	} {
		if r, ok := s.Range(c.addr, c.path); !ok || r.String() != c.want {
			t.Errorf("%s %q: %s, want %s", c.addr, c.path, r, c.want)
		}
	}
	if _, ok := s.Range(resource.Addr{Kind: resource.KindPool, Name: "default"}, ""); ok {
		t.Error("the implicit pool is in no file")
	}
}

// Loading twice gives the same, and the seed's file changes with what is in it.
func TestSeedFileFollowsContent(t *testing.T) {
	file := func(hostname string) string {
		write(t, map[string]string{"main.hcl": strings.ReplaceAll(twoVMs, `"x"`, `"`+hostname+`"`)})
		c := mustLoad(t, Prior{Lineage: testLineage, Salt: []byte("s")})
		return c.Set.Get(resource.Addr{Kind: resource.KindVM, Name: "a", Part: "seed"}).(*resource.Seed).File
	}
	if x, again, y := file("x"), file("x"), file("y"); x != again || x == y {
		t.Errorf("seeds are called %s, %s and, with other content, %s", x, again, y)
	}
}

// Among thousands of nics some get the same MAC at first. All end with one of their own, and expressions see that one.
func TestMACsAreUnique(t *testing.T) {
	write(t, map[string]string{"main.hcl": `host "lab" { uri = "sim:lab.json" }
vm "a" {
  count = 9000
  disk "root" { size = "1GiB" }
  nic "n" { bridge = "br0" }
}
output "macs" { value = [for v in vm.a : v.nic.n.mac] }
vm "look" {
  title = vm.a[0].nic.n.mac
  disk "root" { size = "1GiB" }
}
`})
	c := mustLoad(t, Prior{Lineage: testLineage})
	seen, first := map[string]resource.Addr{}, 0
	id := complete.NewIdentity(testLineage)
	for vm := range resource.Of[*resource.VM](c.Set) {
		for _, n := range vm.NICs {
			if other, taken := seen[n.MAC]; taken {
				t.Errorf("%s and %s both have %s", other, vm.Addr, n.MAC)
			}
			seen[n.MAC] = vm.Addr
			if n.MAC == id.MAC(vm.Addr, n.Label, 0) {
				first++
			}
		}
	}
	if first == 9000 {
		t.Error("no MAC was given twice at first, so this test shows nothing")
	}
	outs, diags := c.Outputs(nil)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	for i, mac := range outs[0].Value.([]any) {
		if want := (resource.Addr{Kind: resource.KindVM, Name: "a", Key: resource.IndexKey(i)}); seen[mac.(string)] != want {
			t.Fatalf("output of %s is %s, which is that of %s", want, mac, seen[mac.(string)])
		}
	}
}

// What could exhaust the stack or the memory is refused with a place.
func TestLimits(t *testing.T) {
	deep := func(open, end string) string {
		return "locals { x = " + strings.Repeat(open, 100_000) + "1" + strings.Repeat(end, 100_000) + " }"
	}
	chain := strings.Builder{}
	for i := range maxChain + 10 {
		fmt.Fprintf(&chain, "locals { x%d = local.x%d }\n", i, i+1)
	}
	fmt.Fprintf(&chain, "locals { x%d = 1 }\n", maxChain+10)
	modules := map[string]string{"main.hcl": `module "a" { source = "./m0" }`}
	for i := range 20 {
		text := ""
		if i < 19 {
			text = fmt.Sprintf("module \"a\" { source = \"../m%d\" }\nmodule \"b\" { source = \"../m%d\" }\n", i+1, i+1)
		}
		modules[fmt.Sprintf("m%d/main.hcl", i)] = text + "locals { x = 1 }\n"
	}
	for name, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"parentheses": {map[string]string{"main.hcl": deep("(", ")")}, "Nesting too deep"},
		"brackets":    {map[string]string{"main.hcl": deep("[", "]")}, "Nesting too deep"},
		"templates":   {map[string]string{"main.hcl": deep(`"${`, `}"`)}, "Nesting too deep"},
		"not":         {map[string]string{"main.hcl": deep("!", "")}, "Nesting too deep"},
		"minus":       {map[string]string{"main.hcl": deep("- ", "")}, "Nesting too deep"},
		"conditions":  {map[string]string{"main.hcl": deep("true ? 1 : ", "")}, "Nesting too deep"},
		"json":        {map[string]string{"main.hcl": "variable \"x\" {}", "vmplan.vmvars.json": strings.Repeat("[", 100_000)}, "Nesting too deep"},
		"size":        {map[string]string{"main.hcl": strings.Repeat("#", maxFileSize+1)}, "File too large"},
		"chain":       {map[string]string{"main.hcl": chain.String()}, "Chain too long"},
		"count":       {map[string]string{"main.hcl": "pool \"x\" {\n  count = 60000\n  path = \"/${count.index}\"\n}\npool \"y\" {\n  count = 60000\n  path = \"/y${count.index}\"\n}\n"}, "Too many objects"},
		"modules":     {modules, "Too many objects"},
	} {
		t.Run(name, func(t *testing.T) {
			write(t, c.files)
			p, diags := Open(".", Options{Defaults: testDefaults})
			_, more := p.Load(Prior{})
			for _, d := range append(diags, more...) {
				if d.Summary == c.want && d.Subject != nil {
					return
				}
			}
			t.Errorf("no %q in %v", c.want, append(diags, more...))
		})
	}
}

// A sensitive value is in no message, whatever goes wrong with it.
func TestSensitiveIsNeverShown(t *testing.T) {
	write(t, map[string]string{"main.hcl": `host "lab" { uri = "sim:lab.json" }
variable "s" {
  sensitive = true
  default   = "hunter2"
  validation {
    condition     = var.s == "other"
    error_message = "It is ${var.s}."
  }
}
variable "o" {
  sensitive = true
  default   = { hunter2 = "hunter2" }
}
vm "a" {
  for_each    = toset([var.s])
  title       = var.s
}
vm "b" {
  memory      = var.s
  title       = file(var.s)
  description = jsondecode(var.s)
  machine     = { a = 1 }[var.s]
  cpu         = var.o.x
  image       = var.s
  count       = var.s
}
vm "c" {
  title       = file(var.s)
  description = jsondecode(var.s)
  machine     = { a = 1 }[var.s]
  cpu         = tonumber(var.s)
  image       = var.s
  vcpus       = var.s
  memory      = var.s
  disk "root" { size = var.s }
}
vm "d" {
  for_each = var.o
}
output "o" { value = var.s }
output "p" { value = "${tonumber(var.s)}" }
`})
	p, diags := Open(".", Options{Defaults: testDefaults, Vars: map[string]string{}})
	_, more := p.Load(Prior{})
	diags = append(diags, more...)
	if len(diags) < 12 {
		t.Errorf("only %d mistakes", len(diags))
	}
	for _, d := range diags {
		if strings.Contains(d.Summary+d.Detail, "hunter2") {
			t.Errorf("%s", d.Error())
		}
	}
	if !p.Sensitive("s") || p.Sensitive("none") {
		t.Error("Sensitive does not tell sensitive variables from others")
	}
}
