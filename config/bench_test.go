package config

import (
	"fmt"
	"maps"
	"os"
	"testing"

	"vmplan.dev/vmplan/config/resource"
)

// fleet is a project of n vms as people write them: for_each over a set, a root disk, a seed and an automatic address.
func fleet(n int) string {
	return fmt.Sprintf(`
host "lab" { uri = "sim:lab.json" }
network "lan" { cidr = "10.0.0.0/16" }
image "debian" { source = "debian.qcow2" }
locals { names = toset([for i in setproduct([for n in split("", "abcdefghij") : n], [for n in split("", "0123456789") : n], range(%d)) : join("", i)]) }
vm "web" {
  for_each = local.names
  image    = image.debian
  title    = "Server ${each.key}"
  disk "root" { size = "20GiB" }
  nic "lan" {
    network = network.lan
    address = "auto"
  }
  cloud_init {
    hostname  = "web-${each.key}"
    user_data = "#cloud-config\n# ${each.key}\n"
  }
}
output "addresses" { value = { for k, v in vm.web : k => v.address } }
`, n/100)
}

func loadFleet(tb testing.TB, n int, recorded map[resource.Addr]resource.Resource) *Config {
	tb.Helper()
	p, diags := Open(".", Options{Defaults: testDefaults})
	c, more := p.Load(Prior{Lineage: testLineage, Salt: []byte("salt"), Objects: recorded})
	if diags = append(diags, more...); diags.HasErrors() {
		tb.Fatal(diags)
	}
	if want := 3*n + 4; c.Set.Len() != want {
		tb.Fatalf("%d objects, want %d", c.Set.Len(), want)
	}
	return c
}

func BenchmarkLoad(b *testing.B) {
	for _, n := range []int{100, 1000, 10000} {
		for _, known := range []string{"new", "recorded"} {
			b.Run(fmt.Sprint(n, known), func(b *testing.B) {
				b.Chdir(b.TempDir())
				if err := os.WriteFile("main.hcl", []byte(fleet(n)), 0o644); err != nil {
					b.Fatal(err)
				}
				var recorded map[resource.Addr]resource.Resource
				if known == "recorded" {
					recorded = maps.Collect(loadFleet(b, n, nil).Set.All())
				}
				for b.Loop() {
					loadFleet(b, n, recorded)
				}
			})
		}
	}
}
