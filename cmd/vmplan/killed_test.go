package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// simLab is an empty simulated host, and the bits of an image.
const simLab = `
-- lab.json --
{"uuid": "20000000-0000-4000-8000-000000000001"}
-- base.img --
bits
`

// simProject begins a project with that host, a network and the image; what else it has comes after it.
const simProject = `
-- main.hcl --
host "lab" {
  uri = "sim:lab.json"
}
network "lan" {
  cidr = "10.17.3.0/24"
}
image "base" {
  source = "base.img"
}
`

// The project that is built, changed, replaced and destroyed by runs that die. The lineage is fixed, so that UUIDs and MACs are
// the same in every run.
const killedProject = `
-- .vmplan/identity.json --
{"lineage": "11111111-2222-4333-8444-555555555555"}
` + simLab + simProject + `
volume "data" {
  size = "2GiB"
}
vm "web" {
  image      = image.base
  memory     = "512MiB"
  max_memory = "2GiB"
  disk "root" {
    size = "1GiB"
  }
  disk "data" {
    volume = volume.data
  }
  nic "lan" {
    network = network.lan
    address = "10.17.3.10"
  }
  cloud_init {
    user_data = "#!/bin/sh\necho one\n"
  }
  ready {
    agent {}
  }
}
vm "db" {
  running = false
  disk "root" {
    size = "1GiB"
  }
}
image "golden" {
  from = vm.web
  build {
    run = ["one"]
  }
}
vm "copy" {
  image = image.golden
}
`

// What is changed of it: nearly everything that can be while it lives.
const killedUpdate = simProject + `
volume "data" {
  size = "3GiB"
}
volume "more" {
  size = "1GiB"
}
vm "web" {
  image      = image.base
  memory     = "1GiB"
  max_memory = "2GiB"
  title      = "the web"
  machine    = "pc"
  disk "root" {
    size = "2GiB"
  }
  disk "data" {
    volume = volume.data
  }
  disk "more" {
    volume = volume.more
  }
  nic "lan" {
    network = network.lan
    address = "10.17.3.11"
  }
  cloud_init {
    user_data = "#!/bin/sh\necho two\n"
  }
  ready {
    agent {}
  }
}
vm "db" {
  disk "root" {
    size = "1GiB"
  }
}
image "golden" {
  from = vm.web
  build {
    run = ["one"]
  }
  seal {}
}
vm "copy" {
  image = image.golden
}
`

// And what replaces vm, disk, network and image.
const killedReplace = `
-- other.img --
other bits
-- main.hcl --
host "lab" {
  uri = "sim:lab.json"
}
network "lan" {
  cidr = "10.18.0.0/24"
}
image "base" {
  source = "other.img"
}
volume "data" {
  size = "1GiB"
}
vm "web" {
  name       = "www"
  image      = image.base
  memory     = "512MiB"
  max_memory = "2GiB"
  disk "root" {
    size = "1GiB"
  }
  disk "data" {
    volume = volume.data
  }
  nic "lan" {
    network = network.lan
    address = "10.18.0.10"
  }
  cloud_init {
    user_data = "#!/bin/sh\necho one\n"
  }
  ready {
    agent {}
  }
}
vm "db" {
  running = false
  disk "root" {
    size = "1GiB"
  }
}
image "golden" {
  from = image.base
  build {
    run = ["two"]
  }
}
vm "copy" {
  image = image.golden
}
`

// vmplan dies by kill -9 before or after each operation on the host. Whatever it was, the next run ends where an undisturbed one
// does: nothing is missing, nothing is there twice, nothing is left over, and there is nothing left to plan.
func TestKilledBeforeOrAfterAnyOperationTheNextRunEndsWhereItShould(t *testing.T) {
	empty := newWorkdir(t, killedProject)
	built := empty.copy(t)
	built.must(0, "apply", "--auto-approve")
	for _, c := range []struct {
		name, files string
		from        *workdir
		args        []string
		least       int // operations
	}{
		{"create", "", empty, []string{"apply"}, 10},
		{"update", killedUpdate, built, []string{"apply"}, 8},
		{"replace", killedReplace, built, []string{"apply"}, 10},
		{"destroy", "", built, []string{"destroy"}, 8},
	} {
		for _, when := range []string{"before", "after"} {
			t.Run(c.name+" "+when, func(t *testing.T) {
				t.Parallel()
				args := append(c.args, "--auto-approve")
				undisturbed := c.from.copy(t)
				undisturbed.write(c.files)
				undisturbed.must(0, args...)
				want := listing(t, undisturbed)
				n := 0
				for ; ; n++ {
					w := c.from.copy(t)
					w.write(c.files)
					w.setHost("faults", []any{map[string]any{"kill": true, "when": when, "skip": n, "times": 1}})
					code, output := w.run(args...)
					if code == 0 {
						break
					}
					if code != killed {
						t.Fatalf("to be killed at operation %d, it exits with %d:\n%s", n, code, output)
					}
					w.must(0, args...)
					if got := listing(t, w); got != want {
						t.Fatalf("killed %s operation %d, then run again, the host has\n%s\nwant\n%s\nthe run that was killed:\n%s", when, n, got, want, output)
					}
					plan := append([]string{"plan", "--detailed-exitcode"}, map[bool][]string{true: {"--destroy"}}[c.name == "destroy"]...)
					w.must(0, plan...)
					if _, err := os.Stat(filepath.Join(w.dir, "vmplan.vmstate.lock")); err == nil {
						t.Errorf("killed %s operation %d, then run again, the lock is left", when, n)
					}
				}
				t.Logf("%d kills", n)
				if n < c.least {
					t.Errorf("only %d kills, want at least %d: the test has lost its grip", n, c.least)
				}
			})
		}
	}
}

// listing is the host and what is recorded, as text.
func listing(t *testing.T, w *workdir) string {
	t.Helper()
	var records any
	if err := json.Unmarshal([]byte(w.must(0, "state", "list", "--json")), &records); err != nil {
		t.Fatal(err)
	}
	text, err := json.MarshalIndent(map[string]any{"host": w.host(), "records": records}, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
