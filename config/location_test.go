package config

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vmplan.dev/vmplan/config/resource"
)

// spread is a project in which no object says where it lies, but that there are hosts.
const spread = `
network "lan" { cidr = "10.0.0.0/24" }
image "os" { source = "os.qcow2" }
volume "data" { size = "1GiB" }
volume "theirs" { managed = false }
network "office" { managed = false }
module "m" { source = "./m" }

appliance "shop" {
  volume "store" { size = "1GiB" }
  vm {
    disk "root" { size = "1GiB" }
  }
}
vm "store" { appliance = appliance.shop }
vm "many" {
  for_each = toset(["a", "b"])
  disk "root" { size = "1GiB" }
}
vm "copy" { clone = vm.web }
vm "web" {
  image = image.os
  disk "more" { size = "1GiB" }
  disk "theirs" { volume = volume.theirs }
  nic "lan" { network = network.lan }
  nic "office" { network = network.office }
  cloud_init {}
}
`

const spreadModule = `
volume "v" { size = "1GiB" }
vm "inner" {
  disk "root" { size = "1GiB" }
}
`

func loadText(t *testing.T, text string, prior Prior) (*Config, Diagnostics) {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{"main.hcl": text, "m/main.hcl": spreadModule} {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p, diags := Open(dir, Options{Defaults: testDefaults})
	c, more := p.Load(prior)
	return c, append(diags, more...)
}

// apply gives what a state holds once the project is applied: nothing that is not managed, nor a pool that was there before.
func apply(t *testing.T, text string, prior Prior, poolWasThere bool) Prior {
	t.Helper()
	c, diags := loadText(t, text, prior)
	if diags.HasErrors() {
		for _, d := range diags {
			t.Error(d)
		}
		t.FailNow()
	}
	prior.Objects = maps.Collect(c.Set.All())
	maps.DeleteFunc(prior.Objects, func(_ resource.Addr, r resource.Resource) bool {
		pool, ok := r.(*resource.Pool)
		return !r.Base().IsManaged() || ok && pool.Implicit && poolWasThere
	})
	return prior
}

// where lists what says on which host and in which file an object lies, and what a vm uses.
func where(set *resource.Set) map[resource.Addr]string {
	at := map[resource.Addr]string{}
	for a, r := range set.All() {
		if r.Kind() == resource.KindHost || r.Kind() == resource.KindPool {
			continue
		}
		text := fmt.Sprintf("%s %s", r.Base().Host, resource.VolumeID(r))
		if vm, ok := r.(*resource.VM); ok {
			for _, d := range vm.Disks {
				text += " " + d.Source
			}
			for _, n := range vm.NICs {
				text += " " + n.Source
			}
		}
		at[a] = text
	}
	return at
}

func TestWhatLiesSomewhereStaysThereWhateverPoolsAndHostsAreDeclaredLater(t *testing.T) {
	t.Parallel()
	hosts := []string{
		`host "lab" { uri = "sim:lab.json" }`,
		`host "lab" {
  uri     = "sim:lab.json"
  default = true
}
host "old" { uri = "sim:old.json" }`,
	}
	pools := []string{
		``,
		`pool "first" { path = "/first" }`,
		`pool "first" {
  path    = "/first"
  default = true
}`,
		`pool "first" { managed = false }`,
		`pool "first" {
  managed = false
  name    = "disks"
}`,
	}
	later := []string{
		`pool "ext" { managed = false }`,
		`pool "ext" { path = "/ext" }`,
		`pool "ext" {
  path    = "/ext"
  default = true
}`,
		`pool "ext" {
  path    = "/ext"
  default = false
}`,
		`pool "default" { path = "/var/lib/libvirt/images" }`,
		`pool "default" { managed = false }`,
		`pool "main" {
  name = "default"
  path = "/var/lib/libvirt/images"
}`,
		`pool "main" {
  name    = "default"
  managed = false
}`,
		`pool "main" {
  name = "default"
  path = "/var/lib/libvirt/images"
}
pool "ext" {
  managed = false
  default = true
}`,
		`host "new" { uri = "sim:new.json" }`,
		`host "new" {
  uri     = "sim:new.json"
  default = true
}`,
		`host "new" {
  uri     = "sim:new.json"
  default = true
}
pool "ext" {
  host    = host.new
  path    = "/ext"
  default = true
}
pool "more" {
  host = host.lab
  path = "/more"
  default = true
}`,
		`host "aaa" {
  uri     = "sim:aaa.json"
  default = true
}
pool "default" {
  host = host.aaa
  path = "/pool"
}`,
	}
	loaded := 0
	for _, host := range hosts {
		for _, pool := range pools {
			for _, there := range []bool{false, true} {
				before := strings.Join([]string{host, pool, spread}, "\n")
				prior := apply(t, before, Prior{Lineage: testLineage, Salt: []byte("salt")}, there)
				c, _ := loadText(t, before, prior)
				want := where(c.Set)
				for _, more := range later {
					after := before + more
					if strings.Contains(more, `host "`) {
						after = strings.Replace(after, "  default = true\n}\nhost \"old\"", "}\nhost \"old\"", 1)
					}
					c, diags := loadText(t, after, prior)
					if diags.HasErrors() {
						continue // it must say more, and does not go anywhere
					}
					loaded++
					for a, at := range where(c.Set) {
						if at != want[a] {
							t.Errorf("pool there before: %v\n%s\n%s\nthen also\n%s\n%s moves from %q to %q", there, host, pool, more, a, want[a], at)
						}
					}
				}
			}
		}
	}
	if loaded < 140 {
		t.Errorf("only %d variations say enough to be loaded", loaded)
	}
}
